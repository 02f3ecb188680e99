#include "agent/devices/compose.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/devices/describe.h"
#include "agent/devices/inventory.h"
#include "agent/devices/registry.h"
#include "common/json/json.h"
#include "folder.h"

namespace allot::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

FoundDevice Named(const std::string& id, const std::string& model = "nvidia/a100-sxm-40g") {
  FoundDevice found;
  found.device = {.id = id, .model = model, .nodes = {"/dev/" + id}};
  return found;
}

FoundDevice Instance(int gi, int ci, std::optional<Bytes> memory) {
  FoundDevice found = Named("g/gi" + std::to_string(gi) + "/ci" + std::to_string(ci));
  found.partition = Partition{.scheme = "mig", .parent = "g", .gi = gi, .ci = ci};
  found.device.memory = memory;
  return found;
}

TEST(Compose, PartitionsNameTheirParentAndHowMuchOfItTheyAre) {
  Discovery found;
  found.devices = {Instance(1, 0, 20 * kGiB),    Instance(2, 0, 5 * kGiB),
                   Instance(3, 0, 10 * kGiB),    Instance(3, 1, 10 * kGiB),
                   Instance(4, 0, std::nullopt), Named("whole")};
  NameParents(Catalogue::BuiltIn(), &found);
  SetPower(Catalogue::BuiltIn(), &found);
  std::vector<int32_t> parts;
  for (const FoundDevice& f : found.devices) parts.push_back(f.device.part_millis);
  // 20, 5 and 10 of 40 GiB; two compute instances have one GPU instance's 10; the fifth of five.
  EXPECT_THAT(parts, ElementsAre(500, 125, 125, 125, 200, 1000));
  EXPECT_EQ(found.devices[0].device.parent, "g");
  EXPECT_EQ(found.devices[5].device.parent, "");
  EXPECT_EQ(found.devices[0].device.power_max, 200'000);
  EXPECT_EQ(found.devices[5].device.power_max, 400'000);
}

TEST(Compose, AVendorsPowerLimitIsBetterThanTheCatalogues) {
  Discovery found;
  found.devices = {Named("a"), Named("b", "nobody/knows"), Named("c", "amd/epyc-9654"),
                   Named("d", "amd/epyc-9654")};
  found.devices[0].device.power_max = 250'000;
  for (const size_t i : {2u, 3u}) found.devices[i].device.kind = DeviceKind::kCpu;
  found.devices[2].device.cores = 192;
  found.devices[3].device.cores = 24;  // of a virtual machine: a quarter of the 96
  SetPower(Catalogue::BuiltIn(), &found);
  EXPECT_EQ(found.devices[0].device.power_max, 250'000);
  EXPECT_FALSE(found.devices[1].device.power_max);
  EXPECT_EQ(found.devices[2].device.power_max, 360'000);
  EXPECT_EQ(found.devices[3].device.power_max, 90'000);
}

TEST(Compose, SharesBeyondTheLimitAreLeftOut) {
  Folder machine;
  Discovery found;
  for (int i = 0; i < 3; ++i) found.devices.push_back(Named("g" + std::to_string(i)));
  found.groups = {{"nvlink", {"g0", "g1"}, ""}};
  Composition how;
  config::DeviceShares row;
  row.set_match("g2");
  row.set_mode("time_slice");
  row.set_shares(64);
  how.sharing = {row, row};
  how.sharing[0].set_match("g0");
  how.sharing.push_back(row);
  how.sharing[2].set_match("g1");
  Compose(how, *machine.host(), &found);
  EXPECT_EQ(found.devices.size(), DeviceSet::kMax);
  EXPECT_THAT(found.warnings, ElementsAre(HasSubstr("64 devices are left out, from g2/s0 on")));
  EXPECT_TRUE(found.groups.empty());
}

TEST(Compose, FindsTheMpsDaemonByItsPipe) {
  Folder machine;
  machine.Write("env.txt", "CUDA_MPS_PIPE_DIRECTORY=/run/mps\n");
  const auto compose = [&] {
    Discovery found;
    found.devices = {Named("g0")};
    found.devices[0].device.vendor = "nvidia";
    Composition how;
    how.sharing.resize(1);
    how.sharing[0].set_match("*");
    how.sharing[0].set_mode("mps");
    how.sharing[0].set_shares(2);
    Compose(how, *machine.host(), &found);
    return found;
  };
  const Discovery without = compose();
  EXPECT_THAT(without.warnings, ElementsAre(HasSubstr("/run/mps")));
  EXPECT_EQ(without.devices.at(0).device.environment.at("CUDA_MPS_PIPE_DIRECTORY"), "/run/mps");
  machine.Write("run/mps/control", "");
  EXPECT_TRUE(compose().warnings.empty());
}

TEST(Compose, NothingIsKeptApartWhereTheHostDoesNot) {
  Folder machine;
  Discovery found;
  found.devices = {Named("g0"), Named("cpu0")};
  found.devices[1].device.kind = DeviceKind::kCpu;
  Composition how;
  how.isolation = {.device_filter = false, .memory_limit = false};
  Compose(how, *machine.host(), &found);
  for (const FoundDevice& f : found.devices)
    EXPECT_EQ(f.device.isolation, Isolation::kShared) << f.device.id;
}

TEST(Compose, IsShownByDiscover) {
  const auto host = *Host::Recorded(ALLOT_SOURCE_DIR "/tests/machines/amd-2xmi300x-cpx-spx");
  auto vendors = MakeVendors({}, Catalogue::BuiltIn(), host);
  Inventory inventory(*std::move(vendors), host);
  const Discovery found = inventory.DiscoverAll();
  const json::value shown = json::parse(DiscoveryJson(found, ReadCpuMachine(*host)));
  size_t partitions = 0;
  for (const json::value& device : shown.at("devices").as_array()) {
    EXPECT_EQ(device.at("source"), "detected");
    const bool partition = !device.at("partition").is_null();
    partitions += partition ? 1 : 0;
    EXPECT_EQ(device.at("isolation"), partition ? "memory" : "hard");
    EXPECT_EQ(device.at("parent").is_null(), !partition);
    EXPECT_EQ(device.at("power_max_watts").as_double(), partition ? 93.75 : 750.0);
  }
  EXPECT_EQ(partitions, 8u);
  const std::string text = DiscoveryText(found, ReadCpuMachine(*host));
  EXPECT_THAT(text, HasSubstr("ISOLATION"));
  EXPECT_THAT(text, HasSubstr("memory    ready"));
  Discovery ignoring;
  ignoring.ignored = {{"0000:00:04.0", "virtio disk", "virtio-pci"},
                      {"0000:00:05.0", "virtio disk", "virtio-pci"},
                      {"0000:00:01.0", "bridge"}};
  const std::string ignored = DiscoveryText(ignoring, ReadCpuMachine(*host));
  EXPECT_THAT(ignored, HasSubstr("no device: virtio disk (driver virtio-pci): 0000:00:04.0 "
                                 "0000:00:05.0\n"));
  EXPECT_THAT(ignored, HasSubstr("no device: bridge (no driver): 0000:00:01.0\n"));
}

}  // namespace
}  // namespace allot::agent
