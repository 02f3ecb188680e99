// Devices that the config declares, alone and in the place of those found.
#include "agent/devices/declared/declared_vendor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/devices/inventory.h"
#include "agent/devices/parts.h"
#include "agent/devices/registry.h"
#include "common/config/bind.h"
#include "folder.h"

namespace allot::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Declared : public ::testing::Test {
 protected:
  void Plug(const std::string& address, const std::string& id, const std::string& driver = "acme") {
    const std::string folder = "sys/bus/pci/devices/" + address;
    machine_.Write(folder + "/vendor", "0x" + id.substr(0, 4) + "\n");
    machine_.Write(folder + "/device", "0x" + id.substr(5) + "\n");
    machine_.Write(folder + "/class", "0x120000\n");
    machine_.Write(folder + "/numa_node", "1\n");
    if (!driver.empty()) links_ += folder + "/driver -> ../../drivers/" + driver + "\n";
  }
  void Node(const std::string& path) {
    nodes_ += path + " c 240:" + std::to_string(minor_++) + " 0666\n";
  }
  // All vendors' devices but the processors, with the declared ones, as an agent would offer them.
  Discovery Discover(const std::string& yaml) {
    machine_.Write("links.txt", links_);
    machine_.Write("dev.txt", nodes_);
    config::AgentDevices devices;
    const Status bound = config::BindYaml("cpu: false\n" + yaml, "f.yaml", &devices);
    EXPECT_TRUE(bound.ok()) << bound;
    auto vendors = MakeVendors(devices, Catalogue::BuiltIn(), machine_.host());
    EXPECT_TRUE(vendors.ok()) << vendors.status();
    Inventory inventory(*std::move(vendors), machine_.host(),
                        {.composition = MakeComposition(devices, Catalogue::BuiltIn(), {})});
    return inventory.DiscoverAll();
  }
  Folder machine_;
  std::string links_, nodes_;
  int minor_ = 0;
};

const std::string kAcme =
    "static:\n- {name: npu, model: acme/npu-9, kind: ASIC, pci: '1e99:b140', memory: 16GiB, "
    "watts: 75.5,\n   nodes: ['/dev/acme{n}'], shared_nodes: [/dev/acmectl], "
    "visible_variable: ACME_CARDS}\n";

