#include "scheduler/core/job_machine.h"

#include <algorithm>

#include "scheduler/core/answer.h"
#include "scheduler/core/checkpoints.h"
#include "scheduler/core/never.h"
#include "scheduler/core/spec_budget.h"

namespace allot::scheduler {
namespace {

constexpr int32_t kCancelledCode = 130, kTimedOutCode = 124;

Duration Doubled(Duration first, uint32_t times, Duration most) {
  Duration pause = first;
  for (uint32_t i = 0; i < times && pause < most; ++i) pause *= 2;
  return std::min(pause, most);
}

// What an end that is not the task's own is for its gang.
std::optional<RequeueReason> ReasonOf(ExitCause cause) {
  switch (cause) {
    case ExitCause::kTask:
      return std::nullopt;
    case ExitCause::kNotStarted:
    case ExitCause::kSupervisorLost:
      return RequeueReason::kNodeFault;
    case ExitCause::kNodeRestarted:
      return RequeueReason::kNodeRestarted;
    case ExitCause::kStopped:
      return RequeueReason::kTaskLost;
    case ExitCause::kLeaseEnded:
      return RequeueReason::kLeaseEnded;
  }
  return std::nullopt;
}

// The parts of an absolute path, without the empty ones, "." and what ".." takes back.
std::vector<std::string_view> PartsOf(std::string_view path) {
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    const std::string_view part = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(part.size() + 1, path.size()));
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (!parts.empty()) {
      parts.pop_back();
    }
  }
  return parts;
}

// Of a job that failed, though no task of it said a code: 0 would be read as success.
constexpr int32_t kNoCode = 1;

bool IsOver(const TaskState& task) { return task.abandoned || task.phase == TaskPhase::kExited; }

bool AllOver(const JobState& job) {
  return std::all_of(job.tasks.begin(), job.tasks.end(), IsOver);
}

}  // namespace

int32_t CodeOf(const JobState& job) {
  const auto code = [](const TaskState& task) {
    if (!task.exit) return 0;
    return task.exit->signal != 0 ? 128 + task.exit->signal : task.exit->code;
  };
  if (job.failed_rank && *job.failed_rank < job.tasks.size()) {
    if (const int32_t c = code(job.tasks[*job.failed_rank]); c != 0) return c;
  }
  for (const TaskState& task : job.tasks) {
    if (const int32_t c = code(task); c != 0) return c;
  }
  return kNoCode;
}

// Folders below the root are named after the jobs whose they are, and one user's job must not read
// or overwrite another's through its own spec. Only by the path's words: links are the node's to
// look at.
Status JobMachine::CheckCheckpoints(const JobSpec& spec) const {
  if (spec.checkpoint_dir.empty()) return absl::OkStatus();
  const std::vector<std::string_view> root = PartsOf(ledger_.options().checkpoint_root);
  const std::vector<std::string_view> dir = PartsOf(spec.checkpoint_dir);
  const size_t common = std::min(root.size(), dir.size());
  if (!std::equal(root.begin(), root.begin() + static_cast<std::ptrdiff_t>(common), dir.begin()))
    return absl::OkStatus();
  if (dir.size() <= root.size()) {
    return InvalidArgument(
        "checkpoint_dir {} holds the checkpoints of every job; name a folder of this job's own, or "
        "leave it out",
        spec.checkpoint_dir);
  }
  const std::optional<CheckpointOwner> owner = OwnerOfCheckpoints(dir[root.size()]);
  if (!owner) return absl::OkStatus();
  const JobState* job = ledger_.state().FindJob(owner->job);
  if (job != nullptr && job->incarnation != owner->incarnation) job = nullptr;  // Of another life.
  if (job != nullptr && job->spec->tenant == spec.tenant) return absl::OkStatus();
  return PermissionDenied(
      "checkpoint_dir {} is the folder of {}, which {}; copy what is needed to a folder of this "
      "job's own, or leave it out",
      spec.checkpoint_dir, ToString(owner->job),
      job != nullptr ? "is another tenant's" : "is not known to be this tenant's");
}

void JobMachine::Submit(const JobSubmitted& event, Effects& out) {
  const ClusterState& state = ledger_.state();
  const auto refuse = [&](Status status) { Answer(event.token, std::move(status), JobId(), out); };
  if (!event.idempotency_key.empty()) {
    const std::string owner = ClusterState::KeyOwner(*event.spec, event.user);
    if (const JobId first = state.FindByIdempotencyKey(owner, event.idempotency_key);
        first.valid()) {
      return Answer(event.token, absl::OkStatus(), first, out);
    }
  }
  if (Status status = CheckCheckpoints(*event.spec); !status.ok()) return refuse(std::move(status));
  if (ledger_.counts().pending >= ledger_.options().pending_jobs_max) {
    return refuse(ResourceExhausted("{} jobs wait already, which is the most (pending_jobs_max)",
                                    ledger_.counts().pending));
  }
  if (Status room =
          CheckSpecBytes(ledger_, event.spec->tenant, ClusterState::SpecBytes(*event.spec), 0);
      !room.ok())
    return refuse(std::move(room));
  if (!state.nodes().empty()) {  // An empty cluster knows nothing of what may come.
    Demand demand = Demand::Of(*event.spec);
    Resolve(ledger_.classes(), demand);
    if (!ledger_.index().EverPossible(demand)) {
      return refuse(FailedPrecondition(
          "never: none of the {} nodes ever registered could run a task of it, even when empty; {}",
          state.nodes().size(), WhatToAsk(ledger_, demand)));
    }
  }
  const JobId id = ledger_.NextJob();
  ledger_.Remember(JobAccepted{ledger_.now, id, event.spec, event.user, event.idempotency_key},
                   out);
  Answer(event.token, absl::OkStatus(), id, out);
}

