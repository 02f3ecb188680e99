#include "agent/devices/habana/habana_vendor.h"

#include "agent/devices/host/tool.h"

namespace allot::agent {
namespace {

constexpr uint16_t kHabana = 0x1da3;

void AddNodes(const Snapshot& machine, const pci::Function& function, FoundDevice* found) {
  // "accel" since the driver is in the kernel, "habanalabs" (hl0, hl_controlD0) before.
  for (const char* folder : {"accel", "habanalabs"})
    for (const ClassEntry& entry : ClassEntries(machine, function, folder))
      if (!entry.node.empty()) found->device.nodes.push_back(entry.node);
  if (found->device.nodes.empty()) {
    // The class of the control nodes has no `device` link, so only the folder above tells of them.
    return;
  }
  found->Tell("dev_nodes", "sysfs accel class, /dev");
}

// Only the word of the driver that all is well makes it ready; no file at all says nothing.
std::optional<double> StatusBad(const Host& host, const std::string& path) {
  const Reading<std::string> status = host.Line(path + "/status");
  if (status.state == Reading<std::string>::kAbsent) return std::nullopt;
  return *status == "Operational" ? 0 : 1;
}

std::optional<double> Resets(const Host& host, const std::string& path) {
  const Reading<int64_t> resets = host.Int(path + "/hard_reset_cnt");
  if (!resets || *resets < 0) return std::nullopt;
  return static_cast<double>(*resets);
}

void AddHealth(const Host& host, const std::string& path, FoundDevice* found) {
  if (found->device.state == DeviceState::kReady && StatusBad(host, path) == 1) {
    found->device.state = DeviceState::kUnhealthy;
    found->Tell("state", "sysfs status");
  }
  if (Resets(host, path).value_or(0) > 0)
    found->warnings.emplace_back("resets"), found->Tell("warnings", "sysfs hard_reset_cnt");
}

// The driver's limit, in milliwatts (sysfs-driver-habanalabs).
std::optional<MilliWatt> PowerLimit(const Host& host, const std::string& path) {
  const Reading<int64_t> limit = host.Int(path + "/max_power");
  if (!limit || *limit < 1'000 || *limit > 100'000'000) return std::nullopt;
  return *limit;
}

// "98304 MiB"
std::optional<Bytes> ParseMib(std::string_view text) {
  if (!text.ends_with(" MiB")) return std::nullopt;
  const auto mib = ParseInt(text.substr(0, text.size() - 4));
  if (!mib || *mib <= 0 || *mib > (int64_t{1} << 30)) return std::nullopt;
  return *mib * kMiB;
}

}  // namespace

void HabanaVendor::Find(const Snapshot& machine, Discovery* discovery) {
  host_ = machine.host;
  std::vector<std::string> members;
  for (const pci::Function* function : machine.bus.OfVendor(kHabana)) {
    if (function->row == nullptr && !function->IsClass(0x1200)) continue;
    FoundDevice found = FromFunction(machine, *function, "habana", {"habanalabs"});
    found.family = "gaudi";
    const std::string path = function->path();
    AddHealth(*machine.host, path, &found);
    WatchSignal(found.device.id, "status_bad",
                [path](const Host& h) { return StatusBad(h, path); });
    WatchSignal(found.device.id, "resets", [path](const Host& h) { return Resets(h, path); });
    if (found.driver == "habanalabs") {
      AddNodes(machine, *function, &found);
      if (const Reading<int64_t> module = machine.host->Int(path + "/module_id");
          module && *module >= 0 && *module < 64) {
        found.device.visible_variable = "HABANA_VISIBLE_MODULES";
        found.device.visible_value = std::to_string(*module);
        found.Tell("visible_env", "sysfs module_id");
      }
      Watch(machine, FindSensors(*machine.host, path), &found);
      if (const auto limit = PowerLimit(*machine.host, path)) {
        found.device.power_max = limit;
        found.Tell("power_max", "sysfs max_power");
      }
      members.push_back(found.device.id);
    }
    discovery->devices.push_back(std::move(found));
  }
  AddGroup("gaudi-scale-up", std::move(members), discovery);
}

// The tool is a child to be started and waited for, so it is asked only where the library is not.
void HabanaVendor::Enrich(Discovery* discovery) {
  if (discovery->devices.empty()) {
    cards_.clear();
    return;
  }
  if (!EnrichByLibrary(discovery)) EnrichByTool(discovery);
}

void HabanaVendor::EnrichByTool(Discovery* discovery) {
  const StatusOr<std::string> output =
      RunTool(*host_,
              {"hl-smi", "-Q",
               "index,module_id,bus_id,name,memory.total,memory.used,power.draw,power.max,"
               "temperature.aip,utilization.aip",
               "-f", "csv,noheader"},
              "hl-smi-query.csv");
  if (!output.ok()) {
    if (!absl::IsNotFound(output.status()))
      discovery->warnings.push_back(MessageOf(output.status()));
    return;
  }
  for (const std::string_view line : CompleteLines(*output)) {
    const std::vector<std::string_view> cells = Split(line, ',');
    if (cells.size() != 10) continue;
    for (FoundDevice& found : discovery->devices) {
      if (found.device.id != cells[2]) continue;
      if (const auto memory = ParseMib(cells[4])) {
        found.device.memory = memory;
        found.memory_source = "cli";
        found.Tell("memory_bytes", "hl-smi");
      }
    }
  }
}

}  // namespace allot::agent