TEST_F(Declared, EveryFunctionThatMatchesIsADeviceOfItsOwn) {
  Plug("0000:17:00.0", "1e99:b140");
  Plug("0000:18:00.0", "1e99:b140");
  Plug("0000:19:00.0", "1e99:0001");
  for (const char* node : {"/dev/acme0", "/dev/acme1", "/dev/acmectl"}) Node(node);
  const Discovery found = Discover(kAcme);
  ASSERT_EQ(found.devices.size(), 2u);
  const Device& second = found.devices[1].device;
  EXPECT_EQ(second.id, "0000:18:00.0");
  EXPECT_EQ(second.kind, DeviceKind::kAsic);
  EXPECT_EQ(second.vendor, "acme");
  EXPECT_EQ(second.model, "acme/npu-9");
  EXPECT_EQ(second.memory, 16 * kGiB);
  EXPECT_EQ(second.power_max, 75'500);
  EXPECT_EQ(second.numa_node, 1);
  EXPECT_EQ(second.state, DeviceState::kReady);
  EXPECT_TRUE(second.configured);
  EXPECT_EQ(second.visible_variable + "=" + second.visible_value, "ACME_CARDS=1");
  EXPECT_THAT(second.nodes, ElementsAre("/dev/acme1"));
  EXPECT_THAT(second.shared_nodes, ElementsAre("/dev/acmectl"));
  EXPECT_EQ(second.isolation, Isolation::kHard);
  EXPECT_EQ(found.devices[1].driver, "acme");
  EXPECT_EQ(FilesOf({found.devices[0].device, second}, {"0000:18:00.0"}),
            (LeasedFiles{{"/dev/acme1"}, {"/dev/acmectl"}}));
  EXPECT_THAT(found.warnings, IsEmpty());
}

TEST_F(Declared, AFileThatIsNotThereKeepsTheDeviceFromWork) {
  Plug("0000:17:00.0", "1e99:b140");
  Plug("0000:18:00.0", "1e99:b140", "");
  Node("/dev/acme0");
  const Discovery found = Discover(kAcme);
  ASSERT_EQ(found.devices.size(), 2u);
  EXPECT_EQ(found.devices[0].device.state, DeviceState::kUnsupported);
  EXPECT_EQ(found.devices[1].device.state, DeviceState::kNoDriver);
  EXPECT_THAT(found.devices[0].device.shared_nodes, IsEmpty());
  EXPECT_THAT(found.warnings,
              ElementsAre(HasSubstr("0000:17:00.0 cannot be used, there is no /dev/acmectl"),
                          HasSubstr("there is no /dev/acme1, /dev/acmectl")));
}

TEST_F(Declared, WithoutAPciMatchItStandsForItself) {
  Node("/dev/widget");
  const Discovery found = Discover(
      "static:\n- {name: widget, model: acme/widget, kind: GPU, nodes: [/dev/widget]}\n"
      "- {name: blind, model: groq/lpu-v1, kind: ASIC}\n"
      "- {name: absent, model: acme/absent, kind: ASIC, nodes: [/dev/absent]}\n"
      "- {name: elsewhere, model: acme/x, kind: ASIC, pci: '1e99:ffff'}\n");
  ASSERT_EQ(found.devices.size(), 3u);
  EXPECT_EQ(found.devices[0].device.id, "widget");
  EXPECT_EQ(found.devices[0].device.state, DeviceState::kReady);
  EXPECT_EQ(found.devices[1].device.memory, Catalogue::BuiltIn().Find("groq/lpu-v1")->memory);
  EXPECT_EQ(found.devices[1].device.power_max, 300'000);
  EXPECT_EQ(found.devices[1].device.isolation, Isolation::kShared) << "it has no file of its own";
  EXPECT_EQ(found.devices[2].device.state, DeviceState::kNoDriver);
  EXPECT_THAT(found.warnings,
              ElementsAre(HasSubstr("there is no /dev/absent"),
                          HasSubstr("no PCI function of this machine is 1e99:ffff")));
}

TEST_F(Declared, WinsOverWhatAVendorFoundAndLeavesTheRest) {
  Plug("0000:06:00.0", "1e52:b140", "tenstorrent");
  machine_.Write("sys/bus/pci/devices/0000:06:00.0/tenstorrent/tenstorrent!0/dev", "240:0\n");
  Node("/dev/tenstorrent/0");
  const Discovery plain = Discover("");
  ASSERT_EQ(plain.devices.size(), 1u);
  EXPECT_FALSE(plain.devices[0].device.configured);
  const Discovery found = Discover(
      "static:\n- {name: tt, model: acme/tt-x, kind: ASIC, pci: '0000:06:00.0', memory: 3GiB}\n");
  ASSERT_EQ(found.devices.size(), 1u);
  const Device& device = found.devices[0].device;
  EXPECT_EQ(device.model, "acme/tt-x");
  EXPECT_EQ(device.memory, 3 * kGiB);
  EXPECT_TRUE(device.configured);
  EXPECT_EQ(device.state, DeviceState::kReady);
  EXPECT_EQ(device.visible_variable, "TT_VISIBLE_DEVICES");
  EXPECT_THAT(device.nodes, ElementsAre("/dev/tenstorrent/0"));
  EXPECT_THAT(found.warnings, IsEmpty());
}

TEST_F(Declared, TheFirstRowThatMatchesAFunctionCounts) {
  Plug("0000:17:00.0", "1e99:b140");
  const Discovery found = Discover(
      "static:\n- {name: one, model: acme/one, kind: ASIC, pci: '0000:17:00.0'}\n"
      "- {name: all, model: acme/all, kind: ASIC, pci: '1E99:B140', visible_variable: A, "
      "visible_value: '{pci}'}\n");
  ASSERT_EQ(found.devices.size(), 1u);
  EXPECT_EQ(found.devices[0].device.model, "acme/one");
  EXPECT_THAT(found.warnings, ElementsAre(HasSubstr("declared by a row before it")));
}

FoundDevice Bare(const std::string& id) {
  FoundDevice found;
  found.device.id = id;
  found.device.model = "a/b";
  return found;
}

FoundDevice DeclaredAs(const std::string& id) {
  FoundDevice found = Bare(id);
  found.device.configured = true;
  return found;
}

TEST(TakeDeclared, AWholeTakesThePlaceOfItsPartitions) {
  Discovery all;
  for (const char* id : {"0000:01:00.0/gi1/ci0", "0000:01:00.0/gi2/ci0"}) {
    all.devices.push_back(Bare(id));
    all.devices.back().partition = Partition{.scheme = "mig", .parent = "0000:01:00.0"};
  }
  all.claimed = {"0000:01:00.0"};
  TakeDeclared(DeclaredAs("0000:01:00.0"), &all);
  ASSERT_EQ(all.devices.size(), 1u);
  EXPECT_EQ(all.devices[0].device.id, "0000:01:00.0");
  EXPECT_THAT(all.warnings, ElementsAre(HasSubstr("its 2 partitions are not used")));
}

TEST(TakeDeclared, IsNeverASecondDeviceOfTheSameChip) {
  Discovery all;
  all.devices = {Bare("neuron0"), Bare("cpu0")};
  all.claimed = {"0000:10:1c.0"};
  TakeDeclared(DeclaredAs("0000:10:1c.0"), &all);
  TakeDeclared(DeclaredAs("cpu0"), &all);
  EXPECT_EQ(all.devices.size(), 2u);
  EXPECT_FALSE(all.devices[1].device.configured);
  EXPECT_THAT(all.warnings, ElementsAre(HasSubstr("its vendor names its devices otherwise"),
                                        HasSubstr("another device has this id")));
}

TEST(TakeDeclared, LeavesAnUnhealthyDeviceUnhealthy) {
  Discovery all;
  all.devices = {Bare("0000:01:00.0")};
  all.devices[0].device.state = DeviceState::kUnhealthy;
  all.devices[0].uuid = "GPU-1";
  FoundDevice declared = DeclaredAs("0000:01:00.0");
  declared.Tell("dev_nodes", "config");
  TakeDeclared(declared, &all);
  EXPECT_EQ(all.devices[0].device.state, DeviceState::kUnhealthy);
  EXPECT_EQ(all.devices[0].device.uuid, "GPU-1");
}

}  // namespace
}  // namespace allot::agent
