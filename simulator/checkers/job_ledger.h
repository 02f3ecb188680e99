// Reads the durable records as an outsider would and keeps its own books on jobs.
//
// Promises: terms, attempts and job ids only grow; a gang is placed whole, and leaves only when no
// task of it is left; a task ends at most once in an attempt; an attempt whose every task
// succeeded is never run again; a finished job stays as it is; a job whose cancellation was
// acknowledged is not placed again.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "scheduler/core/events.h"
#include "simulator/checkers/findings.h"

namespace allot::simulator {

class JobLedger {
 public:
  explicit JobLedger(Findings& findings) : findings_(&findings) {}
  void Kept(const scheduler::Record& record);  // in the order of the journal
  void CancelAcknowledged(JobId job);          // an OK to a cancellation has left the scheduler

 private:
  enum class Phase { kPending, kPlaced, kStopping, kFinished };
  struct Job {
    Phase phase = Phase::kPending;
    scheduler::JobSpecPtr spec;
    bool cancelled = false;
    uint32_t attempt = 0;
    uint32_t live = 0, succeeded = 0;
    std::vector<bool> ended;  // by rank, of this attempt
  };
  static constexpr std::string_view kName = "job ledger";
  Job* Find(JobId id, std::string_view what);
  void End(const TaskKey& key, std::string_view what, bool success);
  void On(const scheduler::TermBegun& r);
  void On(const scheduler::JobAccepted& r);
  void On(const scheduler::JobPlaced& r);
  void On(const scheduler::TaskStarted& r);
  void On(const scheduler::TaskExited& r);
  void On(const scheduler::TaskAbandoned& r);
  void On(const scheduler::JobStopping& r);
  void On(const scheduler::JobRequeued& r);
  void On(const scheduler::JobFinished& r);
  template <class R>
  void On(const R&) {}

  Findings* findings_;  // never null
  Term term_;
  JobId last_;
  std::map<JobId, Job> jobs_;
  std::set<std::string> keys_;
};

}  // namespace allot::simulator
