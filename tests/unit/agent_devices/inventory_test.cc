#include "agent/devices/inventory.h"

#include <atomic>
#include <future>
#include <mutex>
#include <set>

#include <gtest/gtest.h>

#include "agent/devices/claims.h"
#include "agent/devices/emulated/emulated_vendor.h"
#include "agent/devices/registry.h"
#include "folder.h"

namespace allot::agent {
namespace {

FoundDevice JustNamed(const std::string& id) {
  FoundDevice found;
  found.device.id = id;
  return found;
}

// A vendor whose calls wait until the test lets them go.
struct Gate {
  std::promise<void> open;
  std::shared_future<void> opened{open.get_future()};
  std::atomic<int> asked{0}, discoveries{0}, waiting{0};
  void Wait() {
    ++waiting;
    opened.wait();
  }
};

// Waits for a discovery until the gate is reached, however slow the machine is.
InventoryOptions UntilItWaits(const std::shared_ptr<Gate>& gate) {
  return {.discover_deadline = std::chrono::hours(1),
          .stop_waiting = [gate] { return gate->waiting > 0; }};
}

class SlowVendor : public Vendor {
 public:
  SlowVendor(std::shared_ptr<Gate> gate, bool slow_discovery)
      : gate_(std::move(gate)), slow_discovery_(slow_discovery) {}
  std::string_view name() const override { return "slow"; }
  Discovery Discover(const Snapshot&) override {
    ++gate_->asked;
    if (slow_discovery_) gate_->Wait();
    ++gate_->discoveries;
    Discovery found;
    found.devices.push_back(JustNamed("slow0"));
    return found;
  }
  std::vector<DeviceTelemetry> Sample() override {
    gate_->Wait();
    DeviceTelemetry sample;
    sample.id = "slow0";
    return {sample};
  }
  bool may_hang() const override { return true; }

 private:
  std::shared_ptr<Gate> gate_;
  const bool slow_discovery_;
};

class PromptVendor : public Vendor {
 public:
  explicit PromptVendor(std::vector<std::string> ids) : ids_(std::move(ids)) {}
  std::string_view name() const override { return "prompt"; }
  Discovery Discover(const Snapshot&) override {
    Discovery found;
    for (const std::string& id : ids_) found.devices.push_back(JustNamed(id));
    return found;
  }
  std::vector<DeviceTelemetry> Sample() override {
    DeviceTelemetry sample;
    sample.id = ids_.front();
    return {sample};
  }

