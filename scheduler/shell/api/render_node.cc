#include <algorithm>
#include <optional>
#include <vector>

#include "common/base/loopback.h"
#include "common/model/translated.h"
#include "scheduler/shell/api/render.h"

namespace allot::scheduler {
namespace {

constexpr char kSomebodyElse[] = "another tenant";

// Who holds each accelerator of a node, by position: that it is held is everybody's to know, by what
// is its tenant's.
std::vector<std::string> Holders(const ClusterState& state, const NodeState& node,
                                 const auth::Principal& asker) {
  std::vector<std::string> holders(node.info->devices.size());
  const auto hold = [&](const DeviceSet& devices, auth::Kind kind, const std::string& tenant,
                        const std::string& who, const std::string& deployment = "") {
    const bool told = auth::Sees(asker, {kind, tenant, who, deployment});
    devices.ForEach([&](uint32_t i) {
      if (i < holders.size()) holders[i] = told ? who : kSomebodyElse;
    });
  };
  for (const TaskKey& key : node.tasks) {
    const JobState* job = state.FindJob(key.task.job);
    if (job != nullptr && key.task.index < job->tasks.size()) {
      hold(job->tasks[key.task.index].placement.devices, auth::Kind::kJob, job->spec->tenant,
           ToString(key.task));
    }
  }
  for (const ReplicaId id : node.replicas) {
    const auto it = state.replicas().find(id);
    if (it == state.replicas().end()) continue;
    const auto deployment = state.deployments().find(it->second.deployment);
    hold(it->second.placement.devices, auth::Kind::kDeployment,
         deployment == state.deployments().end() ? "" : deployment->second.spec->tenant,
         ToString(id), it->second.deployment);
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

void RenderQuarantine(const Quarantine& quarantine, Time now, JsonWriter& json) {
  json.Object([&] {
    json.Field("by", quarantine.strikes == 0 ? "operator" : "failures");
    json.Field("probation", quarantine.probation).Field("since", quarantine.since);
    if (!quarantine.probation && quarantine.until < kTimeMax) {
      json.Field("until", quarantine.until);
      json.Field("until_seconds", Duration(std::max(Duration(0), quarantine.until - now)));
    }
    json.Field("strikes", quarantine.strikes).Field("why", quarantine.why);
  });
}

// What the scheduler has decided comes before what the node says: "drained" by an operator,
// "quarantined" or on "probation" for failing jobs.
std::string_view StateOf(const NodeState& node, const Device& device) {
  if (!node.alive) return "lost";
  const auto it = node.quarantines.find(device.id);
  if (device.state != DeviceState::kReady || it == node.quarantines.end())
    return ToString(device.state);
  if (it->second.probation) return "probation";
  return it->second.strikes == 0 ? "drained" : "quarantined";
}

// What discovery could not use, and what is odd about the way the node is reached.
std::vector<std::string> WarningsOf(const NodeInfo& info) {
  std::vector<std::string> warnings = info.warnings;
  if (IsTranslated(info))
    warnings.push_back(fmt::format(
        "address: it tells {} and is seen at {}, as behind a router that translates addresses; "
        "gangs over several nodes may not reach it: set `address` in its config to what its peers "
        "reach",
        info.address, info.seen_address));
  if (!IsLoopbackHost(info.seen_address) && !info.seen_address.empty() &&
      IsLoopbackHost(info.address))
    warnings.push_back(fmt::format(
        "address: it tells {}, which is every machine itself; leave `address` out of its config, "
        "or set it to what its peers reach",
        info.address));
  return warnings;
}

template <class Texts>
void RenderTexts(std::string_view key, const Texts& texts, JsonWriter& json) {
  if (texts.empty()) return;
  json.Key(key).Array([&] {
    for (const std::string& text : texts) json.Value(text);
  });
}

void RenderDevice(const Core& core, Time now, const NodeState& node, size_t position,
                  const std::string& holder, JsonWriter& json) {
  const Device& device = node.info->devices[position];
  const PriceBook& prices = core.state().policy()->prices;
  const NodeSoftState* soft = core.SoftState(node.id);
  json.Object([&] {
    json.Field("node", node.info->name).Field("id", device.id);
    json.Field("kind", ToString(device.kind)).Field("vendor", device.vendor);
    json.Field("model", device.model).Field("memory_bytes", device.memory);
    json.Field("state", StateOf(node, device));
    RenderTexts("health", device.health, json);
    if (const auto it = node.quarantines.find(device.id); it != node.quarantines.end()) {
      json.Key("quarantine");
      RenderQuarantine(it->second, now, json);
    }
    json.Field("emulated", device.emulated);
    json.Field("isolation", ToString(device.isolation));
    json.Field("source", device.configured ? "configured" : "detected");
    if (!device.parent.empty()) json.Field("parent", device.parent);
    if (!device.uuid.empty()) json.Field("uuid", device.uuid);
    if (!device.endpoint.empty()) json.Field("endpoint", device.endpoint);
    if (const std::optional<MilliWatt> most = PowerOf(prices, device))
      json.Field("power_max_watts", static_cast<double>(*most) / 1e3);
    if (!holder.empty()) json.Field("used_by", holder);
    json.Field("price_usd_per_hour", PriceOf(prices, device, HoursAt(prices, now)));
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

}  // namespace

void RenderUnreachedBy(const Cuts& cuts, const std::string& node, JsonWriter& json) {
  RenderTexts("unreached_by", cuts.WhoMisses(node), json);
}

void RenderNode(const Core& core, const Cuts& cuts, Time now, const NodeState& node,
                JsonWriter& json) {
  const NodeInfo& info = *node.info;
  const NodeSoftState* soft = core.SoftState(node.id);
  json.Object([&] {
    json.Field("name", info.name).Field("alive", node.alive).Field("draining", node.draining);
    json.Field("epoch", node.epoch.value()).Field("address", info.address);
    if (!info.seen_address.empty()) json.Field("seen_address", info.seen_address);
    if (!info.metrics_address.empty()) json.Field("metrics_address", info.metrics_address);
    json.Field("version", info.version);
    json.Key("labels").Object([&] {
      for (const auto& [key, value] : info.labels) json.Field(key, value);
    });
    json.Field("cpus_total", static_cast<double>(info.cpus) / 1000);
    json.Field("cpus_free", static_cast<double>(node.cpus_free) / 1000);
    json.Field("memory_total_bytes", info.memory).Field("memory_free_bytes", node.memory_free);
    json.Field("devices_total", node.accelerators.Count());
    json.Field("devices_free", node.devices_free.Count());
    json.Field("devices_quarantined",
               static_cast<uint32_t>(
                   std::count_if(info.devices.begin(), info.devices.end(),
                                 [&](const Device& d) { return node.Quarantined(d.id); })));
    if (const auto it = node.quarantines.find(""); it != node.quarantines.end()) {
      json.Key("quarantine");
      RenderQuarantine(it->second, now, json);
    }
    if (soft != nullptr && soft->unanswered) {
      json.Key("unanswered").Object([&] {
        json.Field("task", ToString(soft->unanswered->key)).Field("at", soft->unanswered->at);
      });
    }
    if (soft != nullptr && soft->foreign) {
      json.Key("foreign").Object([&] {
        json.Field("incarnation", ToString(soft->foreign->incarnation));
        json.Field("tasks", soft->foreign->tasks).Field("replicas", soft->foreign->replicas);
        json.Field("at", soft->foreign->at);
      });
    }
    if (info.scratch_max) json.Field("scratch_max_bytes", *info.scratch_max);
    json.Field("task_leases", info.task_leases);
    RenderTexts("losses", info.losses, json);
    RenderTexts("warnings", WarningsOf(info), json);
    RenderTexts("unfit", info.unfit, json);
    if (node.alive) RenderUnreachedBy(cuts, info.name, json);
    json.Field("tasks", node.tasks.size()).Field("replicas", node.replicas.size());
    if (soft != nullptr && soft->last_heard != Time()) {
      json.Field("last_heard_seconds", Duration(std::max(Duration(0), now - soft->last_heard)));
    }
    json.Field("emulated", std::any_of(info.devices.begin(), info.devices.end(),
                                       [](const Device& device) { return device.emulated; }));
    if (const auto least = LeastIsolation(info)) json.Field("isolation", ToString(*least));
  });
}

void RenderDevices(const Core& core, Time now, const NodeState& node, const auth::Principal& asker,
                   JsonWriter& json) {
  const std::vector<std::string> holders = Holders(core.state(), node, asker);
  for (size_t i = 0; i < holders.size(); ++i) RenderDevice(core, now, node, i, holders[i], json);
}

void RenderDevice(const Core& core, Time now, const NodeState& node, size_t position,
                  const auth::Principal& asker, JsonWriter& json) {
  RenderDevice(core, now, node, position, Holders(core.state(), node, asker)[position], json);
}

}  // namespace allot::scheduler
