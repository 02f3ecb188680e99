// Every vendor folder on its recorded machines: discover, lose a device and get it back, and files
// that are missing, empty, cut or nonsense.
//
// All files are broken in all ways with ALLOT_BREAK_ALL=1; else a fixed choice of them.
#include <cstdlib>
#include <map>
#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/devices/amd/amd_vendor.h"
#include "agent/devices/habana/habana_vendor.h"
#include "agent/devices/neuron/neuron_vendor.h"
#include "agent/devices/nvidia/nvidia_vendor.h"
#include "common/base/rng.h"
#include "machine_kit.h"

namespace allot::agent {
namespace {

using kit::Copy;
using testing::IsEmpty;

class OnMachine : public testing::TestWithParam<kit::Machine> {
 protected:
  json::object expected_ = kit::Expected(GetParam());
};

std::string NameOf(const testing::TestParamInfo<kit::Machine>& info) {
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

// Takes away everything whose path names the device, and the links of it. Returns the texts.
std::map<std::string, std::string> Unplug(const Copy& copy, const std::string& part) {
  std::map<std::string, std::string> taken;
  for (const std::string& file : copy.Files())
    if (("/" + file).find("/" + part + "/") != std::string::npos || file == "links.txt")
      taken[file] = copy.Read(file);
  for (const auto& [file, text] : taken) copy.Remove(file);
  // Folders too, as a driver would take them away.
  for (const char* folder :
       {"sys/bus/pci/devices/", "proc/driver/nvidia/gpus/", "sys/devices/virtual/neuron_device/"})
    copy.Remove(folder + part);
  std::string kept;
  std::istringstream lines(taken["links.txt"]);
  for (std::string line; std::getline(lines, line);)
    if (line.find(part) == std::string::npos) kept += line + "\n";
  copy.Write("links.txt", kept);
  return taken;
}

TEST_P(OnMachine, ADeviceThatGoesIsGoneAloneAndComesBack) {
  const json::array& devices = expected_.at("devices").as_array();
  const Copy copy(GetParam());
  for (const size_t i : {size_t{0}, devices.size() / 2}) {
    if (i >= devices.size()) continue;
    const std::string id(devices[i].at("id").as_string());
    const std::string part = id.substr(0, id.find('/'));
    const std::map<std::string, std::string> taken = Unplug(copy, part);
    const json::object got = kit::Discover(copy.host());
    std::set<std::string> left;
    for (const json::value& device : got.at("devices").as_array())
      left.insert(std::string(device.at("id").as_string()));
    for (const json::value& device : devices) {
      const std::string other(device.at("id").as_string());
      EXPECT_EQ(left.contains(other), other.substr(0, other.find('/')) != part) << other;
    }
    for (const auto& [file, text] : taken) copy.Write(file, text);
    EXPECT_THAT(kit::Differences(expected_, kit::Discover(copy.host())), IsEmpty());
  }
}

std::vector<std::string> Broken(const std::string& text, Rng& rng) {
  std::string noise(64, ' ');
  for (char& c : noise) c = static_cast<char>(rng.Below(256));
  return {"",
          text.substr(0, text.size() / 2),
          text.substr(0, text.size() - std::min<size_t>(text.size(), 1)),
          noise,
          "garbage\n",
          "99999999999999999999999\n",
          "-1\n",
          "0\n",
          "12345\n"};
}

TEST_P(OnMachine, ABrokenFileIsNeverAWrongSizeAPhantomOrACrash) {
  const bool all = getenv("ALLOT_BREAK_ALL") != nullptr;
  const Copy copy(GetParam());
  Rng rng(std::hash<std::string>{}(GetParam().name));
  const std::vector<std::string> files = copy.Files();
  constexpr size_t kChosen = 60;
  for (const std::string& file : files) {
    const std::string text = copy.Read(file);
    const std::vector<std::string> ways = Broken(text, rng);
    for (size_t way = 0; way <= ways.size(); ++way) {
      if (!all && rng.Below(files.size() * (ways.size() + 1)) >= kChosen) continue;
      if (way == ways.size()) {
        copy.Remove(file);
      } else {
        copy.Write(file, ways[way]);
      }
      EXPECT_THAT(kit::Violations(expected_, kit::Discover(copy.host())), IsEmpty())
          << file << ", way " << way;
    }
    copy.Write(file, text);
  }
  EXPECT_THAT(kit::Differences(expected_, kit::Discover(copy.host())), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Recorded, OnMachine, testing::ValuesIn(kit::RecordedMachines()), NameOf);

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
