#include "agent/shell/energy.h"

#include <limits>

#include <gtest/gtest.h>

namespace allot::agent {
namespace {

using std::chrono::seconds;

Time At(double second) { return FromMicros(static_cast<int64_t>((second + 1000) * 1e6)); }

Device Gpu(const std::string& id) {
  Device device;
  device.id = id;
  return device;
}

class Energy : public ::testing::Test {
 protected:
  Energy() {
    std::vector<Device> devices = {Gpu("a"), Gpu("b"), Gpu("share"), Gpu("emulated"), Gpu("cpu0")};
    devices[2].parent = "b";
    devices[3].emulated = true;
    devices[4].kind = DeviceKind::kCpu;
    meter_.SetDevices(devices);
  }
  static void Power(EnergyMeter& meter, double second, const std::string& id, double watts) {
    DeviceTelemetry values;
    values.id = id;
    values.power_watts = watts;
    meter.Read(At(second), values);
  }
  static void Counter(EnergyMeter& meter, double second, const std::string& id, double joules) {
    DeviceTelemetry values;
    values.id = id;
    values.energy_joules = joules;
    values.power_watts = 1e4;  // Must not matter where there is a counter.
    meter.Read(At(second), values);
  }
  EnergyMeter meter_;
};

TEST_F(Energy, ACounterIsMeasuredByItsDifference) {
  Counter(meter_, 0, "a", 1000);
  meter_.Begin("p", {"a"}, At(1));
  Counter(meter_, 5, "a", 1400);
  Counter(meter_, 10, "a", 1900);
  Counter(meter_, 15, "a", 2400);
  // 1,000 J in the 10 s between readings; 16 s of life at the same rate: 1,600 J.
  EXPECT_EQ(meter_.End("p", At(1), At(17)), 1'600'000);
  EXPECT_EQ(meter_.End("p", At(1), At(17)), std::nullopt);
}

TEST_F(Energy, PowerIsSummedUpOverTime) {
  meter_.Begin("p", {"a"}, At(0));
  Power(meter_, 0, "a", 100);
  Power(meter_, 10, "a", 300);  // 200 W × 10 s
  Power(meter_, 20, "a", 300);  // 300 W × 10 s
  EXPECT_EQ(meter_.End("p", At(0), At(20)), 5'000'000);
}

TEST_F(Energy, DevicesAddUpAndOneWithoutReadingsIsNoAnswer) {
  meter_.Begin("both", {"a", "b"}, At(0));
  meter_.Begin("half", {"a", "b"}, At(0));
  for (int second = 0; second <= 20; second += 5) Power(meter_, second, "a", 100);
  EXPECT_EQ(meter_.End("half", At(0), At(20)), std::nullopt);
  for (int second = 0; second <= 20; second += 5) Power(meter_, second, "b", 50);
  EXPECT_EQ(meter_.End("both", At(0), At(20)), 3'000'000);
}

TEST_F(Energy, WhatCannotBeMeasuredIsAbsent) {
  const struct {
    const char* why;
    std::vector<std::string> devices;
  } rows[] = {{"no accelerator", {}},
              {"shares a device", {"share"}},
              {"emulated", {"a", "emulated"}},
              {"the processors are everybody's", {"cpu0"}},
              {"unknown", {"gone"}}};
  int begin = 0;
  for (const auto& row : rows) {
    begin += 100;
    meter_.Begin("p", row.devices, At(begin));
    meter_.Begin("control", {"a"}, At(begin));
    for (int second = begin; second <= begin + 20; second += 5)
      for (const char* id : {"a", "share", "emulated", "cpu0", "gone"})
        Power(meter_, second, id, 100);
    EXPECT_EQ(meter_.End("p", At(begin), At(begin + 20)), std::nullopt) << row.why;
    EXPECT_EQ(meter_.End("control", At(begin), At(begin + 20)), 2'000'000);
  }
}

TEST_F(Energy, ALifeTooShortForItsReadingsIsNoAnswer) {
  Power(meter_, 0, "a", 100);
  meter_.Begin("none", {"a"}, At(1));
  EXPECT_EQ(meter_.End("none", At(1), At(4)), std::nullopt);
  meter_.Begin("one", {"a"}, At(4));
  Power(meter_, 5, "a", 500);
  EXPECT_EQ(meter_.End("one", At(4), At(9)), std::nullopt);
  meter_.Begin("little", {"a"}, At(6));
  Power(meter_, 10, "a", 500);
  Power(meter_, 15, "a", 500);
  EXPECT_EQ(meter_.End("little", At(6), At(19)), std::nullopt);  // 5 s of 13
}

TEST_F(Energy, AGapInPowerOrACounterThatWentBackBreaksIt) {
  meter_.Begin("gap", {"a"}, At(0));
  Power(meter_, 0, "a", 100);
  Power(meter_, 100, "a", 100);
  Power(meter_, 200, "a", 100);
  EXPECT_EQ(meter_.End("gap", At(0), At(200)), std::nullopt);

  meter_.Begin("reset", {"b"}, At(0));
  Counter(meter_, 0, "b", 5000);
  Counter(meter_, 5, "b", 10);
  Counter(meter_, 10, "b", 500);
  EXPECT_EQ(meter_.End("reset", At(0), At(10)), std::nullopt);

  meter_.Begin("mixed", {"b"}, At(10));
  Counter(meter_, 15, "b", 600);
  Power(meter_, 20, "b", 100);
  Power(meter_, 25, "b", 100);
  EXPECT_EQ(meter_.End("mixed", At(10), At(25)), std::nullopt);
}

TEST_F(Energy, ADeviceThatWasGoneStartsAnew) {
  meter_.Begin("p", {"a"}, At(0));
  Counter(meter_, 0, "a", 0);
  Counter(meter_, 5, "a", 5000);
  meter_.SetDevices({});
  meter_.SetDevices({Gpu("a")});
  Counter(meter_, 10, "a", 5100);
  Counter(meter_, 15, "a", 5200);
  EXPECT_EQ(meter_.End("p", At(0), At(15)), std::nullopt);
}

TEST_F(Energy, ACounterBridgesAGap) {
  meter_.Begin("p", {"a"}, At(0));
  Counter(meter_, 0, "a", 0);
  Counter(meter_, 500, "a", 500);
  EXPECT_EQ(meter_.End("p", At(0), At(500)), 500'000);
}

TEST_F(Energy, ReadingsThatStopLongBeforeTheEndAreNoAnswer) {
  meter_.Begin("p", {"a"}, At(0));
  for (int second = 0; second <= 200; second += 5) Power(meter_, second, "a", 100);
  EXPECT_EQ(meter_.End("p", At(0), At(300)), std::nullopt);
}

TEST_F(Energy, AReadingFromBeforeTheStartIsNotItsOwn) {
  meter_.Begin("p", {"a"}, At(10));
  Counter(meter_, 9, "a", 0);  // read before, told after
  Counter(meter_, 12, "a", 9000);
  Counter(meter_, 20, "a", 9800);
  EXPECT_EQ(meter_.End("p", At(10), At(20)), 1'000'000);
}

TEST_F(Energy, NonsenseIsNoReading) {
  meter_.Begin("p", {"a"}, At(0));
  Power(meter_, 0, "a", 100);
  Power(meter_, 5, "a", -1e300);
  Power(meter_, 6, "a", std::numeric_limits<double>::quiet_NaN());
  Power(meter_, 7, "a", std::numeric_limits<double>::infinity());
  Power(meter_, 10, "a", 100);
  Power(meter_, 3, "a", 1e6);  // older than the last
  EXPECT_EQ(meter_.End("p", At(0), At(10)), 1'000'000);
}

TEST_F(Energy, ARestartIsBridgedByWhatWasKept) {
  meter_.Begin("p", {"a", "b"}, At(0));
  Counter(meter_, 0, "a", 100);
  EXPECT_TRUE(meter_.TakeSaves().empty());  // b has not been read yet
  Counter(meter_, 0, "b", 7000.5);
  const auto saves = meter_.TakeSaves();
  ASSERT_EQ(saves.size(), 1u);
  EXPECT_EQ(saves[0].first, "p");
  EXPECT_TRUE(meter_.TakeSaves().empty());

  EnergyMeter next;
  next.SetDevices({Gpu("a"), Gpu("b")});
  next.Resume("p", {"a", "b"}, At(0), saves[0].second);
  Counter(next, 400, "a", 300);
  Counter(next, 400, "b", 7100.5);
  EXPECT_EQ(next.End("p", At(0), At(400)), 300'000);
}

TEST_F(Energy, ARestartWithoutIt) {
  const struct {
    const char* why;
    const char* saved;
    double counter;
  } rows[] = {{"nothing was kept", "", 500},
              {"garbage", "a\tx\ty\n\xff\xff\n", 500},
              {"cut", "a\t1000000000\t100", 500},
              {"the counter was reset", "a\t1000000000\t900000\n", 500},
              {"kept for another device", "b\t1000000000\t100000\n", 500}};
  for (const auto& row : rows) {
    EnergyMeter next;
    next.SetDevices({Gpu("a")});
    next.Resume("p", {"a"}, At(0), row.saved);
    Counter(next, 10, "a", row.counter);
    Counter(next, 20, "a", row.counter + 100);
    EXPECT_EQ(next.End("p", At(0), At(20)), std::nullopt) << row.why;
  }
  EnergyMeter next;  // Power is not known for the time between.
  next.SetDevices({Gpu("a")});
  next.Resume("p", {"a"}, At(0), "a\t1000000000\t100000\n");
  Power(next, 10, "a", 100);
  Power(next, 20, "a", 100);
  EXPECT_EQ(next.End("p", At(0), At(20)), std::nullopt);
}

TEST_F(Energy, JoulesOfWhatRunsAreTakenOnce) {
  meter_.Begin("r", {"a", "b"}, At(0));
  Counter(meter_, 0, "a", 0);
  Counter(meter_, 5, "a", 50);
  EXPECT_EQ(meter_.TakeJoules("r"), 0);  // b is not measured yet
  Counter(meter_, 5, "b", 0);
  Counter(meter_, 10, "b", 20);
  EXPECT_EQ(meter_.TakeJoules("r"), 70);
  EXPECT_EQ(meter_.TakeJoules("r"), 0);
  EXPECT_EQ(meter_.TakeJoules("nobody"), 0);
}

}  // namespace
}  // namespace allot::agent
