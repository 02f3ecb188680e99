#include "scheduler/core/job_machine.h"

#include <algorithm>

#include "scheduler/core/answer.h"
#include "scheduler/core/never.h"

namespace allot::scheduler {
namespace {

constexpr int32_t kCancelledCode = 130, kTimedOutCode = 124;

bool IsOver(const TaskState& task) { return task.abandoned || task.phase == TaskPhase::kExited; }

bool AllOver(const JobState& job) {
  return std::all_of(job.tasks.begin(), job.tasks.end(), IsOver);
}

}  // namespace

int32_t CodeOf(const std::vector<TaskState>& tasks) {
  for (const TaskState& task : tasks) {
    if (!task.exit || task.exit->succeeded()) continue;
    return task.exit->signal != 0 ? 128 + task.exit->signal : task.exit->code;
  }
  return 0;
}

void JobMachine::Submit(const JobSubmitted& event, Effects& out) {
  const ClusterState& state = ledger_.state();
  const auto refuse = [&](Status status) { Answer(event.token, std::move(status), JobId(), out); };
  if (!event.idempotency_key.empty()) {
    if (const JobId first = state.FindByIdempotencyKey(event.idempotency_key); first.valid()) {
      return Answer(event.token, absl::OkStatus(), first, out);
    }
  }
  if (ledger_.counts().pending >= ledger_.options().pending_jobs_max) {
    return refuse(ResourceExhausted("{} jobs wait already, which is the most (pending_jobs_max)",
                                    ledger_.counts().pending));
  }
  if (!state.nodes().empty()) {  // An empty cluster knows nothing of what may come.
    Demand demand = Demand::Of(*event.spec);
    Resolve(ledger_.classes(), demand);
    if (!ledger_.index().EverPossible(demand)) {
      return refuse(FailedPrecondition(
          "never: none of the {} nodes ever registered could run a task of it, even when empty; {}",
          state.nodes().size(), WhatToAsk(ledger_, demand)));
    }
  }
  const JobId id(state.last_job().value() + 1);
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
      // Going back to its queue: not any more. Going to an end already: that end stands.
      if (!job->stopping->outcome)
        ledger_.Remember(JobStopping{ledger_.now, job->id, JobOutcome::kCancelled}, out);
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
    const TaskState& task = job.tasks[rank];
    if (IsOver(task)) continue;
    delivery_.Push(Delivery::Kind::kStopTask, task.placement.node,
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
    ledger_.Remember(JobRequeued{ledger_.now, id, job->stopping->requeue}, out);
    return;
  }
  const JobOutcome outcome = *job->stopping->outcome;
  int32_t code = job->stopping->code;
  if (outcome == JobOutcome::kCancelled) code = kCancelledCode;
  if (outcome == JobOutcome::kTimedOut) code = kTimedOutCode;
  if (outcome == JobOutcome::kFailed && code == 0) code = CodeOf(job->tasks);
  Finish(*job, outcome, code, out);
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
    std::set<TaskKey>& strays = ledger_.link(node).stray_tasks;
    if (exited) {
      strays.erase(key);
      return true;
    }
    if (strays.insert(key).second) delivery_.Push(Delivery::Kind::kStopStrayTask, node, key);
    return false;
  }
  if (status.progress) ledger_.progress[key.task] = *status.progress;
  if (exited) {
    TaskEnded(key, status.exit.value_or(TaskExit{}), out);
    return true;
  }
  const TaskState& task = ledger_.state().FindJob(key.task.job)->tasks[key.task.index];
  if (status.phase == TaskPhase::kRunning && task.phase == TaskPhase::kAssigned) {
    ledger_.Remember(TaskStarted{ledger_.now, key, status.pid}, out);
    quarantine_.Started(*ledger_.state().FindJob(key.task.job), key.task.index);
  }
  return false;
}

void JobMachine::TaskEnded(const TaskKey& key, const TaskExit& exit, Effects& out) {
  ledger_.Remember(TaskExited{ledger_.now, key, exit}, out);
  const JobState& job = *ledger_.state().FindJob(key.task.job);
  quarantine_.Exited(job, key.task.index, job.phase == JobPhase::kRunning, out);
  if (job.phase == JobPhase::kStopping) return Settle(job.id, out);
  if (exit.succeeded()) {
    if (AllOver(job)) Finish(job, JobOutcome::kSucceeded, 0, out);
    return;
  }
  // The first failure ends the attempt: ranks that wait for the dead one would wait for ever.
  const bool again = job.failures < job.spec->restarts_max;
  const int32_t code = CodeOf(job.tasks);
  if (!AllOver(job)) {
    JobStopping record{ledger_.now, job.id};
    if (!again) record.outcome = JobOutcome::kFailed;
    record.requeue = RequeueReason::kTaskFailed;
    record.code = code;
    return Stop(job, record, out);
  }
  if (again) {
    ledger_.Remember(JobRequeued{ledger_.now, job.id, RequeueReason::kTaskFailed}, out);
  } else {
    Finish(job, JobOutcome::kFailed, code, out);
  }
}

void JobMachine::Abandon(const TaskKey& key, RequeueReason reason, Effects& out) {
  ledger_.Remember(TaskAbandoned{ledger_.now, key}, out);
  const JobState& job = *ledger_.state().FindJob(key.task.job);
  quarantine_.Abandoned(job, key.task.index);
  if (job.phase != JobPhase::kRunning) return;
  JobStopping record{ledger_.now, job.id};
  record.requeue = reason;
  Stop(job, record, out);
}

void JobMachine::StopOverdue(Effects& out) {
  while (!ledger_.time_limits().empty()) {
    const auto [end, id] = *ledger_.time_limits().begin();
    if (end > ledger_.now) return;
    Stop(*ledger_.state().FindJob(id), JobStopping{ledger_.now, id, JobOutcome::kTimedOut}, out);
  }
}

}  // namespace allot::scheduler
