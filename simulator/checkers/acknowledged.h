// No acknowledged job is forgotten: once a Reply OK has left the scheduler, the job is in the
// durable state, in every later life of it too.
#pragma once

#include <map>
#include <set>
#include <string>

#include "scheduler/core/cluster_state.h"
#include "simulator/checkers/findings.h"

namespace allot::simulator {

class Acknowledged {
 public:
  explicit Acknowledged(Findings& findings) : findings_(findings) {}
  // `key`: the idempotency key it was submitted with, empty if none.
  void Replied(JobId job, const std::string& key);
  void CheckKept(const scheduler::ClusterState& state);
  // The store is this one again; whoever put it back knows that what came later is lost.
  void PutBack(const scheduler::ClusterState& state);
  size_t size() const { return jobs_.size(); }

 private:
  Findings& findings_;
  std::set<JobId> jobs_;
  std::map<std::string, JobId> keys_;
};

}  // namespace allot::simulator
