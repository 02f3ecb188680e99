// Devices cut into shares, and sets of them in one process.
#include "agent/devices/shares.h"

#include <algorithm>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/devices/compose.h"
#include "agent/devices/furiosa/furiosa_vendor.h"
#include "agent/devices/neuron/neuron_vendor.h"
#include "agent/devices/parts.h"
#include "agent/devices/tenstorrent/tenstorrent_vendor.h"
#include "agent/devices/tpu/bounds.h"
#include "agent/devices/tpu/tpu_vendor.h"
#include "rapidcheck.h"

namespace allot::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

config::DeviceShares Row(const std::string& match, const std::string& mode, uint32_t shares = 0) {
  config::DeviceShares row;
  row.set_match(match);
  row.set_mode(mode);
  row.set_shares(shares);
  return row;
}

FoundDevice Gpu(const std::string& id) {
  FoundDevice found;
  found.device = {.id = id,
                  .kind = DeviceKind::kGpu,
                  .vendor = "nvidia",
                  .model = "nvidia/h100-sxm-80g",
                  .memory = 80 * kGiB,
                  .visible_variable = "CUDA_VISIBLE_DEVICES",
                  .visible_value = "GPU-" + id,
                  .nodes = {"/dev/nvidia" + id.substr(id.size() - 1)},
                  .shared_nodes = {"/dev/nvidiactl"},
                  .power_max = 700'001};
  return found;
}

Discovery Gpus(int count) {
  Discovery found;
  for (int i = 0; i < count; ++i) found.devices.push_back(Gpu("g" + std::to_string(i)));
  return found;
}

std::shared_ptr<const Snapshot> SnapshotOf(const std::string& machine) {
  return Snapshot::Take(*Host::Recorded(ALLOT_SOURCE_DIR "/tests/machines/" + machine));
}

std::vector<std::string> Ids(const Discovery& found) {
  std::vector<std::string> ids;
  for (const FoundDevice& f : found.devices) ids.push_back(f.device.id);
  return ids;
}

const Device& Named(const Discovery& found, const std::string& id) {
  for (const FoundDevice& f : found.devices)
    if (f.device.id == id) return f.device;
  ADD_FAILURE() << "no " << id;
  return found.devices.at(0).device;
}

std::vector<Device> DevicesOf(const Discovery& found) {
  std::vector<Device> devices;
  for (const FoundDevice& f : found.devices) devices.push_back(f.device);
  return devices;
}

SetAccess Join(const Discovery& found, const std::vector<std::string>& ids) {
  Leased leased;
  for (const std::string& id : ids) leased.push_back(&Named(found, id));
  return JoinSet(leased, found.groups);
}

constexpr const char* kPipes = "/run/mps";
const SharingHost kMpsHost{.mps_pipe_directory = kPipes, .mps_daemon = true};

TEST(Shares, OfTimeHaveNothingOfTheirOwn) {
  Discovery found = Gpus(2);
  found.devices[0].device.price = PriceRate{2'000'000};
  found.groups = {{"nvlink", {"g0", "g1"}, "2"}};
  ApplyShares({Row("g0", "time_slice", 3)}, {}, &found);
  EXPECT_THAT(Ids(found), ElementsAre("g0/s0", "g0/s1", "g0/s2", "g1"));
  const Device& share = found.devices[1].device;
  EXPECT_EQ(share.parent, "g0");
  EXPECT_EQ(share.isolation, Isolation::kNone);
  EXPECT_EQ(share.memory, 80 * kGiB / 3);
  EXPECT_EQ(share.power_max, 233'334);  // 700.001 W by three, rounded up
  EXPECT_EQ(share.price, PriceRate{666'667});
  EXPECT_EQ(share.part_millis, 334);
  EXPECT_EQ(share.visible_value, "GPU-g0");
  EXPECT_THAT(share.nodes, ElementsAre("/dev/nvidia0"));
  EXPECT_THAT(share.environment, IsEmpty());
  EXPECT_EQ(found.devices[3].device.isolation, Isolation::kHard);
  EXPECT_THAT(found.groups, IsEmpty()) << "a slice is no member of a fabric";
  EXPECT_THAT(found.warnings, IsEmpty());
}

TEST(Shares, TheFirstRowThatMatchesCounts) {
  Discovery found = Gpus(2);
  ApplyShares({Row("g1", "time_slice", 2), Row("nvidia/*", "time_slice", 4)}, {}, &found);
  EXPECT_THAT(Ids(found), ElementsAre("g0/s0", "g0/s1", "g0/s2", "g0/s3", "g1/s0", "g1/s1"));
}

TEST(Shares, UnderMpsHaveLimits) {
  Discovery found = Gpus(2);
  ApplyShares({Row("nvidia/h100*", "mps", 4)}, kMpsHost, &found);
  ASSERT_EQ(found.devices.size(), 8u);
  EXPECT_THAT(found.devices[0].device.environment,
              UnorderedElementsAre(Pair("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", "25"),
                                   Pair("CUDA_MPS_PINNED_DEVICE_MEM_LIMIT", "0=20480M"),
                                   Pair("CUDA_MPS_PIPE_DIRECTORY", kPipes)));
  EXPECT_EQ(found.devices[0].device.isolation, Isolation::kNone);
  EXPECT_THAT(found.warnings, IsEmpty());
  // Two shares of one GPU and one of another.
  EXPECT_THAT(Join(found, {"g1/s3", "g0/s0", "g0/s2"}).environment,
              UnorderedElementsAre(Pair("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", "25"),
                                   Pair("CUDA_MPS_PINNED_DEVICE_MEM_LIMIT", "0=20480M,1=40960M")));
  EXPECT_THAT(Join(found, {"g0/s0", "g0/s2"}).environment,
              UnorderedElementsAre(Pair("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", "50"),
                                   Pair("CUDA_MPS_PINNED_DEVICE_MEM_LIMIT", "0=40960M")));
  EXPECT_THAT(Join(Gpus(2), {"g0", "g1"}).environment, IsEmpty());
}

TEST(Shares, WithoutAnMpsDaemonAWarningSaysWhatHolds) {
  Discovery found = Gpus(1);
  ApplyShares({Row("*", "mps", 2)}, {.mps_pipe_directory = kPipes}, &found);
  ASSERT_EQ(found.warnings.size(), 1u);
  EXPECT_THAT(found.warnings[0], HasSubstr("control pipe in /run/mps"));
  EXPECT_THAT(found.warnings[0], HasSubstr("g0"));
}

TEST(Shares, WhatCannotBeSharedStaysWholeAndSaysWhy) {
  Discovery found;
  found.devices.resize(4);
  found.devices[0].device = {.id = "amd0", .vendor = "amd", .model = "amd/mi300x"};
  found.devices[1].device = {
      .id = "emu0", .vendor = "nvidia", .model = "nvidia/l4", .emulated = true};
  found.devices[2].device = {.id = "cpu0", .kind = DeviceKind::kCpu, .model = "intel/xeon-8480+"};
  found.devices[3].device = {.id = "hosted", .model = "groq/lpu-v1", .endpoint = "https://x"};
  ApplyShares({Row("amd/*", "units"), Row("emu0", "mps", 2), Row("*", "time_slice", 2)}, kMpsHost,
              &found);
  EXPECT_THAT(Ids(found), ElementsAre("amd0", "emu0", "cpu0", "hosted"));
  EXPECT_THAT(found.warnings,
              ElementsAre(HasSubstr("amd0 stays whole, mode units"), HasSubstr("emu0 stays whole"),
                          HasSubstr("sharing[2]: no device of this node matches \"*\"")));
}

TEST(Shares, OfAnEmulatedDeviceAreEmulated) {
  Discovery found;
  found.devices.resize(1);
  found.devices[0].device = {
      .id = "emu0", .vendor = "nvidia", .model = "nvidia/l4", .emulated = true};
  ApplyShares({Row("emu0", "time_slice", 2)}, {}, &found);
  ASSERT_EQ(found.devices.size(), 2u);
  EXPECT_TRUE(found.devices[1].device.emulated);
}

TEST(Units, NeuronCoresAreNumberedOverTheNode) {
  Discovery found = NeuronVendor().Discover(*SnapshotOf("aws-inf2-48xlarge"));
  const Bytes chip = *found.devices[0].device.memory;
  ApplyShares({Row("aws/*", "units")}, {}, &found);
  ASSERT_EQ(found.devices.size(), 24u);
  const Device& core = Named(found, "neuron1/s1");
  EXPECT_EQ(core.visible_value, "3");
  EXPECT_EQ(core.parent, "neuron1");
  EXPECT_EQ(core.memory, chip / 2);
  EXPECT_THAT(core.nodes, ElementsAre("/dev/neuron1"));
  EXPECT_EQ(core.isolation, Isolation::kMemory);  // Two cores, two HBM stacks.
  ASSERT_EQ(found.groups.size(), 1u);
  EXPECT_EQ(found.groups[0].members.size(), 24u);
  EXPECT_EQ(found.groups[0].members[3], "neuron1/s1");
}

TEST(Units, NeuronCoresThatShareAStackAreNotKeptApart) {
  FoundDevice chip;
  chip.device = {.id = "neuron0",
                 .vendor = "aws",
                 .model = "aws/trainium2",
                 .memory = 96 * kGiB,
                 .visible_variable = "NEURON_RT_VISIBLE_CORES",
                 .visible_value = "0-7",
                 .nodes = {"/dev/neuron0"}};
  Discovery eight, four;
  eight.devices = {chip};
  chip.device.visible_value = "0-3";  // NEURON_LOGICAL_NC_CONFIG=2
  four.devices = {chip};
  for (Discovery* found : {&eight, &four}) ApplyShares({Row("*", "units")}, {}, found);
  ASSERT_EQ(eight.devices.size(), 8u);
  EXPECT_EQ(eight.devices[0].device.isolation, Isolation::kNone);
  ASSERT_EQ(four.devices.size(), 4u);
  EXPECT_EQ(four.devices[3].device.isolation, Isolation::kMemory);
  EXPECT_EQ(four.devices[3].device.memory, 24 * kGiB);
}

TEST(Units, NeuronCoresOfAProcessAreRanges) {
  Discovery whole = NeuronVendor().Discover(*SnapshotOf("aws-inf2-48xlarge"));
  const auto cores = [](const Discovery& found, const std::vector<std::string>& ids) {
    return Join(found, ids).environment.at("NEURON_RT_VISIBLE_CORES");
  };
  EXPECT_EQ(cores(whole, {"neuron0", "neuron1"}), "0-3");
  EXPECT_EQ(cores(whole, {"neuron5"}), "10-11");
  EXPECT_EQ(cores(whole, {"neuron4", "neuron0", "neuron1"}), "0-3,8-9");
  ApplyShares({Row("aws/*", "units")}, {}, &whole);
  EXPECT_EQ(cores(whole, {"neuron0/s1", "neuron1/s0", "neuron3/s1"}), "1-2,7");
}

TEST(Units, FuriosaElementsHaveTheirOwnFilesAndShareTheRest) {
  Discovery found = FuriosaVendor().Discover(*SnapshotOf("npu-rbln-furiosa"));
  ASSERT_EQ(found.devices.size(), 1u);
  ApplyShares({Row("furiosa/*", "units")}, {}, &found);
  ASSERT_EQ(found.devices.size(), 8u);
  const Device& third = Named(found, "0000:81:00.0/s2");
  EXPECT_EQ(third.visible_value, "npu:0:2");
  EXPECT_THAT(third.nodes, ElementsAre("/dev/rngd/npu0pe2"));
  EXPECT_THAT(third.shared_nodes, ::testing::Contains("/dev/rngd/npu0mgmt"));
  EXPECT_THAT(third.shared_nodes, ::testing::Contains("/dev/rngd/npu0ch7"));
  EXPECT_THAT(third.shared_nodes, ::testing::Each(::testing::Not(HasSubstr("pe"))))
      << "a fused file opens the neighbours";
  const auto ids = [](const std::vector<int>& elements) {
    std::vector<std::string> list;
    for (const int e : elements) list.push_back("0000:81:00.0/s" + std::to_string(e));
    return list;
  };
  const auto word = [&](const std::vector<int>& elements) {
    return Join(found, ids(elements)).environment.at("FURIOSA_DEVICES");
  };
  EXPECT_EQ(word({2}), "npu:0:2");
  EXPECT_EQ(word({3, 2, 1, 0}), "npu:0:0-3");
  EXPECT_EQ(word({1, 2, 3, 4}), "npu:0:1,npu:0:2-3,npu:0:4");
  const LeasedFiles files = FilesOf(DevicesOf(found), ids({1, 2, 3}));
  EXPECT_THAT(files.own,
              ElementsAre("/dev/rngd/npu0pe1", "/dev/rngd/npu0pe2", "/dev/rngd/npu0pe3"));
  EXPECT_THAT(files.shared, ::testing::Contains("/dev/rngd/npu0pe2-3"));
  EXPECT_THAT(files.shared, ::testing::Not(::testing::Contains("/dev/rngd/npu0pe0-1")));
  EXPECT_THAT(files.shared, ::testing::Not(::testing::Contains("/dev/rngd/npu0pe0-3")));
}

TEST(Units, ChipsOfATenstorrentCardSeeTheCard) {
  Discovery found = TenstorrentVendor().Discover(*SnapshotOf("tenstorrent-n300-p150a"));
  ApplyShares({Row("tenstorrent/*", "units")}, {}, &found);
  EXPECT_THAT(Ids(found), ElementsAre("0000:01:00.0/s0", "0000:01:00.0/s1", "0000:41:00.0"));
  EXPECT_EQ(found.devices[0].device.visible_value, found.devices[1].device.visible_value);
  EXPECT_EQ(found.devices[0].device.isolation, Isolation::kNone);
  EXPECT_EQ(found.devices[0].device.memory, 12 * kGiB);
  EXPECT_THAT(found.warnings, ElementsAre(HasSubstr("0000:41:00.0 stays whole")));
}

TEST(Filter, AShareOpensWhatItsDeviceOpensAndNothingElse) {
  Discovery found = Gpus(2);
  ApplyShares({Row("g0", "mps", 2)}, kMpsHost, &found);
  const std::vector<Device> node = DevicesOf(found);
  EXPECT_EQ(FilesOf(node, {"g0/s1"}), (LeasedFiles{{"/dev/nvidia0"}, {"/dev/nvidiactl"}}));
  EXPECT_EQ(FilesOf(node, {"g0/s0", "g0/s1", "g1"}),
            (LeasedFiles{{"/dev/nvidia0", "/dev/nvidia1"}, {"/dev/nvidiactl"}}));
  EXPECT_EQ(FilesOf(node, {}), LeasedFiles{});
  EXPECT_EQ(FilesOf(node, {"gone"}), LeasedFiles{});
}

// Whatever the rows: no id twice, all shares of a device together are no more memory and no less
// power than it, and one lease opens another's file only if both are parts of one device.
TEST(Shares, NeverAddUpToMoreThanTheirDevice) {
  EXPECT_TRUE(rc::check([] {
    Discovery found = Gpus(*rc::gen::inRange(1, 6));
    const std::vector<Device> whole = DevicesOf(found);
    std::vector<config::DeviceShares> rows;
    for (int i = *rc::gen::inRange(0, 4); i > 0; --i)
      rows.push_back(Row(*rc::gen::element<std::string>("g0", "g3", "*", "nvidia/*", "amd/*"),
                         *rc::gen::element<std::string>("mps", "time_slice", "units"),
                         *rc::gen::inRange<uint32_t>(2, 9)));
    ApplyShares(rows, kMpsHost, &found);
    const std::vector<Device> node = DevicesOf(found);
    std::set<std::string> ids;
    for (const Device& device : node) RC_ASSERT(ids.insert(device.id).second);
    const auto root = [](const Device& d) { return d.parent.empty() ? d.id : d.parent; };
    for (const Device& device : whole) {
      Bytes memory = 0;
      MilliWatt power = 0;
      int64_t millis = 0;
      for (const Device& part : node) {
        if (root(part) != device.id) continue;
        memory += *part.memory;
        power += *part.power_max;
        millis += part.part_millis;
      }
      RC_ASSERT(memory > 0 && memory <= *device.memory);
      RC_ASSERT(power >= *device.power_max && millis >= 1000);
    }
    for (const Device& one : node)
      for (const Device& other : node)
        for (const std::string& file : FilesOf(node, {one.id}).own)
          RC_ASSERT(root(one) == root(other) ||
                    std::count(other.nodes.begin(), other.nodes.end(), file) == 0);
  }));
}

TEST(TpuBounds, AreThoseTheRuntimeKnows) {
  const std::tuple<std::vector<size_t>, const char*, const char*> rows[] = {
      {{0}, "2,4,1", "1,1,1"},
      {{5}, "", "1,1,1"},
      {{0, 1}, "2,4,1", "1,2,1"},
      {{2, 3}, "2,2,1", "1,2,1"},
      {{0, 2}, "2,4,1", "1,2,1"},
      {{0, 1, 2, 3}, "2,4,1", "2,2,1"},
      {{4, 5, 6, 7}, "2,4,1", "2,2,1"},
      {{0, 2, 4, 6}, "2,4,1", "1,4,1"},  // a row
      {{0, 1, 2, 3}, "", "2,2,1"},
      {{0, 1, 2, 3, 4, 5, 6, 7}, "2,4,1", "2,4,1"},
      {{0, 1, 2, 3, 4, 5, 6, 7}, "4,2,1", "4,2,1"},
      {{0, 1, 2, 3, 4, 5, 6, 7}, "", "2,4,1"},
      {{0, 1, 2}, "2,4,1", ""},
      {{0, 1, 2}, "nonsense", ""},
      {{0, 1, 2, 99}, "2,4,1", "2,2,1"},
  };
  for (const auto& [positions, shape, bounds] : rows)
    EXPECT_EQ(TpuBounds(positions, shape), bounds) << ::testing::PrintToString(positions) << shape;
}

TEST(TpuBounds, AreSetForAProcess) {
  const Discovery found = TpuVendor().Discover(*SnapshotOf("gcp-tpu-v5e-8"));
  EXPECT_THAT(
      Join(found, {"0000:00:06.0", "0000:00:07.0"}).environment,
      UnorderedElementsAre(Pair("TPU_CHIPS_PER_PROCESS_BOUNDS", "1,2,1"),
                           Pair("TPU_CHIPS_PER_HOST_BOUNDS", "1,2,1"),
                           Pair("TPU_PROCESS_BOUNDS", "1,1,1"), Pair("TPU_HOST_BOUNDS", "1,1,1")));
  std::vector<std::string> all = Ids(found);
  EXPECT_EQ(Join(found, all).environment.at("TPU_CHIPS_PER_PROCESS_BOUNDS"), "2,4,1");
  all.resize(3);
  EXPECT_THAT(Join(found, all).environment, IsEmpty());
}

TEST(TpuBounds, OfAHostThatIsPartOfMoreAreTheCloudsToSay) {
  Discovery found = TpuVendor().Discover(*SnapshotOf("gcp-tpu-v5e-8"));
  for (FoundDevice& chip : found.devices) chip.device.features.emplace_back(kTpuManyHosts);
  EXPECT_THAT(Join(found, Ids(found)).environment, IsEmpty());
  EXPECT_EQ(Join(found, {"0000:00:04.0"}).environment.at("TPU_PROCESS_BOUNDS"), "1,1,1");
}

TEST(JoinSet, SaysNothingOfEmulatedDevices) {
  FoundDevice emulated;
  emulated.device = {.id = "emu0",
                     .vendor = "google",
                     .model = "google/tpu-v5e",
                     .emulated = true,
                     .visible_variable = "TPU_VISIBLE_CHIPS",
                     .visible_value = "0"};
  Discovery found;
  found.devices = {emulated};
  EXPECT_THAT(Join(found, {"emu0"}).environment, IsEmpty());
}

}  // namespace
}  // namespace allot::agent
