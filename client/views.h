// What the API answers (docs/api.md), as plain structs. Absent stays absent: fields that a
// server left out are nullopt or empty, and unknown ones are passed over, because the API only
// ever adds fields.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/status.h"

namespace allot::client {

struct DeviceRef {
  std::string id, model, kind;
  bool emulated = false;
  std::string isolation;
};

struct TaskView {
  int64_t rank = 0, pid = 0;
  std::string node, phase, message;
  std::vector<DeviceRef> devices;
  std::optional<int64_t> code, signal;
  std::optional<int64_t> step, total;
  std::optional<double> loss;
};

struct JobView {
  std::string id, name, tenant, user, phase, outcome, message;
  std::string submitted, placed, finished;  // RFC 3339
  std::optional<int64_t> code;
  int64_t attempt = 0, tasks_total = 0, priority = 0;
  std::optional<double> waited_seconds, ran_seconds, price_usd_per_hour, cost_usd, energy_joules;
  std::string energy_source;  // "measured" or "modelled"
  bool emulated = false, at_most_one = false;
  int64_t scratch_max_bytes = 0;  // 0: none of its own
  std::vector<std::string> command;
  int64_t spec_bytes_dropped = 0;  // of environment and command, which are not kept once it ended
  std::vector<TaskView> tasks;
  bool done() const { return phase == "finished"; }
};

// Out of service, or on probation, for failing jobs or by an operator's word.
struct QuarantineView {
  std::string by, since, until, why;
  bool probation = false;
  int64_t strikes = 0;
  std::optional<double> until_seconds;
};

// What a node held, as it registered last, of a life of the store that the scheduler does not know.
struct ForeignView {
  std::string incarnation, at;
  int64_t tasks = 0, replicas = 0;
};

struct NodeView {
  std::string name, address, version, isolation;
  bool alive = false, draining = false, emulated = false;
  int64_t epoch = 0;
  std::optional<double> cpus_total, cpus_free, last_heard_seconds;
  std::optional<int64_t> memory_total_bytes, memory_free_bytes;
  int64_t devices_total = 0, devices_free = 0, tasks = 0, replicas = 0;
  int64_t devices_quarantined = 0;
  std::optional<QuarantineView> quarantine;  // of the node as a whole
  std::optional<ForeignView> foreign;
  std::vector<std::string> losses, warnings;
  std::vector<std::string> unfit;         // why it can start nothing now
  std::vector<std::string> unreached_by;  // gateways that are not linked to it
};

struct DeviceView {
  std::string node, id, kind, vendor, model, state, used_by;
  std::string isolation, source, parent, uuid, endpoint;
  std::vector<std::string> health;
  bool emulated = false;
  std::optional<QuarantineView> quarantine;
  std::optional<int64_t> memory_bytes, memory_used_bytes;
  std::optional<double> price_usd_per_hour, power_watts, temperature_celsius, utilization_ratio,
      power_max_watts;
};

struct Reason {
  std::string reason, detail;
  int64_t count = 0;
};

struct ReplicaView {
  std::string id, node, phase, message;
  int64_t group = 0, generation = 0, restarts = 0, pid = 0;
  std::vector<DeviceRef> devices;
  std::vector<std::string> unreached_by;  // gateways that are not linked to its node
  std::optional<double> price_usd_per_hour;
};

struct WaitingGroup {
  int64_t group = 0, count = 0;
  std::vector<Reason> reasons;
};

struct DeploymentView {
  std::string name, tenant, model;
  // "ready", "starting", "updating", "stopping"; empty from a scheduler of the build before.
  std::string state;
  std::string message;  // why it is not ready
  // Ready are those of this generation; older ones, and those that end, are counted apart.
  int64_t generation = 0, wanted = 0, ready = 0, older = 0, ending = 0;
  bool stopping = false;
  std::optional<double> ttft_seconds, per_token_seconds, end_to_end_seconds, percentile;
  std::vector<ReplicaView> replicas;
  std::vector<WaitingGroup> waiting;
};

// What somebody's HTTPS shows.
struct CertificateView {
  double expires_seconds = 0;  // from now
  bool stale = false;          // its files have changed and cannot be used
};

struct GatewayRef {
  std::string name, http_address;
  std::optional<CertificateView> certificate = std::nullopt;
};

// A peer that connects and cannot be used.
struct TroubleView {
  std::string peer, why;
};

struct ClusterView {
  std::string name, program_version, started, policy;
  int64_t term = 0;
  std::optional<CertificateView> certificate;
  std::vector<GatewayRef> gateways;
  std::vector<TroubleView> troubles;
  int64_t nodes_alive = 0, nodes_lost = 0, nodes_draining = 0;
  int64_t jobs_pending = 0, jobs_running = 0, jobs_stopping = 0, jobs_finished = 0;
  int64_t deployments = 0, replicas = 0;
  std::string token, token_expires;                 // whoever asks; may be empty
  int64_t tokens_expiring = 0, tokens_expired = 0;  // within a week; told to administrators
};

struct JobCandidate {
  std::string node, device_model, isolation, verdict;
  bool emulated = false;
  std::optional<double> price_usd_per_hour, score_usd;
};

struct JobExplanation {
  std::string job, phase;
  bool never = false;
  std::optional<double> waited_seconds;
  std::vector<Reason> reasons;
  std::vector<std::string> remedies, warnings;
  std::vector<JobCandidate> candidates;
};

struct RequestCandidate {
  std::string replica, node, device_model, kind, verdict;
  bool emulated = false, within_objective = false;
  int64_t in_flight = 0, concurrency = 0, samples = 0;
  std::optional<double> price_usd_per_hour, predicted_seconds, predicted_cost_usd;
  std::optional<double> predicted_energy_joules;
};

struct RequestExplanation {
  std::string id, deployment, policy, arrived, outcome, reason;
  std::vector<RequestCandidate> candidates;
  std::optional<double> cost_usd, energy_joules;  // once it has ended
  std::string energy_source;
};

struct GatewayDeployment {
  std::string name;
  int64_t queued = 0, in_flight = 0;
  std::vector<RequestCandidate> predictions;
};

struct PolicyView {
  std::string name, description, queue, placement, routing, yaml;
  std::optional<double> cluster_watts, rack_watts, node_watts;           // caps
  std::vector<std::pair<std::string, double>> racks_watts, nodes_watts;  // by name
};

// One line of power: the cluster, a rack or a node.
struct PowerView {
  std::string name, rack;
  bool alive = true;
  int64_t nodes = 0, devices = 0, devices_unknown = 0, devices_measured = 0;
  std::optional<double> leased_watts, cap_watts, measured_watts;
};
struct PowerPage {
  PowerView cluster;
  std::vector<PowerView> racks, nodes;
};

// Each takes a whole answer of the API. An answer that is not the JSON object promised is
// Internal: the address is not that of an Allotrope scheduler, or of one much newer than us.
struct JobPage {
  std::vector<JobView> jobs;
  std::string next;  // pass as `before` for the following page; empty at the end
};
StatusOr<JobView> ParseJob(std::string_view body);
StatusOr<JobPage> ParseJobs(std::string_view body);
StatusOr<std::vector<NodeView>> ParseNodes(std::string_view body);
StatusOr<NodeView> ParseNode(std::string_view body);
StatusOr<DeviceView> ParseDevice(std::string_view body);
StatusOr<std::vector<DeviceView>> ParseDevices(std::string_view body);
StatusOr<std::vector<DeploymentView>> ParseDeployments(std::string_view body);
StatusOr<DeploymentView> ParseDeployment(std::string_view body);
StatusOr<ClusterView> ParseCluster(std::string_view body);
StatusOr<JobExplanation> ParseJobExplanation(std::string_view body);
StatusOr<RequestExplanation> ParseRequestExplanation(std::string_view body);
StatusOr<std::vector<GatewayDeployment>> ParseGatewayDeployments(std::string_view body);
StatusOr<std::vector<std::string>> ParseModels(std::string_view body);
StatusOr<PolicyView> ParsePolicy(std::string_view body);
StatusOr<PowerPage> ParsePower(std::string_view body);

// The status an error answer stands for: the code of its JSON where it has one, else the HTTP
// status. `body` may be anything.
Status StatusOfAnswer(int http_status, std::string_view body);

}  // namespace allot::client
