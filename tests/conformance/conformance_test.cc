// The definition of done for a vendor folder. Every test runs for every vendor, on all of its
// recorded machines; the names are `Vendor/Conformance.<Property>/<vendor>` and stay.
#include <map>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/devices/nvidia/nvidia_vendor.h"
#include "signals.h"
#include "support.h"
#include "vendors.h"

namespace allot::agent::kit {
namespace {

using testing::IsEmpty;

class Conformance : public testing::TestWithParam<std::string> {
 protected:
  const std::string& key() const { return GetParam(); }
  std::shared_ptr<const Host> HostOf(const Machine& machine) const {
    return *Host::Recorded(machine.folder);
  }
  // Without a machine nothing would be tested, and that must not look like a pass.
  void SetUp() override {
    ASSERT_FALSE(machines_.empty())
        << key() << " has no recorded machine in tests/machines; see docs/new-vendor.md";
  }
  const std::vector<Machine> machines_ = MachinesOf(GetParam());
};

TEST_P(Conformance, Discover) {
  size_t ready = 0;
  for (const Machine& machine : machines_) {
    EXPECT_THAT(Differences(Expected(machine), Discover(HostOf(machine))), IsEmpty())
        << machine.name;
    for (const FoundDevice& found : FindAlone(key(), HostOf(machine)).devices())
      ready += found.device.state == DeviceState::kReady ? 1 : 0;
  }
  EXPECT_GT(ready, 0u) << "no recorded machine has a device of " << key() << " that works";
}

// The facts that a description holds; one that is absent needs no source.
std::vector<std::string> FactsOf(const FoundDevice& found) {
  const Device& device = found.device;
  std::vector<std::string> facts = {"id", "model"};
  const auto add = [&](bool is_there, const char* fact) {
    if (is_there) facts.emplace_back(fact);
  };
  add(device.memory.has_value(), "memory_bytes");
  add(device.numa_node >= 0, "numa_node");
  add(!device.nodes.empty(), "dev_nodes");
  add(!device.shared_nodes.empty(), "shared_dev_nodes");
  add(!device.visible_variable.empty(), "visible_env");
  add(!device.features.empty(), "features");
  add(!found.pci_id.empty(), "pci_id");
  add(!found.driver.empty(), "state");
  add(!found.uuid.empty(), "uuid");
  add(found.units > 1, "units");
  add(found.partition.has_value(), "partition");
  add(!found.warnings.empty(), "warnings");
  const Readings& r = found.readings;
  add(r.power_w || r.temp_c || r.mem_temp_c || r.util_pct || r.energy_j || r.power_pct_of_max,
      "telemetry");
  return facts;
}

TEST_P(Conformance, Describe) {
  for (const Machine& machine : machines_) {
    for (const FoundDevice& found : FindAlone(key(), HostOf(machine)).devices()) {
      std::map<std::string, std::string> sources;
      for (const Fact& fact : found.facts) sources[fact.what] = fact.source;
      for (const std::string& fact : FactsOf(found))
        EXPECT_FALSE(sources[fact].empty()) << machine.name << " " << found.device.id
                                            << ": nothing says where " << fact << " comes from";
      EXPECT_FALSE(found.source.empty()) << machine.name << " " << found.device.id;
      // Unknown is absent.
      EXPECT_GT(found.device.memory.value_or(1), 0) << machine.name << " " << found.device.id;
      EXPECT_GE(found.units, 1u);
      EXPECT_NE(found.device.model.find('/'), std::string::npos) << found.device.model;
      EXPECT_EQ(found.device.memory.has_value(), !found.memory_source.empty() || key() == "cpu")
          << machine.name << " " << found.device.id;
    }
  }
}

TEST_P(Conformance, Isolate) {
  const SupportRow variable = SupportOf(key()).at("visible variable");
  for (const Machine& machine : machines_) {
    const DevNodes nodes = HostOf(machine)->ListDevices();
    std::map<std::string, std::string> owner;  // of a node, of a value
    std::set<std::string> shared;
    for (const FoundDevice& found : FindAll(HostOf(machine)).devices) {
      const Device& device = found.device;
      const auto claim = [&](const std::string& what) {
        const auto [it, fresh] = owner.emplace(what, device.id);
        EXPECT_TRUE(fresh) << machine.name << ": " << what << " is of " << it->second << " and of "
                           << device.id;
      };
      for (const std::string& node : device.nodes) {
        claim(node);
        EXPECT_TRUE(nodes.Has(node)) << machine.name << ": there is no " << node;
      }
      for (const std::string& node : device.shared_nodes) {
        shared.insert(node);
        EXPECT_TRUE(nodes.Has(node)) << machine.name << ": there is no " << node;
      }
      if (!device.visible_variable.empty()) {
        claim(device.visible_variable + "=" + device.visible_value);
        EXPECT_FALSE(device.visible_value.empty()) << machine.name << " " << device.id;
      }
      if (!IsOf(key(), device)) continue;
      // Exactly the variable that the page promises.
      if (device.visible_variable.empty()) continue;
      EXPECT_NE(variable.mark, "none") << device.visible_variable << " is not in support.tsv";
      EXPECT_NE(variable.what.find(device.visible_variable), std::string::npos)
          << device.visible_variable << " is not in: " << variable.what;
      EXPECT_EQ(device.state == DeviceState::kReserved, false)
          << machine.name << " " << device.id << " is kept for a guest and shown to a process";
    }
    // A whole node never doubles as a part's own.
    for (const FoundDevice& found : FindAll(HostOf(machine)).devices)
      for (const std::string& node : found.device.nodes)
        EXPECT_FALSE(shared.contains(node)) << machine.name << ": " << node;
  }
}

TEST_P(Conformance, IsolateSetsTheVariableItPromises) {
  const SupportRow variable = SupportOf(key()).at("visible variable");
  size_t shown = 0;
  for (const Machine& machine : machines_)
    for (const FoundDevice& found : FindAlone(key(), HostOf(machine)).devices())
      shown += found.device.visible_variable.empty() ? 0 : 1;
  EXPECT_EQ(shown > 0, variable.mark != "none") << variable.what;
}

void ExpectPlausible(const DeviceTelemetry& sample, const std::string& where) {
  const auto within = [&](const std::optional<double>& value, double low, double high,
                          const char* what) {
    if (!value) return;
    EXPECT_GE(*value, low) << where << " " << what;
    EXPECT_LE(*value, high) << where << " " << what;
  };
  within(sample.power_watts, 0, 5000, "W");
  within(sample.temperature_celsius, -40, 150, "C");
  within(sample.utilization_ratio, 0, 1, "utilisation");
  within(sample.energy_joules, 0, 1e13, "J");
  if (sample.memory_used) {
    EXPECT_GE(*sample.memory_used, 0) << where;
  }
}

bool Measures(const DeviceTelemetry& sample) {
  return sample.power_watts || sample.temperature_celsius || sample.utilization_ratio ||
         sample.energy_joules || sample.memory_used;
}

// Files that hold what is measured, in whatever folder.
bool IsSensor(const std::string& file) {
  return file.find("/hwmon/") != file.npos || file.ends_with("/gpu_busy_percent") ||
         file.find("/mem_info_vram_used") != file.npos || file.find("/stats/power/") != file.npos ||
         file.find("/stats/memory_usage/") != file.npos || file.find("/powercap/") != file.npos ||
         file == "proc/stat";
}

TEST_P(Conformance, Telemetry) {
  const auto& support = SupportOf(key());
  const bool promised = support.at("power").mark != "none" ||
                        support.at("temperature").mark != "none" ||
                        support.at("utilisation").mark != "none";
  size_t measured = 0;
  for (const Machine& machine : machines_) {
    // Values are compared by Discover; here the units, and that samples are the same values.
    const Found alone = FindAlone(key(), HostOf(machine));
    std::map<std::string, Readings> at_discovery;
    for (const FoundDevice& found : alone.devices()) {
      at_discovery[found.device.id] = found.readings;
      measured += found.readings.power_pct_of_max ? 1 : 0;
    }
    for (const DeviceTelemetry& sample : alone.vendor->Sample()) {
      ExpectPlausible(sample, machine.name + " " + sample.id);
      if (Measures(sample)) ++measured;
      const auto it = at_discovery.find(sample.id);
      if (it == at_discovery.end() || key() == "cpu") continue;
      EXPECT_EQ(sample.power_watts, it->second.power_w) << machine.name << " " << sample.id;
      EXPECT_EQ(sample.temperature_celsius, it->second.temp_c) << machine.name << " " << sample.id;
    }
    // Without the files there is nothing, and not 0.
    const Copy copy(machine);
    for (const std::string& file : copy.Files())
      if (IsSensor(file)) copy.Remove(file);
    const Found blind = FindAlone(key(), copy.host());
    EXPECT_EQ(blind.devices().size(), alone.devices().size()) << machine.name;
    for (const DeviceTelemetry& sample : blind.vendor->Sample()) {
      EXPECT_FALSE(sample.power_watts || sample.temperature_celsius || sample.energy_joules)
          << machine.name << " " << sample.id << " measures without a sensor";
    }
    for (const FoundDevice& found : blind.devices())
      EXPECT_FALSE(found.readings.power_w || found.readings.temp_c || found.readings.energy_j ||
                   found.readings.util_pct || found.readings.power_pct_of_max)
          << machine.name << " " << found.device.id;
  }
  // What a library or tool measures, the files of a machine cannot show: libraries that look like
  // the vendors' do, and what a tool once said.
  for (const Machine& machine : machines_) {
    const auto host = *Host::Recorded(machine.folder, {.tools = true});
    const std::unique_ptr<Vendor> vendor = VendorWithLibrary(key());
    Discovery discovery = vendor->Discover(*Snapshot::Take(host));
    if (vendor->enriches()) vendor->Enrich(&discovery);
    for (const DeviceTelemetry& sample : vendor->Sample()) {
      ExpectPlausible(sample, machine.name + " " + sample.id);
      measured += Measures(sample) ? 1 : 0;
    }
  }
  // /proc/stat and RAPL are of live machines; recordings of processors have RAPL only.
  if (key() != "cpu") {
    EXPECT_EQ(measured > 0, promised) << "support.tsv and the vendor disagree";
  }
}

// Is anything said against this device?
bool IsSuspect(const FoundDevice& found, const std::string& reason) {
  const auto has = [&](const std::vector<std::string>& words) {
    return std::find(words.begin(), words.end(), reason) != words.end();
  };
  return found.device.state != DeviceState::kReady || has(found.warnings) ||
         has(found.device.health);
}

// The device of this id as it is found now.
std::optional<FoundDevice> FindById(const std::string& key, const Copy& copy,
                                    const std::string& id) {
  for (FoundDevice& found : FindAlone(key, copy.host()).devices())
    if (found.device.id == id) return std::move(found);
  return std::nullopt;
}

TEST_P(Conformance, Health) {
  size_t tried = 0;
  for (const Machine& machine : machines_) {
    const Copy copy(machine);
    for (const FoundDevice& device : FindAlone(key(), copy.host()).devices()) {
      const std::string& id = device.device.id;
      if (device.device.state != DeviceState::kReady || !device.warnings.empty()) continue;
      for (const Signal& signal : SignalsOf(key(), device, copy)) {
        ++tried;
        const std::string where = fmt::format("{} {}: {}", machine.name, id, signal.file);
        signal.Apply(copy);
        const auto bad = FindById(key(), copy, id);
        ASSERT_TRUE(bad.has_value()) << where << ": a device in trouble is gone";
        EXPECT_TRUE(IsSuspect(*bad, signal.reason)) << where << ": nothing is said";
        if (signal.stops) {
          EXPECT_NE(bad->device.state, DeviceState::kReady) << where;
        }
        signal.Undo(copy);
        const auto good = FindById(key(), copy, id);
        ASSERT_TRUE(good.has_value()) << where;
        EXPECT_FALSE(IsSuspect(*good, signal.reason)) << where << ": it stays bad";
      }
      break;  // One device of each machine; the others are read by the same code.
    }
  }
  EXPECT_EQ(tried > 0, SupportOf(key()).at("health").mark != "none");
}

TEST_P(Conformance, Partition) {
  size_t parts = 0;  // and devices with parts inside
  for (const Machine& machine : machines_) {
    const Discovery all = FindAll(HostOf(machine));
    std::set<std::string> ids, places;
    std::map<std::string, Bytes> sums;
    for (const FoundDevice& found : all.devices) ids.insert(found.device.id);
    for (const FoundDevice& found : all.devices) {
      if (!IsOf(key(), found.device)) continue;
      if (found.partition || found.units > 1) ++parts;
      if (!found.partition) continue;
      const Partition& partition = *found.partition;
      EXPECT_TRUE(pci::IsAddress(partition.parent)) << machine.name << " " << partition.parent;
      EXPECT_NE(partition.parent, found.device.id);
      EXPECT_TRUE(
          places
              .insert(fmt::format("{} {} {} {}", partition.parent, partition.gi.value_or(-1),
                                  partition.ci.value_or(-1), partition.index.value_or(-1)))
              .second)
          << machine.name << ": two parts in one place: " << found.device.id;
      // A virtual function stands beside its card; other parts stand in its place.
      if (partition.scheme != "sriov") {
        EXPECT_FALSE(ids.contains(partition.parent))
            << machine.name << ": " << partition.parent << " is offered whole and in parts";
      }
      if (found.device.memory) {
        const pci::IdRow* row = nullptr;
        for (const pci::IdRow& candidate : pci::IdTable::BuiltIn().rows())
          if (candidate.name == found.device.model && candidate.memory) row = &candidate;
        if (row != nullptr) {
          EXPECT_LT(*found.device.memory, *row->memory) << found.device.id;
        }
      }
    }
  }
  EXPECT_EQ(parts > 0, SupportOf(key()).at("partition").mark != "none")
      << "support.tsv says otherwise, or no recorded machine has a part";
}

TEST_P(Conformance, Topology) {
  size_t groups = 0;
  for (const Machine& machine : machines_) {
    const Discovery alone = FindAlone(key(), HostOf(machine)).discovery;
    std::set<std::string> ids, members;
    for (const FoundDevice& found : alone.devices) ids.insert(found.device.id);
    for (const DeviceGroup& group : alone.groups) {
      ++groups;
      EXPECT_GE(group.members.size(), 2u) << machine.name << " " << group.kind;
      EXPECT_FALSE(group.kind.empty()) << machine.name;
      for (const std::string& member : group.members) {
        EXPECT_TRUE(ids.contains(member)) << machine.name << ": " << member << " is no device";
        EXPECT_TRUE(members.insert(group.kind + " " + member).second)
            << machine.name << ": " << member << " is in two groups of a kind";
      }
    }
  }
  if (key() != "cpu") {
    EXPECT_EQ(groups > 0, SupportOf(key()).at("topology").mark != "none");
  }
}

TEST_P(Conformance, RemovalAndReturn) {
  if (key() == "cpu") {  // Processors go by the list of those online.
    const Copy copy(machines_.front());
    const size_t whole = FindAlone(key(), copy.host()).devices().size();
    const std::string online = copy.Read("sys/devices/system/cpu/online");
    copy.Write("sys/devices/system/cpu/online", "0-1\n");
    const auto left = FindAlone(key(), copy.host()).devices();
    ASSERT_EQ(left.size(), 1u);
    EXPECT_EQ(left[0].device.cores, 2);
    copy.Write("sys/devices/system/cpu/online", online);
    EXPECT_EQ(FindAlone(key(), copy.host()).devices().size(), whole);
    return;
  }
  for (const Machine& machine : machines_) {
    const Copy copy(machine);
    const Discovery whole = FindAll(copy.host());
    std::string id;
    for (const FoundDevice& found : whole.devices)
      if (IsOf(key(), found.device)) id = found.device.id;
    const std::string part = id.substr(0, id.find('/'));
    const Unplugged unplugged(copy, part);
    std::set<std::string> left;
    for (const FoundDevice& found : FindAll(copy.host()).devices) left.insert(found.device.id);
    for (const FoundDevice& found : whole.devices) {
      const std::string& other = found.device.id;
      const bool of_it = other.substr(0, other.find('/')) == part ||
                         (found.partition && found.partition->parent == part);
      if (!of_it) {
        EXPECT_TRUE(left.contains(other)) << machine.name << ": " << other << " went with " << part;
      }
    }
    EXPECT_FALSE(left.contains(id)) << machine.name;
    unplugged.PlugIn();
    EXPECT_THAT(Differences(Expected(machine), Discover(copy.host())), IsEmpty()) << machine.name;
  }
}

std::vector<std::string> IdsOf(const std::vector<FoundDevice>& devices) {
  std::vector<std::string> ids;
  for (const FoundDevice& found : devices) ids.push_back(found.device.id);
  return ids;
}

// Every program a vendor of ours may ask; each hangs, having started another that does too.
constexpr const char* kTools[] = {"neuron-ls",   "hl-smi",     "rbln-smi", "rbln-stat",
                                  "nvidia-smi",  "rocm-smi",   "amd-smi",  "xpu-smi",
                                  "furiosa-smi", "furiosactl", "tt-smi",   "qaic-util"};

TEST_P(Conformance, HungTool) {
  for (const Machine& machine : machines_) {
    const Copy copy(machine);
    const std::vector<FoundDevice> without = FindAlone(key(), copy.host()).devices();
    for (const char* tool : kTools)
      copy.WriteProgram(fmt::format("cli/{}", tool), "#!/bin/sh\nsleep 1000 & wait\n");
    const auto host =
        *Host::Recorded(copy.folder(), {.tools = true, .programs = std::chrono::milliseconds(100)});
    const Found found = FindAlone(key(), host);
    EXPECT_EQ(IdsOf(found.devices()), IdsOf(without)) << machine.name;
    for (size_t i = 0; i < without.size() && i < found.devices().size(); ++i)
      EXPECT_EQ(found.devices()[i].device, without[i].device) << machine.name;
    // Whoever asked a tool says that it has not answered.
    if (found.vendor->enriches() && !without.empty()) {
      EXPECT_THAT(found.discovery.warnings,
                  testing::Contains(testing::HasSubstr("has not answered")))
          << machine.name;
    }
    if (key() == "cpu") break;
  }
}

TEST_P(Conformance, MissingLibrary) {
  for (const Machine& machine : machines_) {
    const Copy copy(machine);
    const std::vector<FoundDevice> with = FindAlone(key(), copy.host()).devices();
    copy.Remove("cli");
    std::vector<FoundDevice> without;
    if (key() == "nvidia") {
      NvidiaVendor vendor({"/no/such/library.so"});
      Discovery discovery = vendor.Discover(*Snapshot::Take(copy.host()));
      vendor.Enrich(&discovery);
      EXPECT_THAT(discovery.warnings, testing::SizeIs(1)) << machine.name;
      EXPECT_THAT(vendor.Sample(), IsEmpty());
      without = std::move(discovery.devices);
    } else {
      const auto host = *Host::Recorded(copy.folder(), {.tools = true});
      const Found found = FindAlone(key(), host);
      EXPECT_THAT(found.discovery.warnings, IsEmpty()) << machine.name;
      without = found.devices();
    }
    ASSERT_EQ(IdsOf(without), IdsOf(with)) << machine.name;
    for (size_t i = 0; i < with.size(); ++i)
      EXPECT_EQ(without[i].device.state, with[i].device.state) << with[i].device.id;
    if (key() == "cpu") break;
  }
}

INSTANTIATE_TEST_SUITE_P(Vendor, Conformance, testing::ValuesIn(VendorKeys()),
                         [](const auto& info) { return TestName(info.param); });

}  // namespace
}  // namespace allot::agent::kit
