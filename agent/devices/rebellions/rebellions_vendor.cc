#include "agent/devices/rebellions/rebellions_vendor.h"

#include <algorithm>
#include <map>

#include "agent/devices/host/tool.h"

namespace allot::agent {
namespace {

// Anything but 0 is bad; no file at all says nothing.
std::optional<double> NpuStatusBad(const Host& host, const std::string& path) {
  const Reading<int64_t> status = host.Int(path);
  if (status.state == Reading<int64_t>::kAbsent) return std::nullopt;
  return status && *status == 0 ? 0 : 1;
}

// Power is measured of the card: where several NPUs share one, it is of none of them.
bool HasItsCardAlone(const rbln::Npu& npu, const std::vector<rbln::Npu>& all) {
  return !npu.card.empty() && std::count_if(all.begin(), all.end(), [&](const rbln::Npu& other) {
                                return other.card == npu.card;
                              }) == 1;
}

}  // namespace

void RebellionsVendor::Find(const Snapshot& machine, Discovery* discovery) {
  host_ = machine.host;
  known_.clear();
  const Host& host = *machine.host;
  std::map<std::string, std::vector<std::string>> cards;
  for (const pci::Function* function : machine.bus.OfVendor(0x1eff)) {
    if (function->row == nullptr && !function->IsClass(0x1200)) continue;
    FoundDevice found = FromFunction(machine, *function, "rebellions", {});
    Device& device = found.device;
    found.family = "npu";
    for (const ClassEntry& entry : ClassEntries(machine, *function, "rebellions")) {
      const auto number = NumberAfter(entry.name, "rbln");
      if (!number) continue;
      if (!entry.node.empty()) device.nodes = {entry.node};
      found.Tell("dev_nodes", "sysfs rebellions class, /dev");
      device.visible_variable = "RBLN_DEVICES";
      device.visible_value = std::to_string(*number);
      found.Tell("visible_env", "sysfs rebellions class");
      WatchSignal(device.id, "status_bad",
                  [path = entry.path + "/status"](const Host& h) { return NpuStatusBad(h, path); });
      if (device.state == DeviceState::kReady && NpuStatusBad(host, entry.path + "/status") == 1) {
        device.state = DeviceState::kUnhealthy;
        found.Tell("state", "sysfs rebellions status");
      }
    }
    Watch(machine, FindSensors(host, function->path()), &found);
    if (!found.partition) cards[std::string(function->slot())].push_back(device.id);
    discovery->devices.push_back(std::move(found));
  }
  for (auto& [slot, members] : cards) AddGroup("card", std::move(members), discovery);
}

StatusOr<std::vector<rbln::Npu>> RebellionsVendor::Ask() {
  answers_ = false;
  ASSIGN_OR_RETURN(const std::string output, RunTool(*host_, {"rbln-smi", "-j"}, "rbln-smi.json"));
  ASSIGN_OR_RETURN(std::vector<rbln::Npu> npus, rbln::ParseSmi(output));
  answers_ = true;
  return npus;
}

void RebellionsVendor::Enrich(Discovery* discovery) {
  answers_ = false;
  samples_left_ = 0;
  if (discovery->devices.empty()) return;
  const StatusOr<std::vector<rbln::Npu>> npus = Ask();
  if (!npus.ok()) {
    if (!absl::IsNotFound(npus.status())) discovery->warnings.push_back(MessageOf(npus.status()));
    return;
  }
  for (const rbln::Npu& npu : *npus)
    for (FoundDevice& found : discovery->devices) {
      if (found.device.id != npu.address) continue;
      known_.push_back(npu.address);
      found.source += "; rbln-smi";
      if (!npu.uuid.empty()) {
        found.uuid = npu.uuid;
        found.Tell("uuid", "rbln-smi");
      }
      // Whose memory it tells of a virtual function is not documented.
      if (npu.memory_total && !found.partition)
        LearnMemory(*npu.memory_total, "cli", "rbln-smi", &found);
    }
}

// A process costs more than a sample should, so the tool is asked seldom and its answer stands
// meanwhile. One that has failed is not waited for again before the next discovery.
std::vector<DeviceTelemetry> RebellionsVendor::Sample() {
  std::vector<DeviceTelemetry> samples = SysfsVendor::Sample();
  if (!answers_) return samples;
  if (samples_left_ == 0) {
    StatusOr<std::vector<rbln::Npu>> npus = Ask();
    if (!npus.ok()) return samples;
    last_ = *std::move(npus);
    samples_left_ = kSamplesOfAnAnswer;
  }
  --samples_left_;
  for (const rbln::Npu& npu : last_) {
    if (std::find(known_.begin(), known_.end(), npu.address) == known_.end()) continue;
    DeviceTelemetry& sample = SampleOf(npu.address, &samples);
    if (!sample.temperature_celsius) sample.temperature_celsius = npu.celsius;
    if (!sample.power_watts && HasItsCardAlone(npu, last_)) sample.power_watts = npu.card_watts;
    sample.utilization_ratio = npu.utilization;
    if (npu.memory_used && npu.memory_total && *npu.memory_used <= *npu.memory_total)
      sample.memory_used = static_cast<Bytes>(*npu.memory_used);
  }
  return samples;
}

}  // namespace allot::agent
