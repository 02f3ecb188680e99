#include "agent/devices/neuron/neuron_vendor.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "agent/devices/host/tool.h"
#include "common/json/json.h"

namespace allot::agent {
namespace {

constexpr const char* kClass = "/sys/devices/virtual/neuron_device";
constexpr uint32_t kCoresMax = 1024;

struct Chip {
  uint32_t number = 0;
  std::string path;
  std::optional<uint32_t> cores;
  std::vector<uint32_t> neighbours;
};

// No line end here: "2" is the whole file.
std::optional<uint32_t> ReadCores(const Host& host, const std::string& path) {
  const auto text = host.Read(path + "/core_count");
  const auto cores = text ? ParseUnsigned(Trim(*text)) : std::nullopt;
  if (!cores || *cores == 0 || *cores > kCoresMax) return std::nullopt;
  return static_cast<uint32_t>(*cores);
}

std::vector<Chip> ReadChips(const Host& host) {
  std::vector<Chip> chips;
  for (const std::string& name : host.List(kClass)) {
    const auto number = NumberAfter(name, "neuron");
    if (!number) continue;
    Chip chip{.number = *number, .path = fmt::format("{}/{}", kClass, name)};
    chip.cores = ReadCores(host, chip.path);
    if (const Reading<std::string> line = host.Line(chip.path + "/connected_devices"))
      for (const std::string_view part : Split(*line, ','))
        if (const auto neighbour = NumberAfter(part, "")) chip.neighbours.push_back(*neighbour);
    chips.push_back(std::move(chip));
  }
  std::sort(chips.begin(), chips.end(),
            [](const Chip& a, const Chip& b) { return a.number < b.number; });
  return chips;
}

bool IsPositive(const Host& host, const std::string& path) {
  const Reading<int64_t> count = host.Int(path);
  return count && *count > 0;
}

std::optional<double> Count(const Host& host, const std::string& path) {
  const Reading<int64_t> count = host.Int(path);
  if (!count || *count < 0) return std::nullopt;
  return static_cast<double>(*count);
}

// Executions that failed because of the hardware, of each core.
std::vector<std::string> ErrorFiles(const Host& host, const Chip& chip) {
  std::vector<std::string> files;
  for (const std::string& name : host.List(chip.path))
    if (NumberAfter(name, "neuron_core"))
      files.push_back(fmt::format("{}/{}/stats/status/hw_error/total", chip.path, name));
  return files;
}
std::optional<double> SumOf(const Host& host, const std::vector<std::string>& files) {
  std::optional<double> sum;
  for (const std::string& file : files)
    if (const auto count = Count(host, file)) sum = sum.value_or(0) + *count;
  return sum;
}

// All functions alike tell what the chips are; else the product name does.
const pci::Function* FunctionOf(const std::vector<const pci::Function*>& functions,
                                const std::string& product) {
  for (const pci::Function* function : functions)
    if (function->row->model == product) return function;
  for (const pci::Function* function : functions)
    if (function->row->name != functions[0]->row->name) return nullptr;
  return functions.empty() ? nullptr : functions[0];
}

const pci::IdRow* RowOf(const std::string& product) {
  for (const pci::IdRow& row : pci::IdTable::BuiltIn().rows())
    if (row.key == "aws" && row.model == product) return &row;
  return nullptr;
}

// Two physical cores make a logical one on Trainium2 and 3 unless the environment says otherwise;
// the older ones know no such setting.
uint32_t CoresPerLogical(const FoundDevice& found, const std::optional<std::string>& configured) {
  const bool groups =
      found.device.model == "aws/trainium2" || found.device.model == "aws/trainium3";
  return groups && configured != "1" ? 2 : 1;
}

std::string Range(uint32_t first, uint32_t count) {
  return count == 1 ? std::to_string(first) : fmt::format("{}-{}", first, first + count - 1);
}

using Links = std::map<uint32_t, std::set<uint32_t>>;  // both ways, between chips that are there

Links LinksOf(const std::vector<Chip>& chips) {
  Links links;
  for (const Chip& chip : chips) links[chip.number];
  for (const Chip& chip : chips)  // A link may be told by one of its ends only.
    for (const uint32_t other : chip.neighbours)
      if (other != chip.number && links.contains(other)) {
        links[chip.number].insert(other);
        links[other].insert(chip.number);
      }
  return links;
}

// As the links go, from the end of a line with the lower number or from the lowest of a ring.
std::vector<uint32_t> AlongTheRing(const std::vector<uint32_t>& members, const Links& links,
                                   bool* closed) {
  *closed = true;
  uint32_t at = members.front();
  for (auto it = members.rbegin(); it != members.rend(); ++it)
    if (links.at(*it).size() < 2) at = *it, *closed = false;
  std::vector<uint32_t> order = {at};
  for (bool more = true; more;) {
    more = false;
    for (const uint32_t next : links.at(order.back())) {
      if (std::find(order.begin(), order.end(), next) != order.end()) continue;
      order.push_back(next);
      more = true;
      break;
    }
  }
  return order;
}

// Chip n is linked to those before and after it in its row of four, and in its column.
bool IsFourByFour(const std::vector<uint32_t>& members, const Links& links) {
  if (members.size() != 16 || members.front() != 0 || members.back() != 15) return false;
  return std::all_of(members.begin(), members.end(), [&](uint32_t n) {
    const uint32_t row = n / 4 * 4;
    const std::set<uint32_t> expected = {row + (n + 1) % 4, row + (n + 3) % 4, (n + 4) % 16,
                                         (n + 12) % 16};
    return links.at(n) == expected;
  });
}

// Chips that reach each other. Two neighbours each is a ring, more a torus.
void AddFabric(const std::vector<Chip>& chips, Discovery* discovery) {
  const Links links = LinksOf(chips);
  std::set<uint32_t> seen;
  for (const Chip& start : chips) {
    std::vector<uint32_t> members, open = {start.number};
    size_t degree = 0;
    while (!open.empty()) {
      const uint32_t at = open.back();
      open.pop_back();
      if (!seen.insert(at).second) continue;
      members.push_back(at);
      degree = std::max(degree, links.at(at).size());
      open.insert(open.end(), links.at(at).begin(), links.at(at).end());
    }
    if (members.size() < 2) continue;
    std::sort(members.begin(), members.end());
    std::string shape = IsFourByFour(members, links) ? "4,4" : "";
    if (degree <= 2) {
      bool closed = true;
      members = AlongTheRing(members, links, &closed);
      if (!closed) shape = "line";
    }
    std::vector<std::string> ids;
    for (const uint32_t number : members) ids.push_back(fmt::format("neuron{}", number));
    AddGroup(degree <= 2 ? "neuronlink-ring" : "neuronlink-torus", std::move(ids), discovery);
    discovery->groups.back().shape = std::move(shape);
  }
}

// "10:1c.0" and "0000:10:1c.0" both become the latter.
std::string FullAddress(std::string_view bdf) {
  return bdf.size() == 7 ? fmt::format("0000:{}", bdf) : std::string(bdf);
}

std::optional<int64_t> Number(const json::object& object, const char* key) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_int64()) return value->get_int64();
  if (value->is_string()) return ParseInt({value->get_string().data(), value->get_string().size()});
  return std::nullopt;
}

}  // namespace

