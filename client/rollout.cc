#include "client/rollout.h"

namespace allot::client {
namespace {

// Why it is not ready, in a line.
std::string MissingOf(const DeploymentView& d) {
  if (!d.message.empty()) return d.message;
  for (const ReplicaView& r : d.replicas) {
    if (r.generation == d.generation && r.phase != "ready" && !r.message.empty())
      return fmt::format("{} on {} is {}: {}", r.id, r.node, r.phase, r.message);
  }
  for (const WaitingGroup& w : d.waiting) {
    if (!w.reasons.empty())
      return fmt::format("{} wait: {} {}", w.count, w.reasons[0].reason, w.reasons[0].detail);
  }
  return "";
}

}  // namespace

std::string StateOf(const DeploymentView& d) {
  if (!d.state.empty()) return d.state;
  if (d.stopping) return "stopping";
  if (d.older > 0) return "updating";
  if (d.ready < d.wanted) return "starting";
  return d.ending > 0 ? "updating" : "ready";
}

StatusOr<Rollout> RolloutOf(const StatusOr<DeploymentView>& answer, int64_t generation) {
  if (!answer.ok()) {
    if (answer.status().code() == StatusCode::kUnavailable) return Rollout{};
    if (answer.status().code() == StatusCode::kNotFound)
      return FailedPrecondition("it was undeployed meanwhile");
    return answer.status();
  }
  const DeploymentView& d = *answer;
  if (d.stopping) return FailedPrecondition("{} was undeployed meanwhile", d.name);
  if (d.generation != generation)
    return FailedPrecondition("{} was deployed anew by somebody else meanwhile", d.name);
  Rollout rollout;
  rollout.reached = StateOf(d) == "ready";
  rollout.news = fmt::format("{} of {} replicas ready", d.ready, d.wanted);
  if (rollout.reached) return rollout;
  if (d.older > 0) {
    rollout.news += fmt::format(", {} of before still there", d.older);
  } else if (d.ending > 0) {
    rollout.news += fmt::format(", {} ending", d.ending);
  }
  if (const std::string missing = MissingOf(d); !missing.empty()) rollout.news += "; " + missing;
  return rollout;
}

}  // namespace allot::client
