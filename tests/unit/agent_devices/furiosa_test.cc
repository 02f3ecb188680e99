#include "agent/devices/furiosa/furiosa_vendor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vendor_library.h"

namespace allot::agent {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr const char* kNpu = "0000:81:00.0";

class Furiosa : public ::testing::Test {
 protected:
  ~Furiosa() override { unsetenv("FAKE_FURIOSA_SMI"); }
  Discovery Discover(FuriosaVendor& vendor) {
    return DiscoverWith(vendor, RecordedHost("npu-rbln-furiosa"));
  }
  DeviceTelemetry Sample(FuriosaVendor& vendor) {
    const std::vector<DeviceTelemetry> samples = vendor.Sample();
    const DeviceTelemetry* sample = FindSample(samples, kNpu);
    return sample != nullptr ? *sample : DeviceTelemetry{};
  }
  FuriosaVendor vendor_{{ALLOT_FAKE_FURIOSA_SMI}};
};

TEST_F(Furiosa, SamplesInBaseUnits) {
  const Discovery found = Discover(vendor_);
  EXPECT_THAT(found.warnings, IsEmpty());
  EXPECT_THAT(FindDevice(found, kNpu)->source, HasSubstr("furiosa_smi"));
  const DeviceTelemetry sample = Sample(vendor_);
  EXPECT_DOUBLE_EQ(*sample.power_watts, 38.4);
  EXPECT_DOUBLE_EQ(*sample.temperature_celsius, 40.98) << "the hottest place of the chip";
  EXPECT_FALSE(sample.energy_joules || sample.memory_used);
}

TEST_F(Furiosa, UtilisationIsWhatItsElementsDidBetweenTwoSamples) {
  (void)Discover(vendor_);
  EXPECT_FALSE(Sample(vendor_).utilization_ratio) << "one sample is no difference";
  EXPECT_DOUBLE_EQ(*Sample(vendor_).utilization_ratio, (0.5 + 1 + 0 + 0) / 4);
  (void)Discover(vendor_);
  EXPECT_DOUBLE_EQ(*Sample(vendor_).utilization_ratio, 0.375) << "also over a discovery";
}

TEST_F(Furiosa, CountersThatWereResetMeasureNothing) {
  (void)Discover(vendor_);
  (void)Sample(vendor_);
  setenv("FAKE_FURIOSA_SMI", "reset", 1);
  EXPECT_FALSE(Sample(vendor_).utilization_ratio);
}

TEST_F(Furiosa, WhatNoCardDrawsIsAbsent) {
  setenv("FAKE_FURIOSA_SMI", "milliwatts", 1);
  (void)Discover(vendor_);
  EXPECT_FALSE(Sample(vendor_).power_watts);
  EXPECT_TRUE(Sample(vendor_).temperature_celsius);
}

TEST_F(Furiosa, ANpuThatIsLostTellsNothing) {
  (void)Discover(vendor_);
  setenv("FAKE_FURIOSA_SMI", "lost", 1);
  const DeviceTelemetry sample = Sample(vendor_);
  EXPECT_FALSE(sample.power_watts || sample.temperature_celsius || sample.utilization_ratio);
}

TEST_F(Furiosa, AnOldLibraryTellsPowerAndNothingInAnotherLayout) {
  FuriosaVendor old({ALLOT_FAKE_FURIOSA_SMI_OLD});
  EXPECT_THAT(Discover(old).warnings, IsEmpty());
  (void)Sample(old);
  const DeviceTelemetry sample = Sample(old);
  EXPECT_DOUBLE_EQ(*sample.power_watts, 41);
  EXPECT_FALSE(sample.temperature_celsius) << "two ints are no double";
  EXPECT_FALSE(sample.utilization_ratio) << "counters without a core";
}

TEST_F(Furiosa, ANpuWithoutTheLibraryOrUnknownToItStaysAndAWarningSaysSo) {
  FuriosaVendor absent({"/no/such/library.so"}), other({ALLOT_FAKE_NVML});
  for (FuriosaVendor* vendor : {&absent, &other, &vendor_}) {
    setenv("FAKE_FURIOSA_SMI", "none", 1);
    const Discovery found = Discover(*vendor);
    ASSERT_THAT(found.devices, SizeIs(1));
    EXPECT_EQ(found.devices[0].device.state, DeviceState::kReady);
    EXPECT_THAT(found.warnings, SizeIs(1));
    EXPECT_THAT(found.warnings, Contains(HasSubstr("no telemetry")));
    EXPECT_THAT(vendor->Sample(), IsEmpty());
  }
  unsetenv("FAKE_FURIOSA_SMI");
  EXPECT_THAT(Discover(vendor_).warnings, IsEmpty()) << "it is asked again";
}

TEST_F(Furiosa, ALibraryThatDoesNotStartIsSaid) {
  setenv("FAKE_FURIOSA_SMI", "no-driver", 1);
  const Discovery found = Discover(vendor_);
  EXPECT_THAT(found.devices, SizeIs(1));
  EXPECT_THAT(found.warnings, Contains(HasSubstr("does not start")));
}

TEST_F(Furiosa, NeverOpenedIsNoNews) {
  FuriosaVendor without;
  EXPECT_FALSE(without.enriches());
  EXPECT_THAT(Discover(without).warnings, IsEmpty());
}

TEST_F(Furiosa, WhileTheLibraryHangsTheNpuStaysWithoutTelemetry) {
  setenv("FAKE_FURIOSA_SMI", "hang", 1);
  const auto inventory =
      InventoryOf(std::make_unique<FuriosaVendor>(std::vector<std::string>{ALLOT_FAKE_FURIOSA_SMI}),
                  RecordedHost("npu-rbln-furiosa"));
  EXPECT_THAT(inventory->DiscoverAll().devices, SizeIs(1)) << "only measuring hangs";
  EXPECT_TRUE(inventory->Poll(std::chrono::seconds(1)).warnings.empty());  // asks
  const Inventory::Update late = inventory->Poll(std::chrono::seconds(7));
  EXPECT_THAT(late.warnings, Contains(HasSubstr("degraded")));
  EXPECT_THAT(late.telemetry, IsEmpty());
  EXPECT_FALSE(late.changed) << "the device stays";
  LetGo(ALLOT_FAKE_FURIOSA_SMI);
  Inventory::Update update;
  while (update.telemetry.empty()) update = inventory->Poll(std::chrono::seconds(8));
  EXPECT_DOUBLE_EQ(*update.telemetry[0].power_watts, 38.4);
}

}  // namespace
}  // namespace allot::agent
