#include "agent/devices/health/monitor.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rapidcheck.h"

namespace allot::agent {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr const char* kRules =
    "gpu\txid\tin 13\tignore\t-\ts\n"
    "gpu\txid\tin 63\twarn\t60s\ts\n"
    "gpu\txid\tin 79\tquarantine\t-\ts\n"
    "gpu\txid\tany\twarn\t10s\ts\n"
    "gpu\tecc\t>= 1\tdrain\t30s\ts\n"
    "gpu\tcorrected\trises 100\tdrain\t60s\ts\n"
    "*\tover\t>= 0\tdrain\t20s\ts\n"
    "*\tover\t>= -5\twarn\t-\ts\n";

std::shared_ptr<const HealthRules> Rules() {
  return std::make_shared<const HealthRules>(*HealthRules::Parse(kRules, "test"));
}

Device DeviceAt(const std::string& id, const std::string& parent = "") {
  Device device;
  device.id = id;
  device.parent = parent;
  return device;
}

class Health : public ::testing::Test {
 protected:
  void Read(int second, std::vector<HealthSignal> signals) {
    monitor_.Observed(seconds(second), "gpu", signals);
  }
  void Xid(int second, double code) {
    monitor_.Happened(seconds(second), "gpu", {"a", "xid", code, true});
  }
  // The state of device "a" as text: "ready", "draining ecc".
  std::string At(int second, DeviceState base = DeviceState::kReady) const {
    Device device = DeviceAt("a");
    device.state = base;
    monitor_.Apply(seconds(second), &device);
    std::string text(ToString(device.state));
    for (const std::string& reason : device.health) text += " " + reason;
    return text;
  }
  HealthMonitor monitor_{Rules()};
};

TEST_F(Health, ALevelDrainsWhileItLastsAndForItsHold) {
  EXPECT_EQ(At(0), "ready");
  Read(10, {{"a", "ecc", 0}});
  EXPECT_EQ(At(10), "ready");
  Read(20, {{"a", "ecc", 2}});
  EXPECT_EQ(At(20), "draining ecc");
  EXPECT_EQ(At(500), "draining ecc");  // Nobody has read since: its vendor is late.
  Read(500, {{"a", "ecc", 2}});
  Read(505, {{"a", "ecc", 0}});
  EXPECT_EQ(At(529), "draining ecc");
  EXPECT_EQ(At(530), "ready");
}

TEST_F(Health, AReadingThatIsMissingEndsLikeOneThatIsFine) {
  Read(0, {{"a", "ecc", 1}});
  Read(5, {});
  EXPECT_EQ(At(29), "draining ecc");
  EXPECT_EQ(At(30), "ready");
}

TEST_F(Health, AFlappingLevelIsOneVerdict) {
  for (int second = 0; second < 300; second += 5) {
    Read(second, {{"a", "ecc", second % 2 == 0 ? 1.0 : 0.0}});
    EXPECT_EQ(At(second), "draining ecc") << second;
  }
}

TEST_F(Health, OtherVendorsReadingsEndNothing) {
  Read(0, {{"a", "ecc", 1}});
  monitor_.Observed(seconds(5), "other", {});
  EXPECT_EQ(At(100), "draining ecc");
}

TEST_F(Health, EventsAreJudgedByTheirCode) {
  Xid(0, 13);
  EXPECT_EQ(At(0), "ready");
  Xid(0, 63);
  EXPECT_EQ(At(0), "ready xid_63");
  Xid(1, 777);
  EXPECT_EQ(At(5), "ready xid_63 xid_other");
  EXPECT_EQ(At(11), "ready xid_63");
  EXPECT_EQ(At(60), "ready");
  Read(30, {});  // A full reading without it ends no event.
  EXPECT_EQ(At(31), "ready xid_63");
}

TEST_F(Health, AQuarantineLastsUntilAnOperatorClearsIt) {
  Xid(0, 79);
  Read(5, {{"a", "ecc", 1}});
  Read(10, {});
  EXPECT_EQ(At(1'000'000), "quarantined xid_79");
  EXPECT_EQ(At(12), "quarantined ecc xid_79");
  monitor_.Clear();
  EXPECT_EQ(At(12), "ready");
  Read(15, {{"a", "ecc", 1}});
  EXPECT_EQ(At(15), "draining ecc");
}

TEST_F(Health, TheFirstRowThatHoldsDecides) {
  Read(0, {{"a", "over", -10}});
  EXPECT_EQ(At(0), "ready");
  Read(5, {{"a", "over", -3}});
  EXPECT_EQ(At(5), "ready over");
  Read(10, {{"a", "over", 1}});
  EXPECT_EQ(At(10), "draining over");
  Read(15, {{"a", "over", -3}});
  EXPECT_EQ(At(29), "draining over");
  EXPECT_EQ(At(30), "ready over");
}

TEST_F(Health, GrowthIsCountedOverTheHoldAndOnce) {
  Read(0, {{"a", "corrected", 5000}});  // Whatever it was before we came.
  EXPECT_EQ(At(0), "ready");
  Read(30, {{"a", "corrected", 5060}});
  EXPECT_EQ(At(30), "ready");
  Read(50, {{"a", "corrected", 5100}});
  EXPECT_EQ(At(50), "draining corrected");
  Read(55, {{"a", "corrected", 5100}});
  EXPECT_EQ(At(109), "draining corrected");
  EXPECT_EQ(At(110), "ready");
}

TEST_F(Health, SlowGrowthAndResetsOfACounterAreNothing) {
  double count = 0;
  for (int second = 0; second < 3600; second += 5) {
    count += 5;  // 60 in a minute
    if (second == 1800) count = 0;
    Read(second, {{"a", "corrected", count}});
    ASSERT_EQ(At(second), "ready") << second;
  }
}

TEST_F(Health, PartsAndSharesFollowTheWhole) {
  Xid(0, 79);
  for (const Device& device :
       {DeviceAt("a/gi1/ci0"), DeviceAt("x0", "a"), DeviceAt("x1", "a/gi1/ci0")})
    EXPECT_EQ(monitor_.Judge(seconds(1), device).action, HealthAction::kQuarantine) << device.id;
  for (const Device& device : {DeviceAt("ab"), DeviceAt("b"), DeviceAt("b", "ab")})
    EXPECT_EQ(monitor_.Judge(seconds(1), device), HealthVerdict()) << device.id;
}

TEST_F(Health, StatesThatAreNotOursToChangeStay) {
  Xid(0, 79);
  for (const DeviceState base :
       {DeviceState::kNoDriver, DeviceState::kReserved, DeviceState::kUnsupported})
    EXPECT_EQ(At(1, base), std::string(ToString(base)) + " xid_79");
  EXPECT_EQ(At(1, DeviceState::kUnhealthy), "quarantined xid_79");
}

TEST_F(Health, WarningsChangeNoState) {
  Xid(0, 63);
  EXPECT_EQ(At(1, DeviceState::kUnhealthy), "unhealthy xid_63");
}

// Whatever is read: reasons are of the closed list, a quarantine stays, the memory is bounded by
// what is judged, and what nobody supports any more is gone after the longest hold.
TEST(HealthProperty, AnyReadingsKeepItsPromises) {
  EXPECT_TRUE(rc::check([] {
    const auto rules = Rules();
    const std::vector<std::string> closed = rules->Reasons();
    HealthMonitor monitor(rules);
    bool quarantined = false;
    int64_t now = 0;
    const auto steps = *rc::gen::inRange(0, 60);
    for (int step = 0; step < steps; ++step) {
      now += *rc::gen::inRange<int64_t>(0, 40'000'000);
      std::vector<HealthSignal> signals;
      for (int i = *rc::gen::inRange(0, 4); i > 0; --i)
        signals.push_back(
            {"a", *rc::gen::element<std::string>("xid", "ecc", "corrected", "over", "unknown"),
             static_cast<double>(*rc::gen::element(0, 1, 13, 63, 79, -6, 100, 1'000'000)),
             *rc::gen::arbitrary<bool>()});
      monitor.Observed(Duration(now), *rc::gen::element<std::string>("gpu", "other"), signals);
      const HealthVerdict verdict = monitor.Judge(Duration(now), DeviceAt("a"));
      for (const std::string& reason : verdict.reasons)
        RC_ASSERT(std::find(closed.begin(), closed.end(), reason) != closed.end());
      RC_ASSERT(!quarantined || verdict.action == HealthAction::kQuarantine);
      quarantined = verdict.action == HealthAction::kQuarantine;
    }
    monitor.Observed(Duration(now), "gpu", {});
    monitor.Observed(Duration(now), "other", {});
    const HealthVerdict later = monitor.Judge(Duration(now) + seconds(61), DeviceAt("a"));
    RC_ASSERT(later.action == (quarantined ? HealthAction::kQuarantine : HealthAction::kIgnore));
  }));
}

}  // namespace
}  // namespace allot::agent
