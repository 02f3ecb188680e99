// Cases that no recorded machine has: vendors without one, drivers that are missing or keep a
// device for a guest, and sizes that contradict each other.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/devices/amd/amd_vendor.h"
#include "agent/devices/furiosa/furiosa_vendor.h"
#include "agent/devices/graphcore/graphcore_vendor.h"
#include "agent/devices/habana/habana_vendor.h"
#include "agent/devices/intel/intel_vendor.h"
#include "agent/devices/listed/listed_vendor.h"
#include "agent/devices/neuron/neuron_vendor.h"
#include "agent/devices/nvidia/nvidia_vendor.h"
#include "agent/devices/qualcomm/qualcomm_vendor.h"
#include "agent/devices/rebellions/rebellions_vendor.h"
#include "agent/devices/tenstorrent/tenstorrent_vendor.h"
#include "agent/devices/tpu/tpu_vendor.h"
#include "folder.h"

namespace allot::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Slots : public ::testing::Test {
 protected:
  // A PCI function; returns its folder.
  std::string Plug(const std::string& address, const std::string& vendor, const std::string& device,
                   const std::string& device_class, const std::string& driver) {
    const std::string folder = "sys/bus/pci/devices/" + address;
    machine_.Write(folder + "/vendor", "0x" + vendor + "\n");
    machine_.Write(folder + "/device", "0x" + device + "\n");
    machine_.Write(folder + "/class", "0x" + device_class + "\n");
    machine_.Write(folder + "/numa_node", "-1\n");
    if (!driver.empty()) Link(folder + "/driver", "../../drivers/" + driver);
    return folder;
  }
  void Link(const std::string& path, const std::string& target) {
    links_ += path + " -> " + target + "\n";
  }
  void Node(const std::string& path, const std::string& number) {
    nodes_ += path + " c " + number + " 0666\n";
  }
  Discovery Discover(Vendor&& vendor) {
    machine_.Write("links.txt", links_);
    machine_.Write("dev.txt", nodes_);
    return vendor.Discover(*machine_.snapshot());
  }
  Folder machine_;
  std::string links_, nodes_;
};

TEST_F(Slots, WithoutADriverADeviceIsSeenAndCannotBeUsed) {
  Plug("0000:01:00.0", "10de", "2330", "030200", "");
  Plug("0000:02:00.0", "10de", "2330", "030200", "vfio-pci");
  Plug("0000:03:00.0", "10de", "2330", "030200", "nouveau");
  const Discovery found = Discover(NvidiaVendor({""}));
  ASSERT_EQ(found.devices.size(), 3u);
  EXPECT_EQ(found.devices[0].device.state, DeviceState::kNoDriver);
  EXPECT_EQ(found.devices[1].device.state, DeviceState::kReserved);
  EXPECT_EQ(found.devices[2].device.state, DeviceState::kUnsupported);
  EXPECT_EQ(found.devices[0].device.memory, 80 * kGiB);
  EXPECT_EQ(found.devices[0].device.numa_node, -1);
  EXPECT_THAT(found.devices[1].device.nodes, IsEmpty());
}

TEST_F(Slots, AGpuTheTableDoesNotHaveIsNamedByItsDriver) {
  Plug("0000:01:00.0", "10de", "2684", "030000", "nvidia");
  machine_.Write("proc/driver/nvidia/gpus/0000:01:00.0/information",
                 "Model: \t NVIDIA GeForce RTX 4090\nGPU UUID: \t GPU-\?\?\?\?\?\?\?\?-\?\?\?\?\n"
                 "Device Minor: \t 0\n");
  Node("/dev/nvidia0", "195:0");
  const Discovery found = Discover(NvidiaVendor({""}));
  ASSERT_EQ(found.devices.size(), 1u);
  const Device& device = found.devices[0].device;
  EXPECT_EQ(device.model, "nvidia/geforce-rtx-4090");
  EXPECT_FALSE(device.memory);
  EXPECT_EQ(device.visible_value, "");  // It never started, so it has no identity.
  EXPECT_THAT(device.nodes, ElementsAre("/dev/nvidia0"));
}

TEST_F(Slots, TroubleOnTheBusIsAWarning) {
  const std::string card = Plug("0000:01:00.0", "1da3", "1060", "120000", "habanalabs");
  machine_.Write(card + "/aer_dev_fatal", "Undefined 0\nTOTAL_ERR_FATAL 2\n");
  machine_.Write(card + "/current_link_width", "8\n");
  machine_.Write(card + "/max_link_width", "16\n");
  const Discovery found = Discover(HabanaVendor());
  EXPECT_THAT(found.devices[0].warnings, ElementsAre("pcie_width_degraded", "aer_fatal"));
  EXPECT_EQ(found.devices[0].device.state, DeviceState::kReady);
  EXPECT_EQ(found.devices[0].device.model, "intel/gaudi3");
}

