// From a deployment's replicas to what a policy looks at: predictions at the present load against
// what this request was promised, and what is left of it.
//
// Scratch space of the core, used again for every decision; nothing here outlives one. A part of
// the objective about tokens (ttft, per_token) counts for streamed requests only: who waits for a
// whole answer never sees its first token. Waiting already done is taken off the promise.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "scheduler/router/explanation_log.h"
#include "scheduler/router/fleet.h"
#include "scheduler/router/request_table.h"

namespace allot::router {

class Candidates {
 public:
  // Rates the deployment's replicas for the request. The spans and references below are of the
  // last call. `request` may be null: as if one arrived now.
  void Build(Time now, Deployment& deployment, const Request* request);

  // Replicas that could take it now, ordered by index.
  std::span<const policies::ReplicaView> views() const { return views_; }
  // Is a slot of a full replica expected to come free soon enough to keep the objective? The wait
  // is what it takes the full replicas that would keep it to finish one request.
  bool WorthWaiting() const;
  // No replica, however idle, has been seen to answer within what is left until the deadline.
  bool DeadlineOutOfReach() const;
  // Requests that the available replicas finish in a second when full, in 1/1000; 0 if none is.
  int64_t DrainPerKilosecond() const;
  bool AnyUntried() const;

  // Every replica with its standing, or the best of every device group where there are many.
  // `chosen`: index of the slot, or -1.
  void Describe(int64_t chosen, std::vector<ConsideredReplica>* out) const;
  CandidateView Show(const Slot& slot) const;

 private:
  struct Rating {
    Duration predicted{}, ttft{}, expected{};
    int64_t cost_nanos = 0;
    bool within = false;
  };

  void Predict();
  bool Panic() const;
  void SetBudgets();
  Rating Rate(const Slot& slot, uint32_t others) const;
  bool Fits(const DeviceGroup& group, Duration end_to_end, Duration ttft, Duration per_token) const;
  Standing StandingOf(const Slot& slot) const;
  ConsideredReplica Consider(const Slot& slot) const;

  Time now_;
  Deployment* deployment_ = nullptr;
  const Request* request_ = nullptr;
  // What is left for this request of each promise; the largest duration where none was made.
  Duration end_to_end_left_{}, ttft_left_{}, per_token_left_{}, deadline_left_{};
  std::vector<policies::ReplicaView> views_;
};

}  // namespace allot::router
