// The life of a job: accepted, (placed by Planner,) started, ended, stopped, requeued, finished.
#pragma once

#include <vector>

#include "scheduler/core/delivery.h"
#include "scheduler/core/ledger.h"
#include "scheduler/core/quarantine.h"

namespace allot::scheduler {

// What `allot wait` returns for a failed attempt: the code of the task that failed first, 128 +
// signal for a signal; 0 if every task that ended succeeded.
int32_t CodeOf(const JobState& job);

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
  // Whether the node's lease of the task is renewed, noting that it was.
  bool Renew(NodeId node, const TaskKey& key);
  // A node that is heard has not said in `after` that it has the task: it goes elsewhere. Whatever
  // copy it has after all is stopped for as long as it takes. Callers Settle the job afterwards.
  void TakeBack(const TaskKey& key, Duration after, Effects& out);

  // Between attempts: after a failure of the job's own, what its spec says; after a fault of a node
  // these. All double with each further one in a row.
  static constexpr Duration kNodeFaultPause = std::chrono::seconds(1);
  static constexpr Duration kNodeFaultPauseMax = std::chrono::minutes(5);
  // So many attempts in a row that nodes could not run, which takes more than an hour, end a job:
  // then it is hardly the nodes.
  static constexpr uint32_t kNodeFaultsMax = 20;

 private:
  bool IsCurrent(NodeId node, const TaskKey& key) const;
  void TaskEnded(const TaskKey& key, const TaskExit& exit, Effects& out);
  // A gang that is being stopped because one of its tasks failed has lost another by no fault of
  // its own: then the failure is likely to follow from that, so it is not held against the job.
  void Forgive(JobId job, RequeueReason reason, Effects& out);
  Status CheckCheckpoints(const JobSpec& spec) const;
  void Requeue(const JobState& job, RequeueReason reason, Effects& out);
  void Stop(const JobState& job, const JobStopping& record, Effects& out);
  void Finish(const JobState& job, JobOutcome outcome, int32_t code, Effects& out);

  Ledger& ledger_;
  Delivery& delivery_;
  QuarantineMachine& quarantine_;
};

}  // namespace allot::scheduler
