// What explains a job by its attempts: pauses between them, copies that may still run, and what a
// gang would need to be spread over.
#include <algorithm>
#include <set>

#include "common/model/translated.h"
#include "scheduler/core/explainer.h"

namespace allot::scheduler {
namespace {

constexpr size_t kWarnings = 4;

std::string Plural(uint64_t count, std::string_view thing) {
  return fmt::format("{} {}{}", count, thing, count == 1 ? "" : "s");
}

}  // namespace

void Explainer::ExplainPause(Time now, const JobState& job, JobExplanation& out) const {
  const std::string next =
      fmt::format("attempt {} begins in {} at the earliest", job.attempt.value() + 1,
                  FormatDuration(ledger_.BeginsAt(job) - now));
  if (const Time fenced = ledger_.FencedUntil(job); fenced > now) {
    out.reasons.push_back(Reason{
        WaitReason::kPaused, 1,
        fmt::format("{}: at most one attempt of a task may be alive (at_most_one), and the one "
                    "before may live until its lease is over",
                    next)});
    return;
  }
  if (job.node_faults == 0) {
    out.reasons.push_back(Reason{
        WaitReason::kPaused, job.failures,
        fmt::format("{}: {} of {} restarts are used", next, job.failures, job.spec->restarts_max)});
    return;
  }
  std::string nodes;
  for (const NodeId id : job.unfit_nodes)
    nodes += (nodes.empty() ? "" : ", ") + ledger_.state().FindNode(id)->info->name;
  out.reasons.push_back(Reason{WaitReason::kPaused, job.node_faults,
                               fmt::format("{}: {} in a row could not be run, for reasons of {}",
                                           next, Plural(job.node_faults, "attempt"), nodes)});
  if (job.unfit_nodes.size() > 1)
    out.remedies.push_back(
        "several nodes could not run it: see what its attempts say, and whether "
        "its checkpoint_dir and work_dir can be had there");
}

// Nothing reaches a lost node, so what ran on it may run on; what another node runs meanwhile has
// the same folders.
void Explainer::WarnOfCopies(const JobState& job, JobExplanation& out) const {
  const auto warn = [&](Attempt attempt, uint32_t rank, NodeId id) {
    const NodeState& node = *ledger_.state().FindNode(id);
    // One that may live once only has ended by itself.
    if (node.alive || job.spec->at_most_one) return;
    out.warnings.push_back(fmt::format(
        "attempt {} of task {} may still run on {}, which was lost: nobody can stop it until that "
        "node is heard or its machine is off, and it has the same checkpoint folder and work_dir",
        attempt.value(), rank, node.info->name));
  };
  for (const EarlierAttempt& earlier : job.earlier) {
    for (const uint32_t rank : earlier.abandoned) warn(earlier.attempt, rank, earlier.nodes[rank]);
  }
  for (uint32_t rank = 0; rank < job.tasks.size(); ++rank) {
    if (job.tasks[rank].abandoned) warn(job.attempt, rank, job.tasks[rank].placement.node);
  }
  if (out.warnings.size() > kWarnings) {
    const size_t more = out.warnings.size() - kWarnings;
    out.warnings.resize(kWarnings);
    out.warnings.push_back(fmt::format("and {} more of its tasks", more));
  }
}

// Gangs are not kept off such nodes: all of theirs may be behind one translator, and not every gang
// talks. One whose tasks cannot meet fails or hangs, though, and this is what to look at first.
void Explainer::WarnOfTranslators(const JobState& job, JobExplanation& out) const {
  std::set<NodeId> nodes;
  for (const TaskState& task : job.tasks) nodes.insert(task.placement.node);
  if (nodes.size() < 2) return;
  size_t told = 0;
  for (const NodeId id : nodes) {
    const NodeInfo& info = *ledger_.state().FindNode(id)->info;
    if (!IsTranslated(info)) continue;
    if (++told > kWarnings) continue;
    out.warnings.push_back(fmt::format(
        "{} tells {} and is seen at {}, as behind a router that translates addresses: tasks on "
        "other nodes may not reach those on it; set `address` in its config to what its peers "
        "reach, or keep gangs to one node",
        info.name, info.address, info.seen_address));
  }
  if (told > kWarnings)
    out.warnings.push_back(fmt::format("and {} more of its nodes", told - kWarnings));
}

uint64_t Explainer::MostOfOneKind(const Demand& demand) const {
  uint64_t most = 0;
  for (const DemandOption& option : demand.options) {
    Demand alone = demand.Asked();
    alone.options = {option};
    alone.classes_seen = demand.classes_seen;
    most = std::max(most, Look(alone, std::nullopt).tasks);
  }
  return most;
}

}  // namespace allot::scheduler