void JobMachine::Cancel(const JobCancelRequested& event, Effects& out) {
  const JobState* job = ledger_.state().FindJob(event.job);
  if (job == nullptr) {
    return Answer(
        event.token,
        NotFound("there is no {}; it may have finished long ago (`allot jobs` lists those "
                 "that are kept)",
                 ToString(event.job)),
        event.job, out);
  }
  switch (job->phase) {
    case JobPhase::kPending:
      Finish(*job, JobOutcome::kCancelled, kCancelledCode, out);
      break;
    case JobPhase::kRunning:
      Stop(*job, JobStopping{ledger_.now, job->id, JobOutcome::kCancelled}, out);
      break;
    case JobPhase::kStopping:
      if (!job->stopping->outcome) {  // Going back to its queue: not any more.
        ledger_.Remember(JobStopping{ledger_.now, job->id, JobOutcome::kCancelled}, out);
      } else if (*job->stopping->outcome == JobOutcome::kFailed && !job->stopping->cancelled) {
        // Going to an end already: that end stands, unless it is forgiven.
        JobStopping record = *job->stopping;
        record.at = ledger_.now;
        record.cancelled = true;
        ledger_.Remember(record, out);
      }
      break;
    case JobPhase::kFinished:
      break;
  }
  Answer(event.token, absl::OkStatus(), event.job, out);
}

void JobMachine::Stop(const JobState& job, const JobStopping& record, Effects& out) {
  const JobId id = job.id;
  ledger_.Remember(record, out);
  for (uint32_t rank = 0; rank < job.tasks.size(); ++rank) {
    delivery_.Push(Delivery::Kind::kStopTask, job.tasks[rank].placement.node,
                   TaskKey{TaskId{id, rank}, job.attempt});
  }
}

void JobMachine::Finish(const JobState& job, JobOutcome outcome, int32_t code, Effects& out) {
  const JobId id = job.id;
  Cost cost = job.cost;
  if (job.phase != JobPhase::kPending) cost += CostOf(job.price, ledger_.now - job.placed);
  quarantine_.JobEnded(id);
  ledger_.Remember(JobFinished{ledger_.now, id, outcome, code, cost}, out);
  out.commands.emplace_back(std::in_place_type<JobEnded>, JobEnded{id});
}

void JobMachine::Settle(JobId id, Effects& out) {
  const JobState* job = ledger_.state().FindJob(id);
  if (job == nullptr || job->phase != JobPhase::kStopping || !AllOver(*job)) return;
  if (!job->stopping->outcome) {
    return Requeue(*job, job->stopping->requeue, out);
  }
  const JobOutcome outcome = *job->stopping->outcome;
  int32_t code = job->stopping->code;
  if (outcome == JobOutcome::kCancelled) code = kCancelledCode;
  if (outcome == JobOutcome::kTimedOut) code = kTimedOutCode;
  if (outcome == JobOutcome::kFailed && code == 0) code = CodeOf(*job);
  Finish(*job, outcome, code, out);
}

void JobMachine::Requeue(const JobState& job, RequeueReason reason, Effects& out) {
  Duration pause{};
  if (reason == RequeueReason::kTaskFailed)
    pause = Doubled(job.spec->restart_pause, job.failures, job.spec->restart_pause_max);
  if (reason == RequeueReason::kNodeFault)
    pause = Doubled(kNodeFaultPause, job.node_faults, kNodeFaultPauseMax);
  JobRequeued record{ledger_.now, job.id, reason};
  if (pause > Duration{}) record.not_before = ledger_.now + pause;
  if (const Time fence = ledger_.FencedUntil(job); fence > ledger_.now)
    record.not_before = std::max(record.not_before, fence);
  ledger_.Remember(record, out);
}

void JobMachine::Forgive(JobId id, RequeueReason reason, Effects& out) {
  const JobState& job = *ledger_.state().FindJob(id);
  if (job.phase != JobPhase::kStopping || job.stopping->outcome != JobOutcome::kFailed) return;
  if (reason == RequeueReason::kNodeFault && job.node_faults + 1 >= kNodeFaultsMax) return;
  JobStopping record{ledger_.now, id};
  record.requeue = reason;
  if (job.stopping->cancelled) record.outcome = JobOutcome::kCancelled;
  ledger_.Remember(record, out);
}

