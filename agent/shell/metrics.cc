#include "agent/shell/metrics.h"

#include <algorithm>
#include <set>

#include "agent/devices/pci/bus.h"
#include "common/base/logging.h"

namespace allot::agent {
namespace {

using metrics::Kind;
using metrics::Labels;
using metrics::Row;

const Row kInfo{"allotrope_agent_info", "1, with the version of the agent.", Kind::kGauge};
const Row kConnected{"allotrope_agent_scheduler_connected",
                     "1 while the link to the scheduler stands.", Kind::kGauge};
const Row kRegistered{"allotrope_agent_registered", "1 while the scheduler has welcomed this node.",
                      Kind::kGauge};
const Row kProcesses{"allotrope_agent_processes_running",
                     "Processes under supervisors, by what they are.", Kind::kGauge};
const Row kGateways{"allotrope_agent_gateways_connected", "Gateways this node is linked to.",
                    Kind::kGauge};
const Row kInFlight{"allotrope_agent_requests_in_flight", "Requests at model servers of this node.",
                    Kind::kGauge};
const Row kLogReaders{"allotrope_agent_log_readers", "Readers that wait for more of a log.",
                      Kind::kGauge};

const Row kScratch{"allotrope_agent_scratch_bytes",
                   "What processes keep in their scratch folders, where that has a limit.",
                   Kind::kGauge};

const Row kSpawned{"allotrope_agent_processes_spawned_total", "Processes started."};
const Row kSpawnFailures{"allotrope_agent_spawn_failures_total",
                         "Processes that could not be started."};
const Row kExited{"allotrope_agent_processes_exited_total", "Processes that ended."};
const Row kSupervisorsKilled{"allotrope_agent_supervisors_killed_total",
                             "Supervisors that went without writing an exit."};
const Row kDials{"allotrope_agent_scheduler_dials_total", "Attempts to connect to the scheduler."};
const Row kEnvelopes{"allotrope_agent_envelopes_total", "Envelopes exchanged with the scheduler."};
const Row kBytes{"allotrope_agent_envelope_bytes_total", "Bytes exchanged with the scheduler."};
const Row kDropped{"allotrope_agent_envelopes_dropped_total",
                   "Envelopes and messages that were not used, by reason."};
const Row kLogLeftOut{"allotrope_agent_log_lines_left_out_total",
                      "Lines of log over their budget."};
const Row kForwarded{"allotrope_agent_requests_forwarded_total",
                     "Requests handed to model servers."};
const Row kRequests{"allotrope_agent_requests_finished_total", "Requests that ended, by outcome."};
const Row kStale{"allotrope_agent_stale_commands_refused_total",
                 "Commands of an epoch that is not ours."};
const Row kRefused{"allotrope_agent_registrations_refused_total",
                   "Registrations the scheduler refused, by reason."};
const Row kSilent{"allotrope_agent_scheduler_silences_total",
                  "Links given up because the scheduler was silent."};
const Row kRestarts{"allotrope_agent_replica_restarts_total",
                    "Model servers started again after they ended."};

const Row kTurned{"allotrope_agent_http_turned_away_total",
                  "Connections and requests that a budget of the HTTP server ended, by which "
                  "(docs/limits.md)."};
const Row kCertificateExpires{
    "allotrope_agent_certificate_expires_timestamp_seconds",
    "When the certificate that /metrics shows runs out; absent where it is plain HTTP.",
    Kind::kGauge};
const Row kCertificateStale{"allotrope_agent_certificate_stale",
                            "1 while the files of the certificate have changed and cannot be used, "
                            "and the one read before is shown.",
                            Kind::kGauge};
const Row kDeviceInfo{"allotrope_device_info", "1 per device, with its state and vendor.",
                      Kind::kGauge};
const Row kDeviceMemory{"allotrope_device_memory_bytes", "Memory of the device.", Kind::kGauge};
const Row kMemoryUsed{"allotrope_device_memory_used_bytes", "Memory in use on the device.",
                      Kind::kGauge};
const Row kPower{"allotrope_device_power_watts", "Power drawn by the device.", Kind::kGauge};
const Row kTemperature{"allotrope_device_temperature_celsius", "Temperature of the device.",
                       Kind::kGauge};
const Row kUtilization{"allotrope_device_utilization_ratio", "Share of time the device was busy.",
                       Kind::kGauge};
const Row kMemoryTemperature{"allotrope_device_memory_temperature_celsius",
                             "Temperature of the device's memory.", Kind::kGauge};
const Row kPowerMax{"allotrope_device_power_max_watts", "What the device draws at most.",
                    Kind::kGauge};
const Row kIdentity{"allotrope_agent_device_info",
                    "1 per device, with the names that other exporters give it.", Kind::kGauge};
const Row kState{"allotrope_agent_device_state", "1 per device, with the state it is in.",
                 Kind::kGauge};
const Row kHealth{"allotrope_agent_device_health",
                  "1 for each reason that health rules have to look at a device.", Kind::kGauge};
const Row kReplicaEnergy{"allotrope_agent_replica_energy_joules_total",
                         "Energy that the devices of replicas have used while they had them."};
const Row kEnergy{"allotrope_device_energy_joules_total",
                  "Energy the device has used, as its own counter says."};

// What is known of a device that is not in this machine: what requests through it told.
const Row kEndpointInFlight{"allotrope_endpoint_requests_in_flight",
                            "Requests at the endpoint through the device.", Kind::kGauge};
const Row kEndpointRequests{
    "allotrope_endpoint_requests_total",
    "Requests through the device that ended, by outcome: answered, refused (4xx), error (5xx), "
    "failed (no answer or half of one), cancelled."};
const Row kEndpointSeconds{
    "allotrope_endpoint_request_seconds",
    "From sending a request to the end of its answer; cancelled ones left out.", Kind::kHistogram,
    metrics::LatencyBuckets()};
const Row kEndpointTokens{"allotrope_endpoint_tokens_total",
                          "Tokens as the answers' usage tells them, by direction."};
constexpr EndpointOutcome kOutcomes[] = {EndpointOutcome::kAnswered, EndpointOutcome::kRefused,
                                         EndpointOutcome::kError, EndpointOutcome::kFailed,
                                         EndpointOutcome::kCancelled};

Labels LabelsOf(const Device& device) {
  return {{"device", device.id},
          {"model", device.model},
          {"kind", std::string(ToString(device.kind))},
          {"emulated", device.emulated ? "true" : "false"}};
}

Labels InfoLabelsOf(const Device& device) {
  Labels labels = LabelsOf(device);
  labels["vendor"] = device.vendor;
  labels["state"] = std::string(ToString(device.state));
  return labels;
}

Labels IdentityLabelsOf(const std::string& node, const Device& device) {
  return {{"node", node},
          {"device", device.id},
          {"uuid", device.uuid},
          {"pci_bus_id", PciBusId(device)},
          {"model", device.model},
          {"vendor", device.vendor},
          {"kind", std::string(ToString(device.kind))},
          {"emulated", device.emulated ? "true" : "false"},
          {"isolation", std::string(ToString(device.isolation))},
          {"source", device.configured ? "configured" : "detected"}};
}

}  // namespace

std::string PciBusId(const Device& device) {
  const std::string& of = device.parent.empty() ? device.id : device.parent;
  std::string address = of.substr(0, of.find('/'));
  if (!pci::IsAddress(address)) return "";
  for (char& c : address)
    if (c >= 'a' && c <= 'f') c = static_cast<char>(c - 'a' + 'A');
  const size_t domain = address.find(':');
  return domain < 8 ? std::string(8 - domain, '0') + address : address;
}

AgentMetrics::AgentMetrics() : identities_(kIdentity), states_(kState), health_(kHealth) {
  registry_.AddProcessMetrics();
}

void AgentMetrics::SetOrRemove(const Row& row, const Labels& labels, std::optional<double> value) {
  if (value) {
    registry_.GetGauge(row, labels).Set(*value);
  } else {
    registry_.RemoveGauge(row, labels);  // Unknown is absent, never 0.
  }
}

void AgentMetrics::Set(const Totals& totals, const Levels& levels) {
  mirror_.Follow(kSpawned, {}, totals.spawned);
  mirror_.Follow(kSpawnFailures, {}, totals.spawn_failures);
  mirror_.Follow(kExited, {}, totals.processes_exited);
  mirror_.Follow(kSupervisorsKilled, {}, totals.supervisors_killed);
  mirror_.Follow(kDials, {}, totals.dials);
  mirror_.Follow(kEnvelopes, {{"direction", "in"}}, totals.envelopes_in);
  mirror_.Follow(kEnvelopes, {{"direction", "out"}}, totals.envelopes_out);
  mirror_.Follow(kBytes, {{"direction", "in"}}, totals.bytes_in);
  mirror_.Follow(kBytes, {{"direction", "out"}}, totals.bytes_out);
  mirror_.Follow(kLogLeftOut, {}, LogLinesLeftOut());
  mirror_.Follow(kDropped, {{"reason", "old_term"}}, totals.refused_terms);
  mirror_.Follow(kDropped, {{"reason", "undecodable"}}, totals.undecodable);
  mirror_.Follow(kDropped, {{"reason", "lost_on_the_way"}}, totals.gaps);
  mirror_.Follow(kDropped, {{"reason", "undelivered"}}, totals.undelivered);
  mirror_.Follow(kForwarded, {}, totals.forwarded);
  mirror_.Follow(kRequests, {{"outcome", "completed"}}, totals.completed);
  mirror_.Follow(kRequests, {{"outcome", "failed"}}, totals.failed);
  mirror_.Follow(kRequests, {{"outcome", "cancelled"}}, totals.cancelled);
  registry_.GetGauge(kConnected).Set(levels.connected ? 1 : 0);
  registry_.GetGauge(kRegistered).Set(levels.registered ? 1 : 0);
  registry_.GetGauge(kProcesses, {{"what", "task"}}).Set(static_cast<double>(levels.tasks));
  registry_.GetGauge(kProcesses, {{"what", "replica"}}).Set(static_cast<double>(levels.replicas));
  registry_.GetGauge(kGateways).Set(static_cast<double>(levels.gateways));
  registry_.GetGauge(kInFlight).Set(static_cast<double>(levels.forwards_in_flight));
  registry_.GetGauge(kScratch).Set(static_cast<double>(levels.scratch));
  registry_.GetGauge(kLogReaders).Set(static_cast<double>(levels.log_readers));
  for (const auto& [why, count] : totals.http_turned)
    mirror_.Follow(kTurned, {{"reason", why}}, count);
  if (totals.certificate.has_value()) {
    registry_.GetGauge(kCertificateExpires).Set(static_cast<double>(totals.certificate->expires));
    registry_.GetGauge(kCertificateStale).Set(totals.certificate->stale ? 1 : 0);
  }
  for (const Row* row : {&kStale, &kSilent, &kRestarts}) registry_.GetCounter(*row);
}

void AgentMetrics::SetDevices(const std::string& node, const std::string& version,
                              const std::vector<Device>& devices) {
  registry_.GetGauge(kInfo, {{"version", version}}).Set(1);
  for (const Device& gone : devices_) {
    registry_.RemoveGauge(kDeviceInfo, InfoLabelsOf(gone));
    for (const Row* row : {&kDeviceMemory, &kMemoryUsed, &kPower, &kPowerMax, &kTemperature,
                           &kMemoryTemperature, &kUtilization})
      registry_.RemoveGauge(*row, LabelsOf(gone));
  }
  devices_ = devices;
  for (const Device& device : devices_) {
    registry_.GetGauge(kDeviceInfo, InfoLabelsOf(device)).Set(1);
    if (device.memory)
      registry_.GetGauge(kDeviceMemory, LabelsOf(device)).Set(static_cast<double>(*device.memory));
    if (device.power_max)
      registry_.GetGauge(kPowerMax, LabelsOf(device))
          .Set(static_cast<double>(*device.power_max) / 1e3);
  }
  std::map<Labels, double> identities, states, health;
  for (const Device& device : devices_) {
    identities[IdentityLabelsOf(node, device)] = 1;
    states[{{"device", device.id}, {"state", std::string(ToString(device.state))}}] = 1;
    for (const std::string& reason : device.health)
      health[{{"device", device.id}, {"reason", reason}}] = 1;
  }
  identities_.Publish(registry_, identities);
  states_.Publish(registry_, states);
  health_.Publish(registry_, health);
}

void AgentMetrics::SetTelemetry(const std::vector<DeviceTelemetry>& telemetry) {
  static const DeviceTelemetry kNothing;
  for (const Device& device : devices_) {
    const auto found = std::find_if(telemetry.begin(), telemetry.end(),
                                    [&](const DeviceTelemetry& t) { return t.id == device.id; });
    const DeviceTelemetry& now = found == telemetry.end() ? kNothing : *found;
    const Labels labels = LabelsOf(device);
    SetOrRemove(kPower, labels, now.power_watts);
    SetOrRemove(kTemperature, labels, now.temperature_celsius);
    SetOrRemove(kMemoryTemperature, labels, now.memory_temperature_celsius);
    SetOrRemove(kUtilization, labels, now.utilization_ratio);
    SetOrRemove(kMemoryUsed, labels,
                now.memory_used ? std::optional<double>(static_cast<double>(*now.memory_used))
                                : std::nullopt);
    if (now.energy_joules)
      mirror_.Follow(kEnergy, labels, static_cast<uint64_t>(*now.energy_joules));
  }
}

void AgentMetrics::AddReplicaEnergy(const std::string& deployment, double joules) {
  registry_.GetCounter(kReplicaEnergy, {{"deployment", deployment}}).Add(joules);
}

void AgentMetrics::SetEndpoints(const Endpoints& endpoints) {
  endpoints_ = endpoints;
  for (const auto& endpoint : endpoints_) {
    for (const std::string& device : endpoint->devices) {
      registry_.GetHistogram(kEndpointSeconds, {{"device", device}});
      for (const EndpointOutcome outcome : kOutcomes)
        registry_.GetCounter(kEndpointRequests,
                             {{"device", device}, {"outcome", std::string(ToString(outcome))}});
    }
  }
}

void AgentMetrics::EndpointRequest(const EndpointRequestDone& request) {
  const std::string& device = request.device;
  registry_
      .GetCounter(kEndpointRequests,
                  {{"device", device}, {"outcome", std::string(ToString(request.outcome))}})
      .Add();
  if (request.outcome != EndpointOutcome::kCancelled)
    registry_.GetHistogram(kEndpointSeconds, {{"device", device}})
        .Observe(std::chrono::duration<double>(request.took).count());
  if (!request.tokens) return;
  const auto add = [&](const char* direction, uint64_t tokens) {
    registry_.GetCounter(kEndpointTokens, {{"device", device}, {"direction", direction}})
        .Add(static_cast<double>(tokens));
  };
  add("input", request.tokens->input);
  add("output", request.tokens->output);
}

void AgentMetrics::FollowEndpointLoads() {
  for (const auto& endpoint : endpoints_)
    for (size_t i = 0; i < endpoint->devices.size(); ++i)
      registry_.GetGauge(kEndpointInFlight, {{"device", endpoint->devices[i]}})
          .Set(endpoint->loads[i]->in_flight.load());
}

void AgentMetrics::Noted(const Note& note) {
  if (std::holds_alternative<StaleCommandRefused>(note)) registry_.GetCounter(kStale).Add();
  if (std::holds_alternative<SchedulerSilent>(note)) registry_.GetCounter(kSilent).Add();
  if (std::holds_alternative<ReplicaRestarted>(note)) registry_.GetCounter(kRestarts).Add();
  if (const auto* refused = std::get_if<RegistrationRefused>(&note))
    registry_.GetCounter(kRefused, {{"reason", std::string(ToString(refused->reason))}}).Add();
}

}  // namespace allot::agent