 private:
  std::vector<std::string> ids_;
};

template <class... V>
std::vector<std::unique_ptr<Vendor>> Vendors(std::unique_ptr<V>... vendors) {
  std::vector<std::unique_ptr<Vendor>> all;
  (all.push_back(std::move(vendors)), ...);
  return all;
}

std::vector<std::string> IdsOf(const std::vector<FoundDevice>& devices) {
  std::vector<std::string> ids;
  for (const FoundDevice& found : devices) ids.push_back(found.device.id);
  return ids;
}

TEST(Inventory, AHangingDiscoveryIsLeftOutWithAWarningAndAddedWhenItAnswers) {
  const auto gate = std::make_shared<Gate>();
  Inventory inventory(Vendors(std::make_unique<PromptVendor>(std::vector<std::string>{"a"}),
                              std::make_unique<SlowVendor>(gate, true)),
                      Host::Live(), {.discover_deadline = std::chrono::milliseconds(20)});
  const Discovery found = inventory.DiscoverAll();
  EXPECT_EQ(IdsOf(found.devices), std::vector<std::string>{"a"});
  ASSERT_EQ(found.warnings.size(), 1u);
  EXPECT_NE(found.warnings[0].find("slow devices has not answered for 20ms"), std::string::npos)
      << found.warnings[0];
  EXPECT_FALSE(inventory.Poll(Duration{}).changed);

  gate->open.set_value();
  Inventory::Update update;
  while (!update.changed) update = inventory.Poll(Duration{});
  EXPECT_EQ(IdsOf(update.changed->devices), (std::vector<std::string>{"a", "slow0"}));
  EXPECT_FALSE(inventory.Poll(Duration{}).changed);
}

TEST(Inventory, AHangingSampleIsSaidOnceAndItsOldNumbersAreDropped) {
  const auto gate = std::make_shared<Gate>();
  Inventory inventory(Vendors(std::make_unique<SlowVendor>(gate, false)), Host::Live(),
                      {.sample_deadline = std::chrono::seconds(5)});
  ASSERT_EQ(inventory.DiscoverAll().devices.size(), 1u);
  EXPECT_TRUE(inventory.Poll(std::chrono::seconds(1)).warnings.empty());  // asks
  EXPECT_TRUE(inventory.Poll(std::chrono::seconds(2)).warnings.empty());  // still in time
  const auto late = inventory.Poll(std::chrono::seconds(7));
  ASSERT_EQ(late.warnings.size(), 1u);
  EXPECT_NE(late.warnings[0].find("degraded"), std::string::npos);
  EXPECT_TRUE(late.telemetry.empty());
  EXPECT_TRUE(inventory.Poll(std::chrono::seconds(8)).warnings.empty());

  gate->open.set_value();
  Inventory::Update update;
  while (update.telemetry.empty()) {
    update = inventory.Poll(std::chrono::seconds(9));
    for (const std::string& warning : update.warnings)
      EXPECT_EQ(warning, "slow devices answer again");
  }
  EXPECT_EQ(update.telemetry[0].id, "slow0");
}

// Finds its device at once; its library answers when the test lets it.
class HungLibraryVendor : public Vendor {
 public:
  explicit HungLibraryVendor(std::shared_ptr<Gate> gate) : gate_(std::move(gate)) {}
  std::string_view name() const override { return "hung"; }
  Discovery Discover(const Snapshot&) override {
    Discovery found;
    found.devices.push_back(JustNamed("hung0"));
    return found;
  }
  bool enriches() const override { return true; }
  void Enrich(Discovery* found) override {
    gate_->Wait();
    found->devices[0].device.memory = kGiB;
  }
  std::vector<DeviceTelemetry> Sample() override { return {}; }
  bool may_hang() const override { return true; }

 private:
  std::shared_ptr<Gate> gate_;
};

TEST(Inventory, ALibraryThatHangsDropsNoDevice) {
  const auto gate = std::make_shared<Gate>();
  Inventory inventory(Vendors(std::make_unique<HungLibraryVendor>(gate)), Host::Live(),
                      UntilItWaits(gate));
  const Discovery found = inventory.DiscoverAll();
  ASSERT_EQ(IdsOf(found.devices), std::vector<std::string>{"hung0"});
  EXPECT_FALSE(found.devices[0].device.memory);
  ASSERT_EQ(found.warnings.size(), 1u);
  EXPECT_NE(found.warnings[0].find("going on with what the kernel shows"), std::string::npos);

  gate->open.set_value();
  Inventory::Update update;
  while (!update.changed) update = inventory.Poll(Duration{});
  EXPECT_EQ(update.changed->devices[0].device.memory, kGiB);
}

// Tells what the test says; with a gate, its signals wait for it.
class SickVendor : public Vendor {
 public:
  struct Said {
    std::mutex mutex;
    std::vector<HealthSignal> signals;
    void Say(std::vector<HealthSignal> s) {
      const std::lock_guard lock(mutex);
      signals = std::move(s);
    }
  };
  explicit SickVendor(std::shared_ptr<Said> said, std::shared_ptr<Gate> gate = nullptr)
      : said_(std::move(said)), gate_(std::move(gate)) {}
  std::string_view name() const override { return "sick"; }
  Discovery Discover(const Snapshot&) override {
    Discovery found;
    for (const char* id : {"0000:01:00.0", "0000:02:00.0"}) found.devices.push_back(JustNamed(id));
    return found;
  }
  std::vector<DeviceTelemetry> Sample() override { return {}; }
  std::vector<HealthSignal> Signals() override {
    if (gate_ != nullptr) gate_->Wait();
    const std::lock_guard lock(said_->mutex);
    return said_->signals;
  }
  bool may_hang() const override { return gate_ != nullptr; }