TEST_F(Slots, AStatusWithoutAWordIsNotHealth) {
  const std::string card = Plug("0000:01:00.0", "1da3", "1020", "120000", "habanalabs");
  machine_.Write(card + "/status", "");
  EXPECT_EQ(Discover(HabanaVendor()).devices[0].device.state, DeviceState::kUnhealthy);
}

TEST_F(Slots, IntelGpusByXeHaveTheSumOfTheirTiles) {
  const std::string card = Plug("0000:29:00.0", "8086", "0bd5", "038000", "xe");
  Plug("0000:00:02.0", "8086", "a780", "030000", "i915");  // inside the processor
  for (const char* tile : {"tile0", "tile1"})
    machine_.Write(card + "/" + tile + "/physical_vram_size_bytes", "68719476736\n");
  machine_.Write(card + "/drm/renderD129/dev", "226:129\n");
  machine_.Write(card + "/drm/card1/dev", "226:1\n");
  machine_.Write(card + "/hwmon/hwmon7/name", "xe\n");
  machine_.Write(card + "/hwmon/hwmon7/energy1_input", "5000000\n");
  machine_.Write(card + "/hwmon/hwmon7/temp2_input", "45000\n");
  machine_.Write(card + "/hwmon/hwmon7/temp2_label", "pkg\n");
  machine_.Write(card + "/hwmon/hwmon7/temp3_input", "51000\n");
  machine_.Write(card + "/hwmon/hwmon7/temp3_label", "vram\n");
  Node("/dev/dri/renderD129", "226:129");
  const Discovery found = Discover(IntelVendor());
  ASSERT_EQ(found.devices.size(), 1u);
  const FoundDevice& max = found.devices[0];
  EXPECT_EQ(max.device.model, "intel/max-1550");
  EXPECT_EQ(max.device.memory, 128 * kGiB);
  EXPECT_EQ(max.memory_source, "sysfs");
  EXPECT_THAT(max.device.nodes, ElementsAre("/dev/dri/renderD129"));
  EXPECT_EQ(max.device.visible_variable + "=" + max.device.visible_value, "ZE_AFFINITY_MASK=0");
  EXPECT_EQ(max.readings.energy_j, 5.0);
  EXPECT_EQ(max.readings.temp_c, 45.0);
  EXPECT_EQ(max.readings.mem_temp_c, 51.0);
}

TEST_F(Slots, ATileThatCannotBeReadLeavesTheNominalSize) {
  const std::string card = Plug("0000:29:00.0", "8086", "0bd5", "038000", "xe");
  machine_.Write(card + "/tile0/physical_vram_size_bytes", "68719476736\n");
  machine_.Write(card + "/tile1/physical_vram_size_bytes", "687");
  const FoundDevice max = Discover(IntelVendor()).devices.at(0);
  EXPECT_EQ(max.device.memory, 128 * kGiB);
  EXPECT_EQ(max.memory_source, "table");
}

TEST_F(Slots, QualcommSocsHaveAnAccelNodeEach) {
  const std::string soc = Plug("0000:04:00.0", "17cb", "a100", "120000", "qaic");
  machine_.Write(soc + "/accel/accel2/dev", "261:2\n");
  Node("/dev/accel/accel2", "261:2");
  const Discovery found = Discover(QualcommVendor());
  EXPECT_EQ(found.devices[0].device.model, "qualcomm/ai100");
  EXPECT_THAT(found.devices[0].device.nodes, ElementsAre("/dev/accel/accel2"));
}

TEST_F(Slots, OlderTpusAreInTheAccelClass) {
  for (const char* number : {"0", "1"}) {
    const std::string card = Plug(std::string("0000:00:0") + (*number == '0' ? "5" : "4") + ".0",
                                  "1ae0", "005e", "120000", "accel_driver");
    machine_.Write(card + "/accel/accel" + number + "/dev", std::string("120:") + number + "\n");
    Node(std::string("/dev/accel") + number, std::string("120:") + number);
  }
  const Discovery found = Discover(TpuVendor());
  ASSERT_EQ(found.devices.size(), 2u);
  EXPECT_EQ(found.devices[0].device.id, "0000:00:04.0");
  EXPECT_EQ(found.devices[0].device.visible_value, "1");  // the node's number, not the order
  EXPECT_THAT(found.devices[0].device.nodes, ElementsAre("/dev/accel1"));
  EXPECT_THAT(found.devices[0].device.shared_nodes, IsEmpty());
  ASSERT_EQ(found.groups.size(), 1u);
}