void NeuronVendor::Find(const Snapshot& machine, Discovery* discovery) {
  host_ = machine.host;
  const Host& host = *machine.host;
  const std::vector<const pci::Function*> functions = machine.bus.Of("aws");
  const std::vector<Chip> chips = ReadChips(host);
  if (chips.empty()) {
    // Without the driver there are only PCI functions.
    for (const pci::Function* function : functions) {
      FoundDevice found = FromFunction(machine, *function, "aws", {});
      if (found.device.state == DeviceState::kReady) found.device.state = DeviceState::kUnhealthy;
      discovery->devices.push_back(std::move(found));
    }
    return;
  }
  for (const pci::Function* function : functions) discovery->claimed.push_back(function->address);

  // The variable counts logical cores of the whole node.
  const auto configured = host.Environment("NEURON_LOGICAL_NC_CONFIG");
  uint32_t next_core = 0;
  bool cores_known = true;
  for (const Chip& chip : chips) {
    const Reading<std::string> product = host.Line(chip.path + "/info/architecture/device_name");
    const pci::Function* function = FunctionOf(functions, product ? *product : "");
    FoundDevice found;
    if (function != nullptr) {
      found = FromFunction(machine, *function, "aws", {});
    } else if (const pci::IdRow* row = RowOf(product ? *product : ""); row != nullptr) {
      pci::Function absent;
      absent.row = row;
      found = FromFunction(machine, absent, "aws", {});
      found.device.state = DeviceState::kReady;  // Its class device is there.
    } else {
      found = FromFunction(machine, {}, "aws", {});
      found.name = product ? *product : "";
      found.device.model = "aws/neuron";
      found.device.state = DeviceState::kReady;
    }
    Device& device = found.device;
    device.id = fmt::format("neuron{}", chip.number);
    device.numa_node = -1;  // Of some function, not of this chip.
    found.warnings.clear();
    std::erase_if(found.facts, [](const Fact& fact) {
      return fact.what == "numa_node" || fact.what == "warnings";
    });
    found.family = "neuron";
    if (chip.cores) {
      found.units = *chip.cores;
      found.Tell("units", "sysfs core_count");
    }
    if (const std::string node = NodeOf(machine, chip.path, "/dev/" + device.id); !node.empty())
      device.nodes = {node};
    found.Tell("dev_nodes", "sysfs neuron_device, /dev");
    if (const Reading<std::string> serial = host.Line(chip.path + "/info/serial_number");
        serial && !serial->empty()) {
      found.uuid = *serial;
      found.Tell("uuid", "sysfs serial_number");
    }
    for (const char* counter : {"mem_ecc_uncorrected", "sram_ecc_uncorrected"})
      if (IsPositive(host, fmt::format("{}/stats/hardware/{}", chip.path, counter)) &&
          found.warnings.empty()) {
        found.warnings.emplace_back("ecc_uncorrected");
        device.state = DeviceState::kUnhealthy;
        found.Tell("warnings", "sysfs stats/hardware");
        found.Tell("state", "sysfs stats/hardware");
      }
    cores_known &= chip.cores || function != nullptr;
    if (cores_known) {
      const uint32_t logical =
          std::max<uint32_t>(1, found.units / CoresPerLogical(found, configured));
      device.visible_variable = "NEURON_RT_VISIBLE_CORES";
      device.visible_value = Range(next_core, logical);
      found.Tell("visible_env", "core counts in order of numbers");
      next_core += logical;
    }
    for (const char* counter :
         {"mem_ecc_uncorrected", "sram_ecc_uncorrected", "mem_ecc_repairable_uncorrected"})
      WatchSignal(device.id, counter,
                  [path = fmt::format("{}/stats/hardware/{}", chip.path, counter)](const Host& h) {
                    return Count(h, path);
                  });
    WatchSignal(device.id, "hw_error",
                [files = ErrorFiles(host, chip)](const Host& h) { return SumOf(h, files); });
    Sensors sensors;
    if (host.Read(chip.path + "/stats/power/utilization"))
      sensors.power_status = chip.path + "/stats/power/utilization";
    Watch(machine, std::move(sensors), &found);
    discovery->devices.push_back(std::move(found));
  }
  AddFabric(chips, discovery);
}

