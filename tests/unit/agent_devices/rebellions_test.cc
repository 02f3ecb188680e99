#include "agent/devices/rebellions/rebellions_vendor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "machine_kit.h"
#include "vendor_library.h"

namespace allot::agent {
namespace {

using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr const char* kFour = "npu-rbln-furiosa";     // four NPUs on one card
constexpr const char* kParts = "rebellions-ca22-vf";  // one on each, with virtual functions

TEST(Rebellions, TheToolAddsIdentityAndMemoryToWholeNpus) {
  RebellionsVendor vendor;
  const Discovery found = DiscoverWith(vendor, RecordedHost(kParts, true));
  ASSERT_THAT(found.devices, SizeIs(4));
  EXPECT_THAT(found.warnings, IsEmpty());
  const FoundDevice* npu = FindDevice(found, "0000:21:00.0");
  EXPECT_EQ(npu->uuid, "11111111-1111-4111-8111-000000000000");
  EXPECT_EQ(npu->device.memory, 16877879296);
  EXPECT_EQ(npu->memory_source, "cli");
  EXPECT_THAT(npu->source, HasSubstr("rbln-smi"));
  EXPECT_FALSE(FindDevice(found, "0000:21:00.1")->device.memory) << "nobody says whose it is";
  EXPECT_EQ(FindDevice(found, "0000:a1:00.0")->device.state, DeviceState::kUnhealthy);
}

TEST(Rebellions, SamplesInBaseUnits) {
  RebellionsVendor vendor;
  (void)DiscoverWith(vendor, RecordedHost(kParts, true));
  const std::vector<DeviceTelemetry> samples = vendor.Sample();
  ASSERT_THAT(samples, SizeIs(2));
  const DeviceTelemetry* npu = FindSample(samples, "0000:21:00.0");
  EXPECT_DOUBLE_EQ(*npu->temperature_celsius, 31);
  EXPECT_DOUBLE_EQ(*npu->power_watts, 17.5218);
  EXPECT_DOUBLE_EQ(*npu->utilization_ratio, 0.125);
  EXPECT_EQ(*npu->memory_used, 1048576);
}

TEST(Rebellions, ThePowerOfACardIsOfNoneOfItsNpus) {
  RebellionsVendor vendor;
  (void)DiscoverWith(vendor, RecordedHost(kFour, true));
  const std::vector<DeviceTelemetry> samples = vendor.Sample();
  ASSERT_THAT(samples, SizeIs(4));
  for (const DeviceTelemetry& sample : samples) {
    EXPECT_FALSE(sample.power_watts) << sample.id;
    EXPECT_TRUE(sample.temperature_celsius) << sample.id;
  }
}

TEST(Rebellions, WithoutTheToolTheNpusAreAsTheKernelShowsThem) {
  RebellionsVendor vendor;
  const Discovery found = DiscoverWith(vendor, RecordedHost(kFour));
  EXPECT_THAT(found.devices, SizeIs(4));
  EXPECT_THAT(found.warnings, IsEmpty());
  EXPECT_THAT(vendor.Sample(), IsEmpty());
}

class BrokenTool : public ::testing::Test {
 protected:
  const kit::Machine machine_{kFour, std::string(ALLOT_SOURCE_DIR) + "/tests/machines/" + kFour};
  kit::Copy copy_{machine_};
  RebellionsVendor vendor_;
};

TEST_F(BrokenTool, NonsenseIsSaidAndChangesNothing) {
  const std::string whole = copy_.Read("cli/rbln-smi.json");
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[]"), std::string("{\"devices\": 4}"),
        whole.substr(0, whole.size() - 1), std::string("Segmentation fault\n")}) {
    copy_.Write("cli/rbln-smi.json", text);
    const Discovery found = DiscoverWith(vendor_, *Host::Recorded(copy_.folder(), {.tools = true}));
    ASSERT_THAT(found.devices, SizeIs(4)) << text;
    EXPECT_FALSE(found.devices[0].device.memory) << text;
    EXPECT_THAT(found.warnings, Contains(HasSubstr("rbln-smi"))) << text;
    EXPECT_THAT(vendor_.Sample(), IsEmpty()) << text;
  }
}

// A tool that counts how often it was asked, and hangs if `hangs` is there.
TEST_F(BrokenTool, OneThatHangsIsNotWaitedForAgainBeforeTheNextDiscovery) {
  const std::string asked = copy_.folder() + "/asked", hangs = copy_.folder() + "/hangs";
  copy_.WriteProgram("cli/rbln-smi", "#!/bin/sh\necho >> " + asked + "\n[ -e " + hangs +
                                         " ] && { sleep 1000 & wait; }\ncat " + copy_.folder() +
                                         "/cli/rbln-smi.json\n");
  const auto host =
      *Host::Recorded(copy_.folder(), {.tools = true, .programs = std::chrono::milliseconds(200)});
  const auto times = [&] { return copy_.Has("asked") ? copy_.Read("asked").size() : 0; };
  copy_.Write("hangs", "");
  Discovery found = DiscoverWith(vendor_, host);
  EXPECT_THAT(found.devices, SizeIs(4));
  EXPECT_THAT(found.warnings, Contains(HasSubstr("has not answered")));
  const size_t before = times();
  EXPECT_THAT(vendor_.Sample(), IsEmpty());
  EXPECT_EQ(times(), before);
}

TEST_F(BrokenTool, AnAnswerStandsForSomeSamples) {
  DiscoverWith(vendor_, *Host::Recorded(copy_.folder(), {.tools = true}));
  const std::vector<DeviceTelemetry> first = vendor_.Sample();
  ASSERT_THAT(first, SizeIs(4));
  copy_.Write("cli/rbln-smi.json", "{");
  for (int i = 1; i < 15; ++i)
    EXPECT_EQ(vendor_.Sample().at(0).temperature_celsius, first[0].temperature_celsius) << i;
  EXPECT_THAT(vendor_.Sample(), IsEmpty()) << "it was asked anew";
}

TEST(RblnSmi, WhatIsNotAsDocumentedIsAbsent) {
  const auto npus = rbln::ParseSmi(R"({"devices": [
      {"pci": {"bus_id": "0000:03:00.0"}, "temperature": "31", "card_power": "17W",
       "util": "101.0", "memory": {"used": "0.0B", "total": "15.7GiB"}, "sid": "1", "uuid": 7},
      {"pci": {"bus_id": "0000:04:00.0"}, "temperature": "31C", "card_power": "0uW", "util": "0.0",
       "memory": {"used": "0", "total": "16877879296"}},
      {"temperature": "31C"}, 4]})");
  ASSERT_TRUE(npus.ok()) << npus.status();
  ASSERT_THAT(*npus, SizeIs(2));
  const rbln::Npu& other = (*npus)[0];
  EXPECT_FALSE(other.celsius || other.card_watts || other.utilization || other.memory_total ||
               other.memory_used);
  EXPECT_EQ(other.uuid, "");
  const rbln::Npu& npu = (*npus)[1];
  EXPECT_EQ(npu.celsius, 31);
  EXPECT_EQ(npu.card_watts, 0) << "0 is a value";
  EXPECT_EQ(npu.utilization, 0);
  EXPECT_EQ(npu.memory_used, 0u);
}

}  // namespace
}  // namespace allot::agent
