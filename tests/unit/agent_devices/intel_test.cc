#include "agent/devices/intel/intel_vendor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "machine_kit.h"
#include "vendor_library.h"

namespace allot::agent {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kFlexAndArc = "intel-flex170-arc-b60";
constexpr const char* kTiles = "0000:17:00.0";
constexpr const char* kPlain = "0000:81:00.0";
constexpr const char* kReserved = "0000:31:00.0";  // level-zero does not know it

class LevelZero : public ::testing::Test {
 protected:
  ~LevelZero() override { unsetenv("FAKE_ZE"); }
  Discovery Discover(IntelVendor& vendor) {
    return DiscoverWith(vendor, RecordedHost(kFlexAndArc));
  }
  DeviceTelemetry Sample(const char* id) {
    const std::vector<DeviceTelemetry> samples = vendor_.Sample();
    const DeviceTelemetry* sample = FindSample(samples, id);
    return sample != nullptr ? *sample : DeviceTelemetry{};
  }
  IntelVendor vendor_{{ALLOT_FAKE_ZE_LOADER}};
};

TEST_F(LevelZero, MemoryTakesThePlaceOfANominalSizeAlone) {
  const Discovery found = Discover(vendor_);
  EXPECT_THAT(found.warnings, IsEmpty());
  const FoundDevice* tiles = FindDevice(found, kTiles);
  EXPECT_EQ(tiles->device.memory, 15'000'000'000) << "both tiles, without the host's";
  EXPECT_EQ(tiles->memory_source, "level-zero");
  EXPECT_THAT(tiles->source, HasSubstr("level-zero"));
  EXPECT_EQ(FindDevice(found, kPlain)->memory_source, "sysfs");
}

TEST_F(LevelZero, UtilisationIsWhatTheTilesDidBetweenTwoSamples) {
  (void)Discover(vendor_);
  EXPECT_FALSE(Sample(kTiles).utilization_ratio) << "one sample is no difference";
  EXPECT_DOUBLE_EQ(*Sample(kTiles).utilization_ratio, 0.6) << "0.3 and 0.9; copies are in them";
  EXPECT_DOUBLE_EQ(*Sample(kPlain).utilization_ratio, 0.25) << "of the compute engines";
  (void)Discover(vendor_);
  EXPECT_DOUBLE_EQ(*Sample(kTiles).utilization_ratio, 0.6) << "also over a discovery";
  setenv("FAKE_ZE", "still", 1);
  EXPECT_FALSE(Sample(kTiles).utilization_ratio);
}

TEST_F(LevelZero, FillsInWhatHwmonLacks) {
  IntelVendor kernel;
  (void)Discover(kernel);
  (void)Discover(vendor_);
  const std::vector<DeviceTelemetry> by_kernel = kernel.Sample();
  const DeviceTelemetry tiles = Sample(kTiles), plain = Sample(kPlain);
  EXPECT_EQ(tiles.memory_used, 1'000'000'000);
  EXPECT_EQ(tiles.temperature_celsius, 53) << "the hotter of two, not the fan's nor the memory's";
  EXPECT_EQ(tiles.memory_temperature_celsius, 47);
  EXPECT_EQ(tiles.energy_joules, FindSample(by_kernel, kTiles)->energy_joules);
  EXPECT_EQ(plain.temperature_celsius, FindSample(by_kernel, kPlain)->temperature_celsius);
  EXPECT_FALSE(plain.memory_used) << "it may not be asked";
}

TEST_F(LevelZero, EnergyIsOfTheCardWhereHwmonHasNone) {
  const kit::Copy copy(
      {kFlexAndArc, std::string(ALLOT_SOURCE_DIR) + "/tests/machines/" + kFlexAndArc});
  for (const char* card : {kTiles, kPlain})
    copy.Remove(std::string("sys/bus/pci/devices/") + card + "/hwmon");
  (void)DiscoverWith(vendor_, copy.host());
  EXPECT_EQ(Sample(kTiles).energy_joules, 77.5);
  EXPECT_FALSE(Sample(kPlain).energy_joules);
}

TEST_F(LevelZero, NothingIsFoundByItAndNothingIsLost) {
  IntelVendor kernel;
  const Discovery without = Discover(kernel), found = Discover(vendor_);
  ASSERT_EQ(found.devices.size(), without.devices.size());
  for (size_t i = 0; i < found.devices.size(); ++i) {
    EXPECT_EQ(found.devices[i].device.id, without.devices[i].device.id);
    EXPECT_EQ(found.devices[i].device.state, without.devices[i].device.state);
  }
  EXPECT_EQ(FindDevice(found, "0000:00:02.0"), nullptr) << "the processor's own graphics";
  EXPECT_EQ(FindDevice(found, kReserved)->device.state, DeviceState::kReserved);
}

TEST_F(LevelZero, WithoutItOrIfItFailsGpusStay) {
  IntelVendor absent({"/no/such/library.so"}), other({ALLOT_FAKE_NVML});
  EXPECT_THAT(Discover(absent).warnings, IsEmpty()) << "the kernel tells the rest";
  EXPECT_THAT(Discover(other).warnings, Contains(HasSubstr("lacks functions")));
  for (const char* mode : {"no-driver", "no-list"}) {
    setenv("FAKE_ZE", mode, 1);
    const Discovery failed = Discover(vendor_);
    EXPECT_EQ(FindDevice(failed, kTiles)->memory_source, "table") << mode;
    EXPECT_THAT(failed.warnings, Contains(HasSubstr("level-zero"))) << mode;
    EXPECT_FALSE(Sample(kTiles).memory_used) << mode;
  }
  unsetenv("FAKE_ZE");
  EXPECT_EQ(FindDevice(Discover(vendor_), kTiles)->memory_source, "level-zero");
}

TEST_F(LevelZero, WhileItHangsGpusAreAsTheKernelShowsThem) {
  setenv("FAKE_ZE", "hang", 1);
  const auto inventory =
      InventoryOf(std::make_unique<IntelVendor>(std::vector<std::string>{ALLOT_FAKE_ZE_LOADER}),
                  RecordedHost(kFlexAndArc), ALLOT_FAKE_ZE_LOADER);
  const Discovery found = inventory->DiscoverAll();
  EXPECT_EQ(FindDevice(found, kTiles)->memory_source, "table");
  EXPECT_THAT(found.warnings, Contains(HasSubstr("intel")));
  LetGo(ALLOT_FAKE_ZE_LOADER);
  Inventory::Update update;
  while (!update.changed) update = inventory->Poll(Duration{});
  EXPECT_EQ(FindDevice(*update.changed, kTiles)->memory_source, "level-zero");
}

}  // namespace
}  // namespace allot::agent