void NeuronVendor::Enrich(Discovery* discovery) {
  if (discovery->devices.empty()) return;
  const StatusOr<std::string> output =
      RunTool(*host_, {"neuron-ls", "--json-output"}, "neuron-ls.json");
  if (!output.ok()) {
    if (!absl::IsNotFound(output.status()))
      discovery->warnings.push_back(MessageOf(output.status()));
    return;
  }
  boost::system::error_code error;
  const json::value parsed = json::parse(*output, error);
  if (error || !parsed.is_array()) {
    discovery->warnings.push_back(
        "neuron-ls answers, but not with a JSON list; going on without it");
    return;
  }
  for (const json::value& item : parsed.get_array()) {
    if (!item.is_object()) continue;
    const json::object& chip = item.get_object();
    const auto number = Number(chip, "neuron_device");
    for (FoundDevice& found : discovery->devices) {
      if (!number || found.device.id != fmt::format("neuron{}", *number)) continue;
      if (const auto node = Number(chip, "numa_node"); node && *node >= 0 && *node < 4096)
        found.device.numa_node = static_cast<int32_t>(*node), found.Tell("numa_node", "neuron-ls");
      if (const json::value* bdf = chip.if_contains("bdf"); bdf != nullptr && bdf->is_string()) {
        const std::string address =
            FullAddress({bdf->get_string().data(), bdf->get_string().size()});
        if (pci::IsAddress(address)) found.Tell("bdf", "neuron-ls: " + address);
      }
      if (const auto memory = Number(chip, "memory_size");
          memory && *memory > 0 && *memory < (int64_t{1} << 50)) {
        found.device.memory = *memory;
        found.memory_source = "cli";
        found.Tell("memory_bytes", "neuron-ls");
      }
    }
  }
}

}  // namespace allot::agent