TEST_F(Slots, TheSubsystemTellsTpuV2FromV3) {
  const std::string card = Plug("0000:00:05.0", "1ae0", "0027", "120000", "accel_driver");
  machine_.Write(card + "/subsystem_device", "0x004f\n");
  const FoundDevice chip = Discover(TpuVendor()).devices.at(0);
  EXPECT_EQ(chip.device.model, "google/tpu-v3");
  EXPECT_EQ(chip.device.memory, 32 * kGiB);
}

TEST_F(Slots, WarboyIsFoundByItsManagementClass) {
  Plug("0000:81:00.0", "1ed2", "0000", "120000", "npu");
  machine_.Write("sys/class/npu_mgmt/npu1_mgmt/busname", "0000:81:00.0\n");
  machine_.Write("sys/class/npu_mgmt/npu1_mgmt/alive", "0\n");
  for (const char* node : {"npu1", "npu1_mgmt", "npu1pe0", "npu1pe0-1", "npu10", "npu10pe0"})
    Node(std::string("/dev/") + node, "237:" + std::to_string(nodes_.size()));
  const FoundDevice npu = Discover(FuriosaVendor()).devices.at(0);
  EXPECT_THAT(npu.device.nodes,
              ElementsAre("/dev/npu1", "/dev/npu1_mgmt", "/dev/npu1pe0", "/dev/npu1pe0-1"));
  EXPECT_EQ(npu.device.state, DeviceState::kUnhealthy);
  EXPECT_EQ(npu.device.visible_value, "npu:1");
}

TEST_F(Slots, RebellionsVirtualFunctionsArePartitionsOfTheirParent) {
  Plug("0000:06:00.0", "1eff", "1250", "120000", "rebellions");
  Plug("0000:06:00.4", "1eff", "1251", "120000", "rebellions");
  Link("sys/bus/pci/devices/0000:06:00.4/physfn", "../0000:06:00.0");
  Link("sys/bus/pci/devices/0000:06:00.0/virtfn0", "../0000:06:00.4");
  const Discovery found = Discover(RebellionsVendor());
  ASSERT_EQ(found.devices.size(), 2u);
  EXPECT_FALSE(found.devices[0].partition);
  EXPECT_EQ(found.devices[1].partition,
            (Partition{.scheme = "sriov", .parent = "0000:06:00.0", .index = 0}));
  EXPECT_THAT(found.groups, IsEmpty());
}

TEST_F(Slots, GrayskullIsNoLongerSupported) {
  Plug("0000:06:00.0", "1e52", "faca", "120000", "tenstorrent");
  EXPECT_EQ(Discover(TenstorrentVendor()).devices.at(0).device.state, DeviceState::kUnsupported);
}

TEST_F(Slots, OfSomeVendorsOnlyTheIdIsKnown) {
  Plug("0000:06:00.0", "1f82", "0011", "120000", "dmx");
  Plug("0000:07:00.0", "1d95", "0002", "120000", "");
  EXPECT_EQ(Discover(ListedVendor("d-matrix")).devices.at(0).device.model, "d-matrix/corsair");
  EXPECT_EQ(Discover(GraphcoreVendor()).devices.at(0).device.state, DeviceState::kNoDriver);
}

TEST_F(Slots, NeuronWithoutItsDriverIsSeenOnTheBus) {
  Plug("0000:10:1c.0", "1d0f", "7364", "088000", "");
  const FoundDevice chip = Discover(NeuronVendor()).devices.at(0);
  EXPECT_EQ(chip.device.id, "0000:10:1c.0");
  EXPECT_EQ(chip.device.state, DeviceState::kNoDriver);
  EXPECT_EQ(chip.name, "Trainium2");
}

TEST_F(Slots, NeuronErrorsMakeAChipUnhealthyAndCoresCountOn) {
  Plug("0000:10:1c.0", "1d0f", "7164", "088000", "neuron-driver");
  Plug("0000:10:1d.0", "1d0f", "7164", "088000", "neuron-driver");
  const std::string chips = "sys/devices/virtual/neuron_device/neuron";
  machine_.Write(chips + "0/core_count", "2");
  machine_.Write(chips + "0/stats/hardware/mem_ecc_uncorrected", "1\n");
  machine_.Write(chips + "1/core_count", "2");
  machine_.Write(chips + "1/connected_devices", "0\n");
  const Discovery found = Discover(NeuronVendor());
  EXPECT_EQ(found.devices[0].device.state, DeviceState::kUnhealthy);
  EXPECT_THAT(found.devices[0].warnings, ElementsAre("ecc_uncorrected"));
  EXPECT_EQ(found.devices[1].device.visible_value, "2-3");
  ASSERT_EQ(found.groups.size(), 1u);
  EXPECT_THAT(found.groups[0].members, ElementsAre("neuron0", "neuron1"));
}

