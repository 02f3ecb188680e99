// The few jobs that hold a placement or have ended, beside perhaps a million that wait: kept up to
// date record by record, so that no scrape or listing walks them all. (Core::Counts has the
// numbers.)
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <utility>
#include <variant>

#include "scheduler/core/cluster_state.h"

namespace allot::scheduler {

class JobCensus {
 public:
  void Reset(const ClusterState& state) {
    *this = JobCensus();
    for (const auto& [id, replica] : state.replicas()) {
      replicas_[id] = {replica.price, replica.placement.power, replica.placed};
    }
    for (const auto& [id, job] : state.jobs()) {
      if (job.phase == JobPhase::kFinished) {
        finished_.push_back(id);
        continue;
      }
      if (job.phase != JobPhase::kPending) placed_.emplace(id, job.phase);
    }
  }

  void Apply(const Record& record) {
    if (const auto* placed = std::get_if<JobPlaced>(&record)) {
      placed_[placed->job] = JobPhase::kRunning;
    } else if (const auto* stopping = std::get_if<JobStopping>(&record)) {
      placed_[stopping->job] = JobPhase::kStopping;
    } else if (const auto* requeued = std::get_if<JobRequeued>(&record)) {
      placed_.erase(requeued->job);
    } else if (const auto* ended = std::get_if<JobFinished>(&record)) {
      placed_.erase(ended->job);
      finished_.push_back(ended->job);
      if (finished_.size() > ClusterState::kFinishedJobsKept) finished_.pop_front();
    } else if (const auto* replica = std::get_if<ReplicaPlaced>(&record)) {
      replicas_[replica->replica] = {replica->price, replica->placement.power, replica->at};
    } else if (const auto* gone = std::get_if<ReplicaGone>(&record)) {
      if (const auto it = replicas_.find(gone->replica); it != replicas_.end()) {
        replicas_ended_ += CostOf(it->second.price, gone->at - it->second.placed);
        replicas_drew_ += EnergyOf(it->second.power, gone->at - it->second.placed);
        replicas_.erase(it);
      }
    }
  }

  // Running and stopping jobs by id; finished ones in the order they ended.
  const std::map<JobId, JobPhase>& placed() const { return placed_; }
  const std::deque<JobId>& finished_jobs() const { return finished_; }
  // What replicas that are gone have cost since the last call.
  Cost TakeReplicaCost() { return std::exchange(replicas_ended_, Cost{}); }
  // What they have drawn at most; they are not measured.
  MilliJoule TakeReplicaEnergy() { return std::exchange(replicas_drew_, 0); }

 private:
  struct Running {
    PriceRate price;
    MilliWatt power = 0;
    Time placed;
  };
  std::map<JobId, JobPhase> placed_;
  std::deque<JobId> finished_;
  std::map<ReplicaId, Running> replicas_;
  Cost replicas_ended_;
  MilliJoule replicas_drew_ = 0;
};

}  // namespace allot::scheduler
