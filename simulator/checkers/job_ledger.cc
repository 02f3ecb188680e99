#include "simulator/checkers/job_ledger.h"

namespace allot::simulator {

void JobLedger::Kept(const scheduler::Record& record) {
  std::visit([this](const auto& r) { On(r); }, record);
}

void JobLedger::CancelAcknowledged(JobId job) {
  const auto it = jobs_.find(job);
  if (it != jobs_.end()) it->second.cancelled = true;
}

JobLedger::Job* JobLedger::Find(JobId id, std::string_view what) {
  const auto it = jobs_.find(id);
  if (it == jobs_.end()) {
    findings_->Add(kName, "{} of {}, which was never accepted", what, ToString(id));
    return nullptr;
  }
  if (it->second.phase == Phase::kFinished) {
    findings_->Add(kName, "{} of {}, which has finished", what, ToString(id));
    return nullptr;
  }
  return &it->second;
}

void JobLedger::On(const scheduler::TermBegun& r) {
  if (r.term <= term_) findings_->Add(kName, "term {} after {}", r.term.value(), term_.value());
  term_ = r.term;
}

void JobLedger::On(const scheduler::JobAccepted& r) {
  if (r.job <= last_)
    findings_->Add(kName, "{} accepted after {}", ToString(r.job), ToString(last_));
  last_ = r.job;
  if (!r.idempotency_key.empty() && !keys_.insert(r.idempotency_key).second)
    findings_->Add(kName, "two jobs for the idempotency key {}", r.idempotency_key);
  jobs_[r.job].spec = r.spec;
}

void JobLedger::On(const scheduler::JobPlaced& r) {
  Job* job = Find(r.job, "placement");
  if (job == nullptr) return;
  if (job->cancelled)
    findings_->Add(kName, "{} placed after its cancellation was acknowledged", ToString(r.job));
  if (job->phase != Phase::kPending)
    findings_->Add(kName, "{} placed while it is placed", ToString(r.job));
  if (r.attempt.value() != job->attempt + 1)
    findings_->Add(kName, "{} placed as attempt {} after {}", ToString(r.job), r.attempt.value(),
                  job->attempt);
  if (r.tasks.size() != job->spec->tasks)
    findings_->Add(kName, "{} of {} tasks of {} placed", r.tasks.size(), job->spec->tasks,
                  ToString(r.job));
  job->phase = Phase::kPlaced;
  job->attempt = r.attempt.value();
  job->live = static_cast<uint32_t>(r.tasks.size());
  job->succeeded = 0;
  job->ended.assign(r.tasks.size(), false);
}

void JobLedger::On(const scheduler::TaskStarted& r) {
  const Job* job = Find(r.key.task.job, "start of a task");
  if (job == nullptr) return;
  if (r.key.attempt.value() != job->attempt || r.key.task.index >= job->ended.size() ||
      job->ended[r.key.task.index])
    findings_->Add(kName, "{} started, but that attempt of it is over", ToString(r.key));
}

void JobLedger::End(const TaskKey& key, std::string_view what, bool success) {
  Job* job = Find(key.task.job, what);
  if (job == nullptr) return;
  if (key.attempt.value() != job->attempt || key.task.index >= job->ended.size() ||
      job->ended[key.task.index]) {
    findings_->Add(kName, "{} of {}, but that attempt of it is over", what, ToString(key));
    return;
  }
  job->ended[key.task.index] = true;
  --job->live;
  if (success) ++job->succeeded;
}

void JobLedger::On(const scheduler::TaskExited& r) { End(r.key, "exit", r.exit.succeeded()); }
void JobLedger::On(const scheduler::TaskAbandoned& r) { End(r.key, "loss", false); }

void JobLedger::On(const scheduler::JobStopping& r) {
  Job* job = Find(r.job, "stop");
  if (job == nullptr) return;
  if (job->phase == Phase::kPending)
    findings_->Add(kName, "{} is stopped, but nothing of it runs", ToString(r.job));
  job->phase = Phase::kStopping;
}

void JobLedger::On(const scheduler::JobRequeued& r) {
  Job* job = Find(r.job, "requeue");
  if (job == nullptr) return;
  if (job->live > 0)
    findings_->Add(kName, "{} requeued while {} tasks of it hold leases", ToString(r.job),
                  job->live);
  if (job->phase == Phase::kPending)
    findings_->Add(kName, "{} requeued while it waits", ToString(r.job));
  if (job->succeeded == job->ended.size())
    findings_->Add(kName, "{} requeued though every task of it succeeded", ToString(r.job));
  job->phase = Phase::kPending;
}

void JobLedger::On(const scheduler::JobFinished& r) {
  Job* job = Find(r.job, "end");
  if (job == nullptr) return;
  if (job->phase != Phase::kPending && job->live > 0)
    findings_->Add(kName, "{} finished while {} tasks of it hold leases", ToString(r.job),
                  job->live);
  if (r.outcome == JobOutcome::kSucceeded &&
      (job->attempt == 0 || job->succeeded != job->spec->tasks))
    findings_->Add(kName, "{} succeeded with {} of {} tasks", ToString(r.job), job->succeeded,
                  job->spec->tasks);
  job->phase = Phase::kFinished;
}

}  // namespace allot::simulator
