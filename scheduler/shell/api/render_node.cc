#include <algorithm>
#include <optional>
#include <vector>

#include "scheduler/shell/api/render.h"

namespace allot::scheduler {
namespace {

// Who holds each accelerator of a node, by position.
std::vector<std::string> Holders(const ClusterState& state, const NodeState& node) {
  std::vector<std::string> holders(node.info->devices.size());
  const auto hold = [&](const DeviceSet& devices, const std::string& who) {
    devices.ForEach([&](uint32_t i) {
      if (i < holders.size()) holders[i] = who;
    });
  };
  for (const TaskKey& key : node.tasks) {
    const JobState* job = state.FindJob(key.task.job);
    if (job != nullptr && key.task.index < job->tasks.size()) {
      hold(job->tasks[key.task.index].placement.devices, ToString(key.task));
    }
  }
  for (const ReplicaId id : node.replicas) {
    const auto it = state.replicas().find(id);
    if (it != state.replicas().end()) hold(it->second.placement.devices, ToString(id));
  }
  return holders;
}

// The least that a lease of one of its accelerators gives.
std::optional<Isolation> LeastIsolation(const NodeInfo& info) {
  std::optional<Isolation> least;
  for (const Device& device : info.devices)
    if (device.kind != DeviceKind::kCpu && (!least || device.isolation < *least))
      least = device.isolation;
  return least;
}

void Texts(std::string_view key, const std::vector<std::string>& texts, JsonWriter& json) {
  json.Key(key).Array([&] {
    for (const std::string& text : texts) json.Value(text);
  });
}

}  // namespace

void RenderNode(const Core& core, Time now, const NodeState& node, JsonWriter& json) {
  const NodeInfo& info = *node.info;
  const NodeSoftState* soft = core.SoftState(node.id);
  json.Object([&] {
    json.Field("name", info.name).Field("alive", node.alive).Field("draining", node.draining);
    json.Field("epoch", node.epoch.value()).Field("address", info.address);
    json.Field("version", info.version);
    json.Key("labels").Object([&] {
      for (const auto& [key, value] : info.labels) json.Field(key, value);
    });
    json.Field("cpus_total", static_cast<double>(info.cpus) / 1000);
    json.Field("cpus_free", static_cast<double>(node.cpus_free) / 1000);
    json.Field("memory_total_bytes", info.memory).Field("memory_free_bytes", node.memory_free);
    json.Field("devices_total", node.accelerators.Count());
    json.Field("devices_free", node.devices_free.Count());
    json.Field("tasks", node.tasks.size()).Field("replicas", node.replicas.size());
    if (soft != nullptr && soft->last_heard != Time()) {
      json.Field("last_heard_seconds", Duration(std::max(Duration(0), now - soft->last_heard)));
    }
    json.Field("emulated", std::any_of(info.devices.begin(), info.devices.end(),
                                       [](const Device& device) { return device.emulated; }));
    if (const auto least = LeastIsolation(info)) json.Field("isolation", ToString(*least));
    Texts("losses", info.losses, json);
    Texts("warnings", info.warnings, json);
  });
}

void RenderDevices(const Core& core, const NodeState& node, JsonWriter& json) {
  const std::vector<std::string> holders = Holders(core.state(), node);
  const NodeSoftState* soft = core.SoftState(node.id);
  for (size_t i = 0; i < node.info->devices.size(); ++i) {
    const Device& device = node.info->devices[i];
    json.Object([&] {
      json.Field("node", node.info->name).Field("id", device.id);
      json.Field("kind", ToString(device.kind)).Field("vendor", device.vendor);
      json.Field("model", device.model).Field("memory_bytes", device.memory);
      json.Field("state", node.alive ? ToString(device.state) : std::string_view("lost"));
      json.Field("emulated", device.emulated);
      json.Field("isolation", ToString(device.isolation));
      json.Field("source", device.configured ? "configured" : "detected");
      if (!device.parent.empty()) json.Field("parent", device.parent);
      if (!device.uuid.empty()) json.Field("uuid", device.uuid);
      if (!device.endpoint.empty()) json.Field("endpoint", device.endpoint);
      if (device.power_max)
        json.Field("power_max_watts", static_cast<double>(*device.power_max) / 1000);
      if (!device.health.empty()) Texts("health", device.health, json);
      if (!holders[i].empty()) json.Field("used_by", holders[i]);
      json.Field("price_usd_per_hour", PriceOf(core.state().policy()->prices, device));
      if (soft == nullptr || !node.alive) return;
      for (const DeviceTelemetry& sample : soft->telemetry) {
        if (sample.id != device.id) continue;
        json.Field("power_watts", sample.power_watts);
        json.Field("temperature_celsius", sample.temperature_celsius);
        json.Field("utilization_ratio", sample.utilization_ratio);
        json.Field("memory_used_bytes", sample.memory_used);
      }
    });
  }
}

}  // namespace allot::scheduler