 private:
  std::shared_ptr<Said> said_;
  std::shared_ptr<Gate> gate_;
};

InventoryOptions WithRules(const std::string& tsv) {
  return {.health = std::make_shared<const HealthRules>(*HealthRules::Parse(tsv, "test"))};
}

TEST(Inventory, ASignalDrainsADeviceAndItComesBack) {
  const auto said = std::make_shared<SickVendor::Said>();
  Inventory inventory(Vendors(std::make_unique<SickVendor>(said)), Host::Live(),
                      WithRules("sick\tfever\t>= 39\tdrain\t10s\ts\n"));
  ASSERT_EQ(inventory.DiscoverAll().devices[0].device.state, DeviceState::kReady);
  EXPECT_FALSE(inventory.Poll(std::chrono::seconds(1)).changed);

  said->Say({{"0000:02:00.0", "fever", 40, false}});
  const Inventory::Update sick = inventory.Poll(std::chrono::seconds(2));
  ASSERT_TRUE(sick.changed);
  EXPECT_EQ(sick.changed->devices[0].device.state, DeviceState::kReady);
  EXPECT_EQ(sick.changed->devices[1].device.state, DeviceState::kDraining);
  EXPECT_EQ(sick.changed->devices[1].device.health, std::vector<std::string>{"fever"});
  ASSERT_EQ(sick.warnings.size(), 1u);
  EXPECT_EQ(sick.warnings[0], "device 0000:02:00.0 is draining with fever");
  EXPECT_FALSE(inventory.Poll(std::chrono::seconds(3)).changed);

  said->Say({{"0000:02:00.0", "fever", 37, false}});
  EXPECT_FALSE(inventory.Poll(std::chrono::seconds(4)).changed);
  const Inventory::Update well = inventory.Poll(std::chrono::seconds(14));
  ASSERT_TRUE(well.changed);
  EXPECT_EQ(well.changed->devices[1].device.state, DeviceState::kReady);
  EXPECT_EQ(well.warnings.at(0), "device 0000:02:00.0 is well again: ready");
}

TEST(Inventory, WhatIsSickAtTheStartIsToldSickAtOnce) {
  const auto said = std::make_shared<SickVendor::Said>();
  said->Say({{"0000:02:00.0", "fever", 40, false}});
  Inventory inventory(Vendors(std::make_unique<SickVendor>(said)), Host::Live(),
                      WithRules("*\tfever\t>= 39\tquarantine\t-\ts\n"));
  EXPECT_EQ(inventory.DiscoverAll().devices[1].device.state, DeviceState::kQuarantined);
  said->Say({});
  EXPECT_FALSE(inventory.Poll(std::chrono::hours(100)).changed);
  inventory.ClearHealth();
  EXPECT_TRUE(inventory.Poll(std::chrono::hours(101)).changed);
}

TEST(Inventory, WithoutRulesSignalsAreNotAskedFor) {
  const auto said = std::make_shared<SickVendor::Said>();
  const auto gate = std::make_shared<Gate>();  // stays closed: asking would hang
  Inventory inventory(Vendors(std::make_unique<SickVendor>(said, gate)), Host::Live());
  EXPECT_EQ(inventory.DiscoverAll().devices.size(), 2u);
  gate->open.set_value();
}

TEST(Inventory, SignalsThatHangHideNoDevice) {
  const auto said = std::make_shared<SickVendor::Said>();
  const auto gate = std::make_shared<Gate>();
  said->Say({{"0000:02:00.0", "fever", 40, false}});
  InventoryOptions options = UntilItWaits(gate);
  options.health = WithRules("*\tfever\t>= 39\tdrain\t10s\ts\n").health;
  Inventory inventory(Vendors(std::make_unique<SickVendor>(said, gate)), Host::Live(), options);
  EXPECT_EQ(inventory.DiscoverAll().devices.size(), 2u);
  gate->open.set_value();
  Inventory::Update update;
  while (!update.changed) update = inventory.Poll(Duration{});
  EXPECT_EQ(update.changed->devices[1].device.state, DeviceState::kDraining);
}

TEST(Inventory, TheKernelLogTellsOfDevicesThatAreOurs) {
  Folder machine;
  machine.Write("dev/kmsg", "3,1,1,-;NVRM: Xid (PCI:0000:01:00): 79, before our time\n");
  const auto said = std::make_shared<SickVendor::Said>();
  Inventory inventory(Vendors(std::make_unique<SickVendor>(said)), machine.host(),
                      {.health = HealthRules::BuiltIn()});
  inventory.DiscoverAll();
  EXPECT_FALSE(inventory.Poll(std::chrono::seconds(1)).changed);
  machine.Append("dev/kmsg",
                 "3,2,2,-;NVRM: Xid (PCI:0000:09:00): 79, of no device here\n"
                 "3,3,3,-;NVRM: Xid (PCI:0000:01:00): 43, pid=1, a program's own fault\n");
  EXPECT_FALSE(inventory.Poll(std::chrono::seconds(2)).changed);
  machine.Append("dev/kmsg", "3,4,4,-;NVRM: Xid (PCI:0000:01:00): 79, pid=1, fallen off\n");
  const Inventory::Update update = inventory.Poll(std::chrono::seconds(3));
  ASSERT_TRUE(update.changed);
  EXPECT_EQ(update.changed->devices[0].device.state, DeviceState::kQuarantined);
  EXPECT_EQ(update.changed->devices[0].device.health, std::vector<std::string>{"xid_79"});
  EXPECT_EQ(update.changed->devices[1].device.state, DeviceState::kReady);
}

TEST(Inventory, ReadingsAreFreshOnceAndCarryTheirTime) {
  const auto gate = std::make_shared<Gate>();
  gate->open.set_value();
  Inventory inventory(Vendors(std::make_unique<SlowVendor>(gate, false)), Host::Live());
  inventory.DiscoverAll();
  Inventory::Update update;
  int64_t second = 1;
  for (; update.fresh.empty(); ++second) update = inventory.Poll(std::chrono::seconds(second));
  ASSERT_EQ(update.fresh.size(), 1u);
  EXPECT_EQ(update.fresh[0].values.id, "slow0");
  EXPECT_LE(update.fresh[0].at, std::chrono::seconds(second));
  EXPECT_EQ(update.telemetry.size(), 1u);
}

TEST(Inventory, IsDestroyedWhileALibraryHangs) {
  const auto gate = std::make_shared<Gate>();
  {
    Inventory inventory(Vendors(std::make_unique<SlowVendor>(gate, true)), Host::Live(),
                        {.discover_deadline = std::chrono::milliseconds(1)});
    inventory.DiscoverAll();
    while (gate->asked == 0) std::this_thread::yield();
  }
  gate->open.set_value();
  while (gate->discoveries == 0) std::this_thread::yield();
}

TEST(Inventory, LooksForDevicesAgainFromTimeToTime) {
  const auto gate = std::make_shared<Gate>();
  gate->open.set_value();
  Inventory inventory(Vendors(std::make_unique<SlowVendor>(gate, false)), Host::Live(),
                      {.rediscover_every = std::chrono::seconds(60)});
  inventory.DiscoverAll();
  EXPECT_EQ(gate->discoveries, 1);
  for (int64_t second = 1; gate->discoveries < 2; ++second)
    inventory.Poll(std::chrono::seconds(second));
  SUCCEED();
}

TEST(Inventory, DoubleIdsAreDropped) {
  Inventory inventory(Vendors(std::make_unique<PromptVendor>(std::vector<std::string>{"a", "b"}),
                              std::make_unique<PromptVendor>(std::vector<std::string>{"b", "c"})),
                      Host::Live());
  const Discovery found = inventory.DiscoverAll();
  EXPECT_EQ(IdsOf(found.devices), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(found.warnings.size(), 1u);
}

TEST(Inventory, WhatTwoDevicesClaimNeitherHas) {
  Discovery found;
  for (const char* id : {"a", "b", "c"}) {
    FoundDevice device = JustNamed(id);
    device.device.visible_variable = "HABANA_VISIBLE_MODULES";
    device.device.visible_value = *id == 'c' ? "3" : "2";
    device.device.nodes = {"/dev/accel/accel0", std::string("/dev/accel/") + id};
    if (*id == 'c') device.device.nodes = {"/dev/accel/c"};
    found.devices.push_back(device);
  }
  SettleClaims(&found);
  EXPECT_EQ(found.devices[0].device.visible_variable, "");
  EXPECT_EQ(found.devices[1].device.nodes, std::vector<std::string>{"/dev/accel/b"});
  EXPECT_EQ(found.devices[2].device.visible_value, "3");
  ASSERT_EQ(found.warnings.size(), 2u);
  EXPECT_NE(found.warnings[0].find("HABANA_VISIBLE_MODULES=2 is claimed by a and b"),
            std::string::npos);
}

config::AgentDevices Emulating(std::vector<std::pair<std::string, uint32_t>> wishes) {
  config::AgentDevices devices;
  for (const auto& [model, count] : wishes) {
    devices.add_emulated()->set_model(model);
    devices.mutable_emulated()->rbegin()->set_count(count);
  }
  return devices;
}

TEST(Emulated, DevicesComeFromTheCatalogueAndSaySo) {
  const auto vendor = MakeEmulatedVendor(
      Emulating({{"nvidia/h100-sxm-80g", 2}, {"groq/lpu-v1", 1}, {"nvidia/l4", 0}}).emulated(),
      Catalogue::BuiltIn());
  ASSERT_TRUE(vendor.ok()) << vendor.status();
  const Discovery found = (*vendor)->Discover(*Snapshot::Take(Host::Live()));
  ASSERT_EQ(IdsOf(found.devices), (std::vector<std::string>{"emu0", "emu1", "emu2", "emu3"}));
  for (const FoundDevice& f : found.devices) EXPECT_TRUE(f.device.emulated);
  const Device& second = found.devices[1].device;
  EXPECT_EQ(second.kind, DeviceKind::kGpu);
  EXPECT_EQ(second.vendor, "nvidia");
  EXPECT_EQ(second.memory, 80 * kGiB);
  EXPECT_EQ(second.visible_variable, "CUDA_VISIBLE_DEVICES");
  EXPECT_EQ(second.visible_value, "1");
  EXPECT_EQ(found.devices[2].device.kind, DeviceKind::kAsic);
  EXPECT_EQ(found.devices[2].device.visible_variable, "");
  EXPECT_EQ(found.devices[3].device.visible_value, "2");
  EXPECT_TRUE((*vendor)->Sample().empty());
}

TEST(Emulated, AnUnknownModelIsAnErrorThatNamesIt) {
  const auto vendor =
      MakeEmulatedVendor(Emulating({{"nvidia/h900", 1}}).emulated(), Catalogue::BuiltIn());
  EXPECT_TRUE(absl::IsInvalidArgument(vendor.status()));
  EXPECT_NE(MessageOf(vendor.status()).find("nvidia/h900"), std::string::npos);
}

TEST(Emulated, MoreThanANodeHoldsIsAnError) {
  EXPECT_FALSE(MakeEmulatedVendor(Emulating({{"nvidia/l4", 100}, {"groq/lpu-v1", 29}}).emulated(),
                                  Catalogue::BuiltIn())
                   .ok());
}

std::set<std::string> VendorNames(const config::AgentDevices& devices) {
  std::set<std::string> names;
  const auto vendors = MakeVendors(devices, Catalogue::BuiltIn(), Host::Live());
  for (const auto& vendor : vendors.value()) names.emplace(vendor->name());
  return names;
}

TEST(Registry, ConfigSwitchesVendorsOff) {
  config::AgentDevices devices;
  EXPECT_EQ(VendorNames(devices).size(), 21u);
  devices.set_cpu(false);
  devices.set_nvidia(false);
  devices.add_without("amd");
  EXPECT_FALSE(VendorNames(devices).contains("nvidia") || VendorNames(devices).contains("amd") ||
               VendorNames(devices).contains("cpu"));
  EXPECT_TRUE(VendorNames(devices).contains("habana"));
  devices.add_without("gravity");
  const Status unknown = MakeVendors(devices, Catalogue::BuiltIn(), Host::Live()).status();
  EXPECT_NE(MessageOf(unknown).find("no vendor \"gravity\""), std::string::npos) << unknown;
}

TEST(Registry, EveryRowOfTheIdTableHasAVendor) {
  const std::set<std::string> keys = VendorNames({});
  for (const pci::IdRow& row : pci::IdTable::BuiltIn().rows())
    EXPECT_TRUE(keys.contains(row.key)) << row.key;
}

}  // namespace
}  // namespace allot::agent
