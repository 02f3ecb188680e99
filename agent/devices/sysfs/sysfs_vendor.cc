#include "agent/devices/sysfs/sysfs_vendor.h"

#include <algorithm>
#include <set>

namespace allot::agent {
namespace {

// An x16 card in an x8 slot, or a lane that did not train. Speed is not looked at: idle links slow
// down. Virtual functions and lost links show 0 or 255.
std::optional<bool> IsWidthDegraded(const Host& host, const std::string& path) {
  const Reading<int64_t> now = host.Int(path + "/current_link_width");
  const Reading<int64_t> best = host.Int(path + "/max_link_width");
  if (!now || !best || *now <= 0 || *best > 64) return std::nullopt;
  return *now < *best;
}

// "TOTAL_ERR_FATAL 2" among the errors of one kind since boot.
std::optional<int64_t> BusErrors(const Host& host, const std::string& file, const char* total) {
  const std::string text = host.Read(file).value_or("");
  const auto field = FindField(text, total, ' ');
  return field ? ParseInt(*field) : std::nullopt;
}
std::optional<int64_t> FatalErrors(const Host& host, const std::string& path) {
  return BusErrors(host, path + "/aer_dev_fatal", "TOTAL_ERR_FATAL");
}
std::optional<int64_t> NonfatalErrors(const Host& host, const std::string& path) {
  return BusErrors(host, path + "/aer_dev_nonfatal", "TOTAL_ERR_NONFATAL");
}

std::string JoinSources(const std::vector<Fact>& facts) {
  std::vector<std::string> seen;
  for (const Fact& fact : facts)
    if (std::find(seen.begin(), seen.end(), fact.source) == seen.end()) seen.push_back(fact.source);
  std::string out;
  for (const std::string& source : seen) out += (out.empty() ? "" : "; ") + source;
  return out;
}

}  // namespace

Discovery SysfsVendor::Discover(const Snapshot& machine) {
  Discovery discovery;
  host_ = machine.host;
  watched_.clear();
  signals_.clear();
  Find(machine, &discovery);
  std::set<std::string> functions;
  for (FoundDevice& found : discovery.devices) {
    if (found.source.empty()) found.source = JoinSources(found.facts);
    const std::string& id = found.device.id;
    const std::string address = id.substr(0, id.find('/'));
    if (pci::IsAddress(address) && functions.insert(address).second) WatchLink(address);
  }
  return discovery;
}

void SysfsVendor::Watch(const Snapshot& machine, Sensors sensors, FoundDevice* found) {
  if (!sensors.Any()) return;
  found->readings = ReadSensors(*machine.host, sensors);
  if (const auto limit = ReadPowerLimit(*machine.host, sensors)) {
    found->device.power_max = limit;
    found->Tell("power_max", "sysfs");
  }
  if (!sensors.temp_crit_mc.empty() || !sensors.mem_temp_crit_mc.empty())
    WatchSignal(found->device.id, "temperature_over_limit",
                [sensors](const Host& host) { return ReadOverCritical(host, sensors); });
  if (!sensors.temp_max_mc.empty() || !sensors.mem_temp_max_mc.empty())
    WatchSignal(found->device.id, "temperature_over_max",
                [sensors](const Host& host) { return ReadOverMaximum(host, sensors); });
  found->Tell("telemetry", "sysfs");
  watched_.push_back({found->device.id, std::move(sensors)});
}

std::vector<DeviceTelemetry> SysfsVendor::Sample() {
  std::vector<DeviceTelemetry> samples;
  for (const Watched& watched : watched_) {
    const Readings now = ReadSensors(*host_, watched.sensors);
    DeviceTelemetry sample;
    sample.id = watched.id;
    sample.power_watts = now.power_w;
    sample.temperature_celsius = now.temp_c;
    sample.memory_temperature_celsius = now.mem_temp_c;
    sample.energy_joules = now.energy_j;
    if (now.util_pct) sample.utilization_ratio = *now.util_pct / 100;
    sample.memory_used = ReadMemoryUsed(*host_, watched.sensors);
    samples.push_back(std::move(sample));
  }
  return samples;
}

void SysfsVendor::WatchSignal(std::string device, std::string name, ReadSignal read) {
  signals_.push_back({std::move(device), std::move(name), std::move(read)});
}

// Of every PCI function; each only where its file is there, which costs nothing later.
void SysfsVendor::WatchLink(const std::string& address) {
  const std::string path = "/sys/bus/pci/devices/" + address;
  if (IsWidthDegraded(*host_, path))
    WatchSignal(address, "pcie_width_degraded", [path](const Host& host) -> std::optional<double> {
      const auto degraded = IsWidthDegraded(host, path);
      if (!degraded) return std::nullopt;
      return *degraded ? 1 : 0;
    });
  if (FatalErrors(*host_, path))
    WatchSignal(address, "aer_fatal", [path](const Host& host) { return FatalErrors(host, path); });
  if (NonfatalErrors(*host_, path))
    WatchSignal(address, "aer_nonfatal",
                [path](const Host& host) { return NonfatalErrors(host, path); });
}

std::vector<HealthSignal> SysfsVendor::Signals() {
  std::vector<HealthSignal> signals;
  for (const WatchedSignal& watched : signals_)
    if (const auto value = watched.read(*host_))
      signals.push_back({.device = watched.device, .name = watched.name, .value = *value});
  return signals;
}

bool IsReserving(std::string_view driver) {
  return driver == "vfio-pci" || driver == "pci-stub" || driver == "xen-pciback" ||
         driver == "pciback" || driver.starts_with("vfio_pci") || driver.ends_with("-vfio-pci") ||
         driver.ends_with("_vfio_pci");
}

std::optional<Partition> VirtualFunction(const Host& host, const pci::Function& function) {
  const auto parent = host.LinkName(function.path() + "/physfn");
  if (!parent || !pci::IsAddress(*parent)) return std::nullopt;
  Partition partition{.scheme = "sriov", .parent = *parent};
  const std::string path = "/sys/bus/pci/devices/" + *parent;
  for (const std::string& name : host.List(path))
    if (const auto index = NumberAfter(name, "virtfn");
        index && host.LinkName(path + "/" + name) == function.address)
      partition.index = static_cast<int>(*index);
  return partition;
}

void MakePart(Partition partition, const std::string& source, FoundDevice* found) {
  found->partition = std::move(partition);
  found->device.memory.reset();
  found->memory_source.clear();
  std::erase_if(found->facts, [](const Fact& fact) { return fact.what == "memory_bytes"; });
  found->Tell("partition", source);
}

FoundDevice FromFunction(const Snapshot& machine, const pci::Function& function,
                         std::string_view key, const std::vector<std::string_view>& drivers) {
  const Host& host = *machine.host;
  const std::string path = function.path();
  FoundDevice found;
  Device& device = found.device;
  device.id = function.address;
  device.vendor = key;
  found.pci_id = function.pci_id();
  found.pci_class = function.pci_class();
  found.Tell("id", "sysfs");
  if (!found.pci_id.empty()) found.Tell("pci_id", "sysfs vendor and device");
  if (const pci::IdRow* row = function.row; row != nullptr) {
    device.kind = row->kind;
    device.model = row->name;
    device.memory = row->memory;
    found.name = row->model;
    found.family = row->family;
    found.units = row->units;
    if (row->memory) found.memory_source = "table";
    found.Tell("model", "PCI id table");
    if (row->memory) found.Tell("memory_bytes", "PCI id table (nominal)");
    if (row->units > 1) found.Tell("units", "PCI id table");
  } else {
    device.kind = DeviceKind::kAsic;
    device.model = fmt::format("{}/{}", key, found.pci_id.empty() ? "unknown" : found.pci_id);
    found.name = found.pci_id;
  }
  if (const Reading<int64_t> node = host.Int(path + "/numa_node");
      node && *node >= 0 && *node < 4096) {
    device.numa_node = static_cast<int32_t>(*node);
    found.Tell("numa_node", "sysfs");
  }

  found.driver = host.LinkName(path + "/driver").value_or("");
  if (found.driver.empty()) {
    device.state = DeviceState::kNoDriver;
  } else if (!drivers.empty()
                 ? std::find(drivers.begin(), drivers.end(), found.driver) != drivers.end()
                 : !IsReserving(found.driver)) {
    device.state = DeviceState::kReady;
  } else {
    device.state = IsReserving(found.driver) ? DeviceState::kReserved : DeviceState::kUnsupported;
  }
  if (auto partition = VirtualFunction(host, function))
    MakePart(*std::move(partition), "sysfs physfn", &found);
  found.Tell("state", "sysfs driver");
  if (IsWidthDegraded(host, path).value_or(false))
    found.warnings.emplace_back("pcie_width_degraded");
  if (FatalErrors(host, path).value_or(0) > 0) found.warnings.emplace_back("aer_fatal");
  if (!found.warnings.empty()) found.Tell("warnings", "sysfs link width, AER counters");
  return found;
}

std::string NodeOf(const Snapshot& machine, const std::string& entry_path,
                   const std::string& named) {
  const Reading<std::string> line = machine.host->Line(entry_path + "/dev");
  if (line) {
    const auto number = ParseDeviceNumber(*line);
    return number ? machine.nodes.Find(*number).value_or("") : "";
  }
  return !line.garbage() && machine.nodes.Has(named) ? named : "";
}

std::vector<ClassEntry> ClassEntries(const Snapshot& machine, const pci::Function& function,
                                     std::string_view folder) {
  const Host& host = *machine.host;
  std::vector<ClassEntry> entries;
  const auto add = [&](const std::string& name, const std::string& path) {
    std::string named = "/dev/" + name;
    // sysfs writes '!' for the '/' of a node in a folder.
    std::replace(named.begin(), named.end(), '!', '/');
    if (!machine.nodes.Has(named) && name.find('!') == name.npos)
      named = fmt::format("/dev/{}/{}", folder, name);
    entries.push_back({name, path, NodeOf(machine, path, named)});
  };
  const std::string own = fmt::format("{}/{}", function.path(), folder);
  for (const std::string& name : host.List(own)) add(name, own + "/" + name);
  if (!entries.empty()) return entries;
  const std::string all = fmt::format("/sys/class/{}", folder);
  for (const std::string& name : host.List(all))
    if (host.LinkName(fmt::format("{}/{}/device", all, name)) == function.address)
      add(name, all + "/" + name);
  return entries;
}

void LearnMemory(uint64_t bytes, std::string kind, const std::string& source, FoundDevice* found) {
  constexpr uint64_t kMost = uint64_t{1} << 50;
  if (bytes == 0 || bytes > kMost) return;
  if (found->device.memory) {
    if (found->memory_source != "table") return;
    const auto nominal = static_cast<uint64_t>(*found->device.memory);
    if (bytes < nominal / 2 || bytes > nominal * 2) return;
  }
  found->device.memory = static_cast<Bytes>(bytes);
  found->memory_source = std::move(kind);
  found->Tell("memory_bytes", source);
}

DeviceTelemetry& SampleOf(const std::string& id, std::vector<DeviceTelemetry>* samples) {
  for (DeviceTelemetry& sample : *samples)
    if (sample.id == id) return sample;
  samples->emplace_back().id = id;
  return samples->back();
}

void AddGroup(std::string kind, std::vector<std::string> members, Discovery* discovery) {
  if (members.size() >= 2) discovery->groups.push_back({std::move(kind), std::move(members)});
}

}  // namespace allot::agent
