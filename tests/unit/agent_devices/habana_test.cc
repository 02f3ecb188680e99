#include "agent/devices/habana/habana_vendor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "folder.h"
#include "vendor_library.h"

namespace allot::agent {
namespace {

using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr const char* kGaudis = "intel-8xgaudi2";
constexpr const char* kKnown = "0000:19:00.0";
constexpr const char* kPoor = "0000:1a:00.0";      // HLML knows it and measures little
constexpr const char* kUnknown = "0000:33:00.0";   // HLML does not know it
constexpr const char* kDisabled = "0000:9b:00.0";  // nor does it know this one

class Habana : public ::testing::Test {
 protected:
  ~Habana() override { unsetenv("FAKE_HLML"); }
  HabanaVendor vendor_{{ALLOT_FAKE_HLML}};
};

TEST_F(Habana, HlmlAddsIdentityAndTheMemoryItMeasures) {
  const Discovery found = DiscoverWith(vendor_, RecordedHost(kGaudis));
  ASSERT_THAT(found.devices, SizeIs(8));
  const FoundDevice* card = FindDevice(found, kKnown);
  EXPECT_EQ(card->uuid, "01P0-HL2080A0-15-TF8A77-03-02-00");
  EXPECT_EQ(card->device.memory, 103079215104 - 4096);
  EXPECT_EQ(card->memory_source, "hlml");
  EXPECT_THAT(card->source, HasSubstr("HLML 1.22.0"));
  EXPECT_EQ(card->device.visible_value, "2") << "the kernel's word stays";
}

TEST_F(Habana, ACardThatHlmlDoesNotKnowStaysAndAWarningSaysSo) {
  const Discovery found = DiscoverWith(vendor_, RecordedHost(kGaudis));
  const FoundDevice* card = FindDevice(found, kUnknown);
  ASSERT_NE(card, nullptr);
  EXPECT_EQ(card->device.state, DeviceState::kReady);
  EXPECT_EQ(card->memory_source, "table");
  EXPECT_TRUE(card->uuid.empty());
  EXPECT_THAT(found.warnings, Contains(HasSubstr(kUnknown)));
  EXPECT_THAT(found.warnings, Each(::testing::Not(HasSubstr(kDisabled)))) << "nobody can use it";
  EXPECT_EQ(FindDevice(found, "0000:ff:00.0"), nullptr) << "the kernel does not show it";
}

TEST_F(Habana, SamplesInBaseUnitsAndLeavesOutWhatIsUnknown) {
  (void)DiscoverWith(vendor_, RecordedHost(kGaudis));
  const std::vector<DeviceTelemetry> samples = vendor_.Sample();
  const DeviceTelemetry* card = FindSample(samples, kKnown);
  ASSERT_NE(card, nullptr);
  EXPECT_DOUBLE_EQ(*card->utilization_ratio, 0.42);
  EXPECT_DOUBLE_EQ(*card->energy_joules, 7000.25);
  EXPECT_EQ(*card->memory_used, 805306368);
  const DeviceTelemetry* poor = FindSample(samples, kPoor);
  EXPECT_FALSE(poor->utilization_ratio) << "4000 % is none";
  EXPECT_FALSE(poor->energy_joules || poor->memory_used);
}

TEST_F(Habana, WhatHwmonMeasuresStaysAndHlmlFillsTheRest) {
  HabanaVendor without;
  (void)DiscoverWith(without, RecordedHost(kGaudis));
  (void)DiscoverWith(vendor_, RecordedHost(kGaudis));
  const auto sysfs = without.Sample(), both = vendor_.Sample();
  ASSERT_NE(FindSample(sysfs, kKnown), nullptr);
  EXPECT_EQ(FindSample(both, kKnown)->power_watts, FindSample(sysfs, kKnown)->power_watts);
  EXPECT_EQ(FindSample(both, kKnown)->temperature_celsius,
            FindSample(sysfs, kKnown)->temperature_celsius);
  // A machine whose driver has no hwmon.
  const auto sample = [&](const char* id) {
    const std::vector<DeviceTelemetry> samples = vendor_.Sample();
    return *FindSample(samples, id);
  };
  Folder bare;
  for (const char* file : {"vendor", "class"})
    bare.Write(std::string("sys/bus/pci/devices/0000:19:00.0/") + file,
               file == std::string("vendor") ? "0x1da3\n" : "0x120000\n");
  (void)DiscoverWith(vendor_, bare.host());
  EXPECT_DOUBLE_EQ(*sample(kKnown).power_watts, 98.765);
  EXPECT_DOUBLE_EQ(*sample(kKnown).temperature_celsius, 33) << "of the chip, not of the board";
}

TEST_F(Habana, WithoutHlmlTheToolIsAsked) {
  HabanaVendor vendor({"/no/such/library.so"});
  const Discovery found = DiscoverWith(vendor, RecordedHost(kGaudis, true));
  EXPECT_EQ(FindDevice(found, kKnown)->memory_source, "cli");
  EXPECT_THAT(found.warnings, IsEmpty()) << "no library is no news";
  EXPECT_THAT(vendor.Sample(), Each(::testing::Field(&DeviceTelemetry::utilization_ratio,
                                                     ::testing::Eq(std::nullopt))));
}

TEST_F(Habana, ALibraryWithoutItsFunctionsIsSaidAndTheToolIsAsked) {
  HabanaVendor vendor({ALLOT_FAKE_NVML});
  const Discovery found = DiscoverWith(vendor, RecordedHost(kGaudis, true));
  EXPECT_THAT(found.devices, SizeIs(8));
  EXPECT_EQ(FindDevice(found, kKnown)->memory_source, "cli");
  EXPECT_THAT(found.warnings, Contains(HasSubstr("lacks functions")));
}

TEST_F(Habana, ALibraryThatFailsIsSaidAndTheCardsStay) {
  for (const char* mode : {"no-driver", "no-count"}) {
    setenv("FAKE_HLML", mode, 1);
    const Discovery found = DiscoverWith(vendor_, RecordedHost(kGaudis));
    EXPECT_THAT(found.devices, SizeIs(8)) << mode;
    EXPECT_EQ(FindDevice(found, kKnown)->memory_source, "table") << mode;
    EXPECT_THAT(found.warnings, Contains(HasSubstr("HLML"))) << mode;
  }
  unsetenv("FAKE_HLML");
  EXPECT_EQ(FindDevice(DiscoverWith(vendor_, RecordedHost(kGaudis)), kKnown)->memory_source, "hlml")
      << "it is asked again at the next discovery";
}

TEST_F(Habana, WhileHlmlHangsTheCardsAreAsTheKernelShowsThem) {
  setenv("FAKE_HLML", "hang", 1);
  const auto inventory =
      InventoryOf(std::make_unique<HabanaVendor>(std::vector<std::string>{ALLOT_FAKE_HLML}),
                  RecordedHost(kGaudis), ALLOT_FAKE_HLML);
  const Discovery found = inventory->DiscoverAll();
  EXPECT_THAT(found.devices, SizeIs(8));
  EXPECT_EQ(FindDevice(found, kKnown)->memory_source, "table");
  EXPECT_THAT(found.warnings, Contains(HasSubstr("habana")));
  LetGo(ALLOT_FAKE_HLML);
  Inventory::Update update;
  while (!update.changed) update = inventory->Poll(Duration{});
  EXPECT_EQ(FindDevice(*update.changed, kKnown)->memory_source, "hlml");
}

}  // namespace
}  // namespace allot::agent