// In the order of the links, whatever the numbers; a ring that lost a chip is a line.
TEST_F(Slots, NeuronChipsOfAFabricAreInItsOrder) {
  const std::string chips = "sys/devices/virtual/neuron_device/neuron";
  const auto link = [&](uint32_t chip, const std::string& others) {
    machine_.Write(fmt::format("{}{}/core_count", chips, chip), "2");
    machine_.Write(fmt::format("{}{}/connected_devices", chips, chip), others + "\n");
  };
  link(0, "3, 1");
  link(1, "0, 2");
  link(2, "1, 3");
  link(3, "2, 0");
  EXPECT_EQ(Discover(NeuronVendor()).groups.at(0),
            (DeviceGroup{"neuronlink-ring", {"neuron0", "neuron1", "neuron2", "neuron3"}, ""}));
  link(1, "2");
  link(0, "3");
  EXPECT_EQ(Discover(NeuronVendor()).groups.at(0),
            (DeviceGroup{"neuronlink-ring", {"neuron0", "neuron3", "neuron2", "neuron1"}, "line"}));
  for (uint32_t n = 0; n < 16; ++n)
    link(n, fmt::format("{}, {}, {}, {}", (n + 12) % 16, n / 4 * 4 + (n + 3) % 4, (n + 4) % 16,
                        n / 4 * 4 + (n + 1) % 4));
  const DeviceGroup torus = Discover(NeuronVendor()).groups.at(0);
  EXPECT_EQ(torus.kind, "neuronlink-torus");
  EXPECT_EQ(torus.shape, "4,4");
  EXPECT_EQ(torus.members.size(), 16u);
  EXPECT_EQ(torus.members[15], "neuron15");
  link(5, "1, 4, 9, 7");  // wired otherwise: no shape is claimed
  EXPECT_EQ(Discover(NeuronVendor()).groups.at(0).shape, "");
}

TEST_F(Slots, AnAmdGpuWithoutComputeTopologyIsUnsupported) {
  Plug("0000:05:00.0", "1002", "74a1", "120000", "amdgpu");
  const Discovery found = Discover(AmdVendor());
  EXPECT_EQ(found.devices.at(0).device.state, DeviceState::kUnsupported);
  EXPECT_EQ(found.warnings.size(), 1u);
}

TEST_F(Slots, AnUncorrectedMemoryErrorMakesAnAmdGpuUnhealthy) {
  const std::string card = Plug("0000:05:00.0", "1002", "74a1", "120000", "amdgpu");
  machine_.Write(card + "/ras/umc_err_count", "ue: 1\nce: 12\n");
  const std::string node = "sys/class/kfd/kfd/topology/nodes/1";
  machine_.Write(node + "/gpu_id", "1234\n");
  machine_.Write(node + "/properties", "simd_count 1216\nlocation_id 1280\ndomain 0\n");
  const FoundDevice gpu = Discover(AmdVendor()).devices.at(0);
  EXPECT_EQ(gpu.device.state, DeviceState::kUnhealthy);
  EXPECT_THAT(gpu.warnings, ElementsAre("ecc_uncorrected"));
  EXPECT_EQ(gpu.memory_source, "table");
}

TEST_F(Slots, AVirtualFunctionWhoseLinksAreLostIsStillNoWholeGpu) {
  Plug("0000:41:00.0", "10de", "2235", "030200", "nvidia");
  Plug("0000:41:00.4", "10de", "2235", "030200", "nvidia");
  Plug("0000:42:00.0", "10de", "2235", "030200", "nvidia");
  const Discovery found = Discover(NvidiaVendor({""}));
  ASSERT_EQ(found.devices.size(), 3u);
  EXPECT_TRUE(found.devices[0].device.memory);
  EXPECT_FALSE(found.devices[1].device.memory);
  EXPECT_EQ(found.devices[1].partition->parent, "0000:41:00.0");
  EXPECT_TRUE(found.devices[2].device.memory);
}