bool JobMachine::IsCurrent(NodeId node, const TaskKey& key) const {
  const JobState* job = ledger_.state().FindJob(key.task.job);
  if (job == nullptr || job->attempt != key.attempt) return false;
  if (job->phase != JobPhase::kRunning && job->phase != JobPhase::kStopping) return false;
  if (key.task.index >= job->tasks.size()) return false;
  const TaskState& task = job->tasks[key.task.index];
  return task.placement.node == node && !IsOver(task);
}

bool JobMachine::TaskSaid(NodeId node, const TaskStatus& status, Effects& out) {
  const TaskKey key = status.key;
  const bool exited = status.phase == TaskPhase::kExited;
  if (!IsCurrent(node, key)) {
    // Of an attempt that is over for us, or told twice. Gone: it may be forgotten. Still there: it
    // must not be.
    NodeLink& link = ledger_.link(node);
    if (exited) {
      link.Gone(key);
      return true;
    }
    if (link.stray_tasks.insert(key).second) delivery_.Push(Delivery::Kind::kStopStrayTask, node, key);
    return false;
  }
  if (status.progress) ledger_.progress[key.task] = *status.progress;
  if (exited) {
    TaskEnded(key, status.exit.value_or(TaskExit{}), out);
    return true;
  }
  const TaskState& task = ledger_.state().FindJob(key.task.job)->tasks[key.task.index];
  ledger_.link(node).seen.unanswered.reset();
  if (status.phase == TaskPhase::kAssigned)
    ledger_.acknowledged[{key.task.job, key.attempt}].insert(key.task.index);
  if (status.phase == TaskPhase::kRunning && task.phase == TaskPhase::kAssigned) {
    ledger_.Remember(TaskStarted{ledger_.now, key, status.pid}, out);
    quarantine_.Started(*ledger_.state().FindJob(key.task.job), key.task.index);
  }
  return false;
}

void JobMachine::TaskEnded(const TaskKey& key, const TaskExit& exit, Effects& out) {
  ledger_.Remember(TaskExited{ledger_.now, key, exit}, out);
  const JobState& job = *ledger_.state().FindJob(key.task.job);
  const std::optional<RequeueReason> unasked = ReasonOf(exit.cause);
  quarantine_.Exited(job, key.task.index,
                     job.phase == JobPhase::kRunning && (!unasked || OfTheNode(exit.cause)), out);
  if (job.phase == JobPhase::kStopping) {
    if (OfTheNode(exit.cause)) Forgive(job.id, *unasked, out);
    return Settle(job.id, out);
  }
  if (exit.succeeded()) {
    if (AllOver(job)) Finish(job, JobOutcome::kSucceeded, 0, out);
    return;
  }
  // The first failure ends the attempt: ranks that wait for the dead one would wait for ever.
  const RequeueReason reason = unasked.value_or(RequeueReason::kTaskFailed);
  bool again = job.failures < job.spec->restarts_max;
  if (unasked) again = reason != RequeueReason::kNodeFault || job.node_faults + 1 < kNodeFaultsMax;
  const int32_t code = CodeOf(job);
  if (!AllOver(job)) {
    JobStopping record{ledger_.now, job.id};
    if (!again) record.outcome = JobOutcome::kFailed;
    record.requeue = reason;
    record.code = code;
    return Stop(job, record, out);
  }
  if (again) {
    Requeue(job, reason, out);
  } else {
    Finish(job, JobOutcome::kFailed, code, out);
  }
}

bool JobMachine::Renew(NodeId node, const TaskKey& key) {
  if (!IsCurrent(node, key) || !ledger_.state().FindJob(key.task.job)->terms.needed()) return false;
  ledger_.leases_granted[key] = ledger_.now;
  return true;
}

void JobMachine::Abandon(const TaskKey& key, RequeueReason reason, Effects& out) {
  ledger_.Fence(key);
  ledger_.Remember(TaskAbandoned{ledger_.now, key}, out);
  const JobState& job = *ledger_.state().FindJob(key.task.job);
  quarantine_.Abandoned(job, key.task.index);
  if (job.phase != JobPhase::kRunning) return Forgive(job.id, reason, out);
  JobStopping record{ledger_.now, job.id};
  record.requeue = reason;
  Stop(job, record, out);
}

void JobMachine::TakeBack(const TaskKey& key, Duration after, Effects& out) {
  const JobState& job = *ledger_.state().FindJob(key.task.job);
  const NodeId node = job.tasks[key.task.index].placement.node;
  out.notes.emplace_back(TaskUnanswered{ledger_.state().FindNode(node)->info->name, key, after});
  quarantine_.Unanswered(job, key.task.index, out);
  Abandon(key, RequeueReason::kNoAnswer, out);
  NodeLink& link = ledger_.link(node);
  link.seen.unanswered = {key, ledger_.now};
  if (link.stray_tasks.insert(key).second)
    delivery_.Push(Delivery::Kind::kStopStrayTask, node, key);
}

void JobMachine::StopOverdue(Effects& out) {
  while (!ledger_.time_limits().empty()) {
    const auto [end, id] = *ledger_.time_limits().begin();
    if (end > ledger_.now) return;
    Stop(*ledger_.state().FindJob(id), JobStopping{ledger_.now, id, JobOutcome::kTimedOut}, out);
  }
}

}  // namespace allot::scheduler
