// Discovery on the recorded machines. What every vendor must do on its own is in tests/conformance,
// and so is what happens when files are broken.
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/devices/amd/amd_vendor.h"
#include "agent/devices/habana/habana_vendor.h"
#include "agent/devices/neuron/neuron_vendor.h"
#include "agent/devices/nvidia/nvidia_vendor.h"
#include "machine_kit.h"

namespace allot::agent {
namespace {

using kit::Copy;
using ::testing::IsEmpty;

class OnMachine : public ::testing::TestWithParam<kit::Machine> {
 protected:
  json::object expected_ = kit::Expected(GetParam());
};

std::string NameOf(const ::testing::TestParamInfo<kit::Machine>& info) {
  std::string name = info.param.name;
  for (char& c : name)
    if (c == '-') c = '_';
  return name;
}

TEST_P(OnMachine, DiscoveryIsAsExpected) {
  EXPECT_THAT(kit::Differences(expected_, kit::Discover(*Host::Recorded(GetParam().folder))),
              IsEmpty());
}

TEST_P(OnMachine, RealLinksAreAsGoodAsListedOnes) {
  const Copy copy(GetParam());
  copy.MakeLinksReal();
  EXPECT_THAT(kit::Differences(expected_, kit::Discover(copy.host())), IsEmpty());
}

TEST_P(OnMachine, ADeviceThatGoesIsGoneAloneAndComesBack) {
  const json::array& devices = expected_.at("devices").as_array();
  const Copy copy(GetParam());
  for (const size_t i : {size_t{0}, devices.size() / 2}) {
    if (i >= devices.size()) continue;
    const std::string id(devices[i].at("id").as_string());
    const std::string part = id.substr(0, id.find('/'));
    const kit::Unplugged unplugged(copy, part);
    const json::object got = kit::Discover(copy.host());
    std::set<std::string> left;
    for (const json::value& device : got.at("devices").as_array())
      left.insert(std::string(device.at("id").as_string()));
    for (const json::value& device : devices) {
      const std::string other(device.at("id").as_string());
      EXPECT_EQ(left.contains(other), other.substr(0, other.find('/')) != part) << other;
    }
    unplugged.PlugIn();
    EXPECT_THAT(kit::Differences(expected_, kit::Discover(copy.host())), IsEmpty());
  }
}

INSTANTIATE_TEST_SUITE_P(Recorded, OnMachine, ::testing::ValuesIn(kit::RecordedMachines()), NameOf);

std::shared_ptr<const Host> HostOf(const std::string& machine, bool tools = false) {
  return *Host::Recorded(std::string(ALLOT_SOURCE_DIR) + "/tests/machines/" + machine,
                         {.tools = tools});
}

TEST(Machines, ThirteenAreRecorded) { EXPECT_GE(kit::RecordedMachines().size(), 13u); }

TEST(Machines, WithoutItsLibraryAGpuStaysAndAWarningSaysWhatIsMissing) {
  NvidiaVendor vendor({"/no/such/library.so"});
  const auto machine = Snapshot::Take(HostOf("nvidia-8xh100-sxm"));
  Discovery found = vendor.Discover(*machine);
  vendor.Enrich(&found);
  ASSERT_EQ(found.devices.size(), 8u);
  EXPECT_EQ(found.devices[0].memory_source, "table");
  ASSERT_EQ(found.warnings.size(), 1u);
  EXPECT_NE(found.warnings[0].find("without telemetry and with nominal memory"), std::string::npos);
}

TEST(Machines, NeuronLsAddsWhereAChipIsAndItsMemory) {
  NeuronVendor vendor;
  Discovery found = vendor.Discover(*Snapshot::Take(HostOf("aws-inf2-48xlarge", true)));
  EXPECT_EQ(found.devices[0].device.numa_node, -1);
  vendor.Enrich(&found);
  ASSERT_EQ(found.devices.size(), 12u);
  EXPECT_EQ(found.devices[0].device.id, "neuron0");
  EXPECT_EQ(found.devices[0].device.numa_node, 0);
  EXPECT_EQ(found.devices[0].device.memory, 34359738368);
  EXPECT_EQ(found.devices[0].memory_source, "cli");
  EXPECT_EQ(found.devices[0].facts.back().source, "neuron-ls");
  EXPECT_EQ(found.devices[11].device.numa_node, 1);
  EXPECT_THAT(found.warnings, IsEmpty());
}

TEST(Machines, HlSmiAddsMemoryOfTheCardsItKnows) {
  HabanaVendor vendor;
  Discovery found = vendor.Discover(*Snapshot::Take(HostOf("intel-8xgaudi2", true)));
  vendor.Enrich(&found);
  ASSERT_EQ(found.devices.size(), 8u);
  EXPECT_EQ(found.devices[0].memory_source, "cli");
  EXPECT_EQ(found.devices[0].device.memory, 98304 * kMiB);
  EXPECT_EQ(found.devices[5].memory_source, "table");  // the Disabled one
}

TEST(Machines, SamplesAreTheSensorsOfDiscoveryInBaseUnits) {
  AmdVendor vendor;
  (void)vendor.Discover(*Snapshot::Take(HostOf("amd-8xmi300x-spx")));
  const std::vector<DeviceTelemetry> samples = vendor.Sample();
  ASSERT_EQ(samples.size(), 8u);
  EXPECT_EQ(samples[0].id, "0000:05:00.0");
  EXPECT_DOUBLE_EQ(*samples[0].power_watts, 402);
  EXPECT_DOUBLE_EQ(*samples[0].temperature_celsius, 61);
  EXPECT_DOUBLE_EQ(*samples[0].utilization_ratio, 0.37);
  EXPECT_EQ(*samples[0].memory_used, 297332736);
  EXPECT_FALSE(samples[0].energy_joules);
}

}  // namespace
}  // namespace allot::agent
