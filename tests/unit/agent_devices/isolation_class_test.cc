#include "agent/devices/isolation_class.h"

#include <gtest/gtest.h>

#include "agent/devices/amd/amd_vendor.h"
#include "agent/devices/nvidia/nvidia_vendor.h"
#include "agent/devices/sambanova/sambanova_vendor.h"
#include "folder.h"

namespace allot::agent {
namespace {

constexpr HostIsolation kAll{.device_filter = true, .memory_limit = true};
constexpr HostIsolation kNoFilter{.device_filter = false, .memory_limit = true};
constexpr HostIsolation kNothing{.device_filter = false, .memory_limit = false};

TEST(IsolationClass, IsWhatTheDeviceKeepsApartAndTheHostLets) {
  const Device gpu{.kind = DeviceKind::kGpu, .nodes = {"/dev/nvidia0"}};
  Device half = gpu, time_slice = gpu, no_file = gpu, emulated = gpu, endpoint, cpu;
  half.isolation = Isolation::kMemory;
  time_slice.isolation = Isolation::kNone;
  no_file.nodes.clear();
  no_file.shared_nodes = {"/dev/rdu"};
  emulated.emulated = true;
  endpoint.kind = DeviceKind::kAsic;
  endpoint.endpoint = "https://api.example";
  endpoint.isolation = Isolation::kNone;
  cpu.kind = DeviceKind::kCpu;
  struct Row {
    const char* name;
    const Device& device;
    Isolation everything, no_filter, nothing;
  };
  using enum Isolation;
  const Row rows[] = {
      {"whole device", gpu, kHard, kShared, kShared},
      {"part with memory of its own", half, kMemory, kShared, kShared},
      {"slice of time", time_slice, kNone, kShared, kShared},
      {"no file of its own", no_file, kShared, kShared, kShared},
      {"emulated", emulated, kNone, kNone, kNone},
      {"endpoint, as its folder says", endpoint, kNone, kNone, kNone},
      {"processors", cpu, kMemory, kMemory, kShared},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(IsolationOf(row.device, kAll), row.everything) << row.name;
    EXPECT_EQ(IsolationOf(row.device, kNoFilter), row.no_filter) << row.name;
    EXPECT_EQ(IsolationOf(row.device, kNothing), row.nothing) << row.name;
  }
}

TEST(IsolationClass, OfAmdPartitionsFollowsTheirMemory) {
  const std::tuple<size_t, const char*, Isolation> rows[] = {
      {8, "NPS1", Isolation::kMemory},   {8, "NPS4", Isolation::kMemory},
      {4, "NPS4", Isolation::kHard},     {2, "NPS2", Isolation::kHard},
      {4, "QPX/NPS4", Isolation::kHard}, {8, "CPX/NPS4", Isolation::kMemory},
      {8, "", Isolation::kMemory},       {2, "nonsense", Isolation::kMemory},
      {8, "CPX/NPS8", Isolation::kHard},
  };
  for (const auto& [partitions, mode, isolation] : rows)
    EXPECT_EQ(IsolationOfComputePartition(partitions, mode), isolation) << partitions << mode;
}

std::shared_ptr<const Snapshot> Recorded(const std::string& machine) {
  return Snapshot::Take(*Host::Recorded(ALLOT_SOURCE_DIR "/tests/machines/" + machine));
}

Isolation Of(Discovery discovery, const std::string& id) {
  SetIsolation(kAll, &discovery);
  for (const FoundDevice& found : discovery.devices)
    if (found.device.id == id) return found.device.isolation;
  ADD_FAILURE() << "no " << id;
  return Isolation::kShared;
}

TEST(IsolationClass, OfRecordedMachines) {
  const Discovery mig = NvidiaVendor({""}).Discover(*Recorded("nvidia-2xa100-mig"));
  for (const FoundDevice& found : mig.devices)
    EXPECT_EQ(Of(mig, found.device.id), Isolation::kHard) << found.device.id;
  const Discovery amd = AmdVendor().Discover(*Recorded("amd-2xmi300x-cpx-spx"));
  for (const FoundDevice& found : amd.devices)
    EXPECT_EQ(Of(amd, found.device.id), found.partition ? Isolation::kMemory : Isolation::kHard)
        << found.device.id;
  const Discovery rdus = SambanovaVendor().Discover(*Recorded("sambanova-sn40l-16"));
  EXPECT_EQ(Of(rdus, rdus.devices.at(0).device.id), Isolation::kShared);
}

TEST(IsolationClass, ComputeInstancesOfOneGpuInstanceShareItsMemory) {
  Folder machine;
  const std::string gpu = "proc/driver/nvidia/gpus/0000:01:00.0/information";
  machine.Write(gpu, "Model: \t NVIDIA A100\nDevice Minor: \t 0\n");
  const std::string mig = "proc/driver/nvidia/capabilities/gpu0/mig/";
  for (const char* instance : {"gi1/ci0", "gi1/ci1", "gi2/ci0"})
    machine.Write(mig + instance + "/access", "DeviceFileMinor: 1" + std::string(instance + 2, 1) +
                                                  std::string(instance + 6, 1) + "\n");
  machine.Write(mig + "gi1/access", "DeviceFileMinor: 11\n");
  machine.Write(mig + "gi2/access", "DeviceFileMinor: 12\n");
  machine.Write("dev.txt",
                "/dev/nvidia0 c 195:0 0666\n/dev/nvidia-caps/nvidia-cap11 c 234:11 0444\n"
                "/dev/nvidia-caps/nvidia-cap12 c 234:12 0444\n"
                "/dev/nvidia-caps/nvidia-cap110 c 234:110 0444\n"
                "/dev/nvidia-caps/nvidia-cap111 c 234:111 0444\n"
                "/dev/nvidia-caps/nvidia-cap120 c 234:120 0444\n");
  const Discovery found = NvidiaVendor({""}).Discover(*machine.snapshot());
  EXPECT_EQ(Of(found, "0000:01:00.0/gi1/ci0"), Isolation::kNone);
  EXPECT_EQ(Of(found, "0000:01:00.0/gi1/ci1"), Isolation::kNone);
  EXPECT_EQ(Of(found, "0000:01:00.0/gi2/ci0"), Isolation::kHard);
}

}  // namespace
}  // namespace allot::agent
