#include "scheduler/shell/api/routes.h"

namespace allot::scheduler {
namespace {

// Matches "/v1/jobs/{id}/wait"; a {…} takes one segment that is not empty.
bool Matches(std::string_view pattern, std::string_view path, std::vector<std::string>* args) {
  args->clear();
  for (;;) {
    const size_t p = pattern.find('/', 1), q = path.find('/', 1);
    const std::string_view want = pattern.substr(0, p), have = path.substr(0, q);
    if (want.starts_with("/{")) {
      if (have.size() < 2) return false;
      args->emplace_back(have.substr(1));
    } else if (want != have) {
      return false;
    }
    if (p == std::string_view::npos || q == std::string_view::npos) {
      return p == std::string_view::npos && q == std::string_view::npos;
    }
    pattern.remove_prefix(p);
    path.remove_prefix(q);
  }
}

}  // namespace

const std::vector<Route>& Routes() {
  using enum auth::Kind;
  using enum auth::Action;
  static const std::vector<Route> routes = {
      {"POST",
       "/v1/jobs",
       Right{kJob, kChange},
       api::SubmitJob,
       "Submit a job. Header Idempotency-Key (1 to 255 printable ASCII characters): a second "
       "submission by the same user with the same key answers the first job, until 24 hours after "
       "that has finished. Answers once the job is durable.",
       "Job",
       "JobAnswer",
       {},
       api::ReadJob},
      {"GET",
       "/v1/jobs",
       Right{kJob, kSee},
       api::ListJobs,
       "List jobs, newest first. A page may be shorter than the limit: go on while `next` is "
       "there.",
       "",
       "JobList",
       {{"phase", "string", "pending, running, stopping or finished"},
        {"tenant", "string", "only this tenant's"},
        {"limit", "integer", "1 to 1000; default 100"},
        {"before", "string", "go on from here: `next` of the page before"}}},
      {"GET", "/v1/jobs/{id}", Right{kJob, kSee}, api::GetJob, "One job.", "", "JobAnswer"},
      {"DELETE", "/v1/jobs/{id}", Right{kJob, kChange}, api::CancelJob, "Cancel a job.", "",
       "JobAnswer"},
      {"GET",
       "/v1/jobs/{id}/wait",
       Right{kJob, kSee},
       api::WaitForJob,
       "Answers when the job has finished or the time is up.",
       "",
       "JobAnswer",
       {{"timeout_seconds", "number", "0 to 600; default 30"}}},
      {"GET",
       "/v1/jobs/{id}/logs",
       Right{kJob, kSee},
       api::JobLogs,
       "Output of a task as it was written, as text.",
       "",
       "",
       {{"task", "integer", "rank; default 0"},
        {"attempt", "integer", "0, the default, is the last"},
        {"offset", "integer", "bytes to skip"},
        {"follow", "integer", "1: until the task has ended"}}},
      {"GET", "/v1/jobs/{id}/explain", Right{kJob, kSee}, api::ExplainJob,
       "Why a job waits and what would change that.", "", "Explanation"},
      {"PUT",
       "/v1/deployments/{name}",
       Right{kDeployment, kChange},
       api::PutDeployment,
       "Create or change a deployment.",
       "Deployment",
       "DeploymentAnswer",
       {},
       api::ReadDeployment},
      {"GET", "/v1/deployments", Right{kDeployment, kSee}, api::ListDeployments,
       "List deployments.", "", "DeploymentList"},
      {"GET", "/v1/deployments/{name}", Right{kDeployment, kSee}, api::GetDeployment,
       "One deployment.", "", "DeploymentAnswer"},
      {"DELETE", "/v1/deployments/{name}", Right{kDeployment, kChange}, api::DeleteDeployment,
       "Stop a deployment and its replicas.", "", "Done"},
      {"GET",
       "/v1/replicas/{id}/logs",
       Right{kDeployment, kSee},
       api::ReplicaLogs,
       "Output of a replica, as text.",
       "",
       "",
       {{"offset", "integer", "bytes to skip"}, {"follow", "integer", "1: until it ends"}}},
      {"GET", "/v1/nodes", Right{kNode, kSee}, api::ListNodes, "List nodes.", "", "NodeList"},
      {"GET", "/v1/devices", Right{kNode, kSee}, api::ListDevices, "List devices.", "",
       "DeviceList"},
      {"POST",
       "/v1/nodes/{name}/drain",
       Right{kNode, kChange},
       api::DrainNode,
       "Place nothing more on a node, or on one device of it; what runs there goes on.",
       "",
       "NodeAnswer",
       {{"device", "string", "id of a device: it alone"}}},
      {"POST",
       "/v1/nodes/{name}/undrain",
       Right{kNode, kChange},
       api::UndrainNode,
       "Use a node, or a device of it, again: ends its drain and its quarantine. Of a node, not "
       "those of its devices.",
       "",
       "NodeAnswer",
       {{"device", "string", "id of a device: it alone"}}},
      {"GET", "/v1/policy", Right{kPolicy, kSee}, api::GetPolicy, "The policy in force.", "",
       "PolicyAnswer"},
      {"PUT",
       "/v1/policy",
       Right{kPolicy, kChange},
       api::PutPolicy,
       "Put a policy in force. On an error the running one stays.",
       "Policy",
       "PolicyAnswer",
       {},
       api::ReadPolicy},
      {"POST",
       "/v1/policy/check",
       Right{kPolicy, kSee},
       api::CheckPolicy,
       "Check a policy, change nothing.",
       "Policy",
       "Done",
       {},
       api::ReadPolicy},
      {"GET", "/v1/cluster", Right{kCluster, kSee}, api::GetCluster, "The cluster at a glance.", "",
       "Cluster"},
      {"GET", "/v1/power", Right{kCluster, kSee}, api::GetPower,
       "Power of the cluster, its racks and nodes: leased, capped, measured.", "", "Power"},
      {"GET", "/v1/keys", Right{kKeys, kSee}, api::GetKeys,
       "Keys of the scheduler, and which peers are renewing theirs.", "", "Keys"},
      {"POST",
       "/v1/keys/rotate",
       Right{kKeys, kChange},
       api::RotateKeys,
       "Renew keys while all that runs goes on. Peers that are away are asked when they are back; "
       "the scheduler's own is in force when every connected peer has confirmed it.",
       "",
       "Keys",
       {{"peer", "string", "a node or gateway; may be given more than once"},
        {"all", "integer", "1: of all nodes and gateways"},
        {"head", "integer", "1: the scheduler's"},
        {"force", "integer", "1: the scheduler's at once, whoever has not confirmed it"}}},
      {"GET", "/v1/sd/prometheus", Right{kTargets, kSee}, api::PrometheusTargets,
       "Prometheus HTTP service discovery.", "", "Targets"},
      {"GET", "/metrics", Right{kMetrics, kSee}, api::GetMetrics, "Prometheus metrics, as text."},
      {"GET", "/openapi.json", Right{kCluster, kSee}, api::GetOpenApi, "This document.", "", "Any"},
      {"GET", "/healthz", std::nullopt, api::Health,
       "`ok`, or 503 and `degraded: …` while the journal cannot be written."},
  };
  return routes;
}

Match FindRoute(std::string_view method, std::string_view path) {
  if (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  Match match;
  for (const Route& route : Routes()) {
    if (!Matches(route.path, path, &match.args)) continue;
    if (route.method == method) {
      match.route = &route;
      return match;
    }
    if (!match.allowed.empty()) match.allowed += ", ";
    match.allowed += route.method;
  }
  return match;
}

}  // namespace allot::scheduler
