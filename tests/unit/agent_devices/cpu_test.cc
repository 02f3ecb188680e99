#include "agent/devices/cpu/cpu_vendor.h"

#include <gtest/gtest.h>

#include "agent/devices/cpu/machine.h"
#include "fmt/format.h"
#include "folder.h"

namespace allot::agent {
namespace {

constexpr const char* kSapphireRapids =
    "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Xeon(R) Platinum 8480+\n"
    "flags\t\t: fpu avx avx2 avx512f avx512_bf16 amx_bf16 amx_tile amx_int8 rdtscp\n\n"
    "processor\t: 1\nvendor_id\t: GenuineIntel\n";

TEST(CpuNames, BecomeCatalogueNames) {
  const struct {
    const char* vendor;
    const char* name;
    const char* model;
  } rows[] = {
      {"GenuineIntel", "Intel(R) Xeon(R) Platinum 8480+", "intel/xeon-8480+"},
      {"GenuineIntel", "INTEL(R) XEON(R) PLATINUM 8592+", "intel/xeon-8592+"},
      {"GenuineIntel", "Intel(R) Xeon(R) 6980P", "intel/xeon-6980p"},
      {"GenuineIntel", "Intel(R) Xeon(R) CPU E5-2690 v4 @ 2.60GHz", "intel/xeon-e5-2690-v4"},
      {"GenuineIntel", "11th Gen Intel(R) Core(TM) i7-1165G7 @ 2.80GHz",
       "intel/11th-gen-core-i7-1165g7"},
      {"AuthenticAMD", "AMD EPYC 9654 96-Core Processor", "amd/epyc-9654"},
      {"AuthenticAMD", "AMD EPYC", "amd/epyc"},
      {"AuthenticAMD", "AMD Ryzen 9 7950X 16-Core Processor", "amd/ryzen-9-7950x"},
      {"0x41", "", "arm/cpu"},
      {"", "", "unknown/cpu"},
      {"", "\xff\xfe weird/../name", "unknown/weird..name"},
  };
  for (const auto& row : rows)
    EXPECT_EQ(CpuCatalogueName(row.vendor, row.name), row.model) << row.name;
}

TEST(CpuDevices, OnePerSocketWithItsThreadsMemoryAndInstructionSets) {
  Folder machine;
  machine.Write("proc/cpuinfo", kSapphireRapids);
  CpuVendor vendor({machine.host(), "pack:2 numa:1(memory=274877906944) core:4 pu:2"});
  const Discovery found = vendor.Discover(*machine.snapshot());
  ASSERT_EQ(found.devices.size(), 2u);
  for (int i = 0; i < 2; ++i) {
    const Device& device = found.devices[i].device;
    EXPECT_EQ(device.id, "cpu" + std::to_string(i));
    EXPECT_EQ(device.kind, DeviceKind::kCpu);
    EXPECT_EQ(device.vendor, "intel");
    EXPECT_EQ(device.model, "intel/xeon-8480+");
    EXPECT_EQ(device.cores, 8);
    EXPECT_EQ(device.memory, 256 * kGiB);
    EXPECT_EQ(device.numa_node, i);
    EXPECT_EQ(device.features, (std::vector<std::string>{"avx", "avx2", "avx512f", "avx512_bf16",
                                                         "amx_tile", "amx_int8", "amx_bf16"}));
    EXPECT_FALSE(device.emulated);
    EXPECT_EQ(found.devices[i].source, "hwloc; /proc/cpuinfo");
  }
}

// Grace with Hopper: the GPU's memory is node 1 of the kernel's, and counted in MemTotal. Node 2
// has no processors either and is nobody's device: CXL memory.
TEST(CpuDevices, TheMemoryOfAGpuIsNotTheHosts) {
  Folder machine;
  machine.Write("proc/cpuinfo", "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd4f\n");
  machine.Write("sys/devices/system/cpu/online", "0-71\n");
  machine.Write("sys/devices/system/cpu/cpu0/topology/physical_package_id", "0\n");
  machine.Write("sys/devices/system/cpu/cpu0/topology/package_cpus_list", "0-71\n");
  machine.Write("sys/devices/system/cpu/cpu0/topology/core_cpus_list", "0\n");
  const auto node = [&](int id, const char* cpus, int gib, int used_gib) {
    const std::string folder = fmt::format("sys/devices/system/node/node{}/", id);
    machine.Write(folder + "cpulist", std::string(cpus) + "\n");
    machine.Write(folder + "meminfo",
                  fmt::format("Node {0} MemTotal:       {1} kB\nNode {0} MemUsed:        {2} kB\n",
                              id, gib << 20, used_gib << 20));
  };
  node(0, "0-71", 480, 100);
  node(1, "", 96, 90);
  node(2, "", 512, 0);
  machine.Write("proc/meminfo", fmt::format("MemTotal:       {} kB\nMemAvailable:   {} kB\n",
                                            (480 + 96 + 512) << 20, (480 + 96 + 512 - 190) << 20));
  machine.Write("proc/driver/nvidia/gpus/0009:01:00.0/numa_status",
                "Node:      1\nStatus:    online\nAddress:   0\nSize:      1800000000\n");
  machine.Write("proc/driver/nvidia/gpus/0019:01:00.0/numa_status",
                "Node:      -1\nStatus:    disabled\n");
  const CpuMachine read = ReadCpuMachine(*machine.host());
  EXPECT_EQ(read.memory, (480 + 512) * kGiB);
  ASSERT_EQ(read.numa_nodes.size(), 2u);
  EXPECT_EQ(read.numa_nodes[0].id, 0u);
  EXPECT_EQ(read.numa_nodes[1].id, 2u);
  CpuVendor vendor({machine.host(), ""});
  const Discovery found = vendor.Discover(*machine.snapshot());
  ASSERT_EQ(found.devices.size(), 1u);
  EXPECT_LE(found.devices[0].device.memory.value_or(0), (480 + 512) * kGiB);
  const auto samples = vendor.Sample();
  ASSERT_EQ(samples.size(), 1u);
  EXPECT_EQ(samples[0].memory_used, 100 * kGiB);
}

TEST(CpuDevices, TheTightestCgroupHolds) {
  Folder machine;
  machine.Write("proc/cpuinfo", kSapphireRapids);
  machine.Write("proc/self/cgroup", "0::/jobs/ours\n");
  machine.Write("sys/fs/cgroup/jobs/ours/cpu.max", "max 100000\n");
  machine.Write("sys/fs/cgroup/jobs/cpu.max", "350000 100000\n");
  machine.Write("sys/fs/cgroup/jobs/memory.max", "137438953472\n");
  machine.Write("sys/fs/cgroup/jobs/ours/memory.max", "max\n");
  CpuVendor vendor({machine.host(), "pack:2 numa:1(memory=274877906944) core:4 pu:2"});
  const Discovery found = vendor.Discover(*machine.snapshot());
  EXPECT_EQ(found.devices[0].device.cores + found.devices[1].device.cores, 3);  // of 3.5
  EXPECT_EQ(*found.devices[0].device.memory + *found.devices[1].device.memory, 128 * kGiB);
}

// Read on a guest with hot-plugged memory: node0/meminfo told of 4.5 GiB, /proc/meminfo of 126.
TEST(CpuDevices, NodesThatTellOfAPartOfTheMemoryKeepTheirProportions) {
  CpuFacts facts;
  facts.packages = {CpuPackage{{0, 1}, 2, kGiB, 0}, CpuPackage{{2, 3}, 2, 3 * kGiB, 1}};
  facts.nodes_memory = 4 * kGiB;
  facts.machine_memory = 128 * kGiB;
  EXPECT_EQ(MakeCpuDevices(facts)[0].device.memory, 32 * kGiB);
  EXPECT_EQ(MakeCpuDevices(facts)[1].device.memory, 96 * kGiB);

  facts.memory_limit = 64 * kGiB;  // of our cgroup
  EXPECT_EQ(MakeCpuDevices(facts)[1].device.memory, 48 * kGiB);

  // Bound to one of two sockets, all is as it should be: the nodes tell of everything.
  facts = CpuFacts();
  facts.packages = {CpuPackage{{0, 1}, 2, 64 * kGiB, 0}};
  facts.nodes_memory = 128 * kGiB;
  facts.machine_memory = 127 * kGiB;
  EXPECT_EQ(MakeCpuDevices(facts)[0].device.memory, 64 * kGiB);

  // One node's file is missing: nobody knows whose the rest is.
  facts.packages = {CpuPackage{{0, 1}, 2, 64 * kGiB, 0}, CpuPackage{{2, 3}, 2, 0, 1}};
  facts.nodes_memory = 64 * kGiB;
  EXPECT_EQ(MakeCpuDevices(facts)[0].device.memory, 64 * kGiB);
  EXPECT_FALSE(MakeCpuDevices(facts)[1].device.memory);
}

TEST(CpuDevices, AQuotaBelowOneCoreIsStillOneCore) {
  CpuFacts facts;
  facts.packages = {CpuPackage{{0, 1}, 2, kGiB, 0}};
  facts.quota_threads = 0.5;
  EXPECT_EQ(MakeCpuDevices(facts)[0].device.cores, 1);
}

TEST(CpuDevices, TheMachineItselfHasSome) {
  CpuVendor vendor({Host::Live(), ""});
  const Discovery found = vendor.Discover(*Snapshot::Take(Host::Live()));
  ASSERT_FALSE(found.devices.empty());
  EXPECT_GE(found.devices[0].device.cores, 1);
  EXPECT_GT(found.devices[0].device.memory.value_or(0), 0);
}

TEST(CpuMax, IsReadAsThreads) {
  EXPECT_EQ(ParseCpuMax("200000 100000\n"), 2.0);
  EXPECT_EQ(ParseCpuMax("150000 100000"), 1.5);
  for (const char* none : {"", "max 100000\n", "100000", "100000 ", "x y", "0 100000", "1 0"})
    EXPECT_FALSE(ParseCpuMax(none)) << none;
}

void WriteBusy(Folder& machine, int busy, int idle) {
  std::string stat = "cpu  1 1 1 1 1 1 1 1 0 0\n";
  for (int i = 0; i < 4; ++i)
    stat += "cpu" + std::to_string(i) + " " + std::to_string(i < 2 ? busy : 0) + " 0 0 " +
            std::to_string(idle) + " 0 0 0 0 0 0\n";
  machine.Write("proc/stat", stat);
}

TEST(CpuTelemetry, IsPerSocketAndAMeanSinceTheCallBefore) {
  Folder machine;
  machine.Write("proc/cpuinfo", kSapphireRapids);
  machine.Write("sys/class/hwmon/hwmon0/name", "acpitz\n");
  machine.Write("sys/class/hwmon/hwmon1/name", "coretemp\n");
  machine.Write("sys/class/hwmon/hwmon1/temp1_label", "Package id 1\n");
  machine.Write("sys/class/hwmon/hwmon1/temp1_input", "51000\n");
  machine.Write("sys/class/hwmon/hwmon2/name", "coretemp\n");
  machine.Write("sys/class/hwmon/hwmon2/temp1_label", "Package id 0\n");
  machine.Write("sys/class/hwmon/hwmon2/temp1_input", "47500\n");
  machine.Write("sys/class/powercap/intel-rapl:0/energy_uj", "2000000\n");
  CpuVendor vendor({machine.host(), "pack:2 core:2 pu:1"});
  vendor.Discover(*machine.snapshot());
  WriteBusy(machine, 100, 100);
  std::vector<DeviceTelemetry> samples = vendor.Sample();
  ASSERT_EQ(samples.size(), 2u);
  EXPECT_FALSE(samples[0].utilization_ratio);
  EXPECT_FALSE(samples[0].power_watts);
  EXPECT_DOUBLE_EQ(*samples[0].temperature_celsius, 47.5);
  EXPECT_DOUBLE_EQ(*samples[1].temperature_celsius, 51);
  EXPECT_DOUBLE_EQ(*samples[0].energy_joules, 2);

  WriteBusy(machine, 175, 125);  // 75 busy of 100, on the threads of the first socket
  machine.Write("sys/class/powercap/intel-rapl:0/energy_uj", "3000000\n");
  samples = vendor.Sample();
  EXPECT_DOUBLE_EQ(*samples[0].utilization_ratio, 0.75);
  EXPECT_DOUBLE_EQ(*samples[1].utilization_ratio, 0);
  EXPECT_GT(*samples[0].power_watts, 0);
  EXPECT_FALSE(samples[1].power_watts);
}

TEST(CpuTelemetry, AMachineThatTellsNothingIsAbsentAndNotZero) {
  Folder machine;
  CpuVendor vendor({machine.host(), "pack:1 core:2 pu:1"});
  vendor.Discover(*machine.snapshot());
  vendor.Sample();
  const DeviceTelemetry sample = vendor.Sample().at(0);
  EXPECT_FALSE(sample.utilization_ratio || sample.power_watts || sample.temperature_celsius ||
               sample.memory_used || sample.energy_joules);
}

}  // namespace
}  // namespace allot::agent