TEST_F(Slots, ChipsOfAP300AreDevicesOfTheirOwn) {
  for (const char* at : {"0", "1"}) {
    const std::string card =
        Plug(std::string("0000:0") + at + ":00.0", "1e52", "b140", "120000", "tenstorrent");
    machine_.Write(card + "/tenstorrent/tenstorrent!" + at + "/dev",
                   std::string("240:") + at + "\n");
    machine_.Write(card + "/tenstorrent/tenstorrent!" + at + "/tt_card_type", "p300c\n");
    Node(std::string("/dev/tenstorrent/") + at, std::string("240:") + at);
  }
  const Discovery found = Discover(TenstorrentVendor());
  ASSERT_EQ(found.devices.size(), 2u);
  for (const FoundDevice& chip : found.devices) {
    EXPECT_EQ(chip.units, 1u);
    EXPECT_EQ(chip.device.memory, 32 * kGiB);  // and 64 on the card
  }
}

TEST_F(Slots, TheProcessorsGraphicsTakesALevelZeroNumber) {
  const std::string inside = Plug("0000:00:02.0", "8086", "a780", "030000", "i915");
  machine_.Write(inside + "/drm/renderD128/dev", "226:128\n");
  const std::string card = Plug("0000:29:00.0", "8086", "56c0", "038000", "i915");
  machine_.Write(card + "/drm/renderD129/dev", "226:129\n");
  const Discovery found = Discover(IntelVendor());
  ASSERT_EQ(found.devices.size(), 1u);
  EXPECT_EQ(found.devices[0].device.visible_value, "1");
  EXPECT_EQ(found.devices[0].device.environment.at("ZE_ENABLE_PCI_ID_DEVICE_ORDER"), "1");
  EXPECT_FALSE(found.devices[0].device.environment.contains("ZE_FLAT_DEVICE_HIERARCHY"));
}

TEST(AmdMemorySources, TwoThatAgreeWin) {
  const Bytes real = 206141652992, nominal = 192 * kGiB, cut = 20614164480;
  const auto choose = [](std::optional<Bytes> sysfs, std::optional<Bytes> kfd,
                         std::optional<Bytes> table) {
    const AmdMemory memory = ChooseMemory(sysfs, kfd, table);
    return std::make_pair(memory.bytes, memory.source);
  };
  using Answer = std::pair<std::optional<Bytes>, std::string>;
  EXPECT_EQ(choose(real, real, nominal), Answer(real, "sysfs"));
  EXPECT_EQ(choose(cut, real, nominal), Answer(real, "kfd"));
  EXPECT_EQ(choose(real, cut, nominal), Answer(real, "sysfs"));
  EXPECT_EQ(choose(real, real, 64 * kGiB), Answer(real, "sysfs"));
  EXPECT_EQ(choose(real, std::nullopt, std::nullopt), Answer(real, "sysfs"));
  EXPECT_EQ(choose(std::nullopt, real, std::nullopt), Answer(real, "kfd"));
  EXPECT_EQ(choose(std::nullopt, std::nullopt, nominal), Answer(nominal, "table"));
  EXPECT_EQ(choose(cut, real, std::nullopt), Answer(std::nullopt, ""));
}

TEST(IdTable, SaysWhereARowIsWrong) {
  const auto parse = [](const std::string& row) {
    return MessageOf(pci::IdTable::Parse("# comment\n" + row + "\n", "ids.tsv").status());
  };
  EXPECT_EQ(parse("10de\t2330\t0302"), "ids.tsv:2: 3 columns; there must be 11");
  EXPECT_NE(parse("10de\t233\t0302\tn\tgpu\tgpu\tH\t1\t1\ts\tn").find("four hexadecimal"),
            std::string::npos);
  EXPECT_NE(parse("10de\t2330\t0302\tn\tgpu\tgpu\tH\t0\t1\ts\tn").find("leave it empty"),
            std::string::npos);
}

TEST(IdTable, AnyDeviceOfAVendorIsTheLastResort) {
  const pci::IdTable& table = pci::IdTable::BuiltIn();
  EXPECT_EQ(table.Find(0x1e0d, 0x4242)->key, "sambanova");
  EXPECT_EQ(table.Find(0x10de, 0x4242), nullptr);
  EXPECT_EQ(table.Find(0x1da3, 0x1020)->name, "intel/gaudi2");
}

TEST(PciAddress, IsRecognised) {
  for (const char* good : {"0000:1b:00.0", "10000:01:1f.7"}) EXPECT_TRUE(pci::IsAddress(good));
  for (const char* bad :
       {"", "1b:00.0", "0000:1b:00.8", "0000:1B:00.0", "0000:1b:00", "pci0000:00"})
    EXPECT_FALSE(pci::IsAddress(bad)) << bad;
}

}  // namespace
}  // namespace allot::agent
