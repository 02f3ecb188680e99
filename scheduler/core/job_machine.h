// The life of a job: accepted, (placed by Planner,) started, ended, stopped, requeued, finished.
#pragma once

#include <vector>

#include "scheduler/core/delivery.h"
#include "scheduler/core/ledger.h"
#include "scheduler/core/quarantine.h"

namespace allot::scheduler {

// What `allot wait` returns for a failed attempt: the first non-zero code by rank, 128 + signal for
// a signal; 0 if every task that ended succeeded.
int32_t CodeOf(const std::vector<TaskState>& tasks);

class JobMachine {
 public:
  JobMachine(Ledger& ledger, Delivery& delivery, QuarantineMachine& quarantine)
      : ledger_(ledger), delivery_(delivery), quarantine_(quarantine) {}

  void Submit(const JobSubmitted& event, Effects& out);
  void Cancel(const JobCancelRequested& event, Effects& out);

  // What an agent says of a task in its current epoch, or at registration.
  // True: it is an exit that is durable now (or of no interest any more), so acknowledge it.
  bool TaskSaid(NodeId node, const TaskStatus& status, Effects& out);
  // The node no longer has the task. Callers Settle the job afterwards.
  void Abandon(const TaskKey& key, RequeueReason reason, Effects& out);
  // A stopping gang of which nothing is left becomes what it was stopped for.
  void Settle(JobId job, Effects& out);
  void StopOverdue(Effects& out);  // time limits

 private:
  bool IsCurrent(NodeId node, const TaskKey& key) const;
  void TaskEnded(const TaskKey& key, const TaskExit& exit, Effects& out);
  void Stop(const JobState& job, const JobStopping& record, Effects& out);
  void Finish(const JobState& job, JobOutcome outcome, int32_t code, Effects& out);

  Ledger& ledger_;
  Delivery& delivery_;
  QuarantineMachine& quarantine_;
};

}  // namespace allot::scheduler
