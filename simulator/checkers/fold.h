// The fold of the journal equals the state: what a core holds is what its records say, whether they
// are replayed from the first or from a snapshot.
#pragma once

#include <string_view>

#include "scheduler/core/cluster_state.h"
#include "scheduler/core/invariants.h"
#include "simulator/checkers/findings.h"

namespace allot::simulator {

inline void CheckFold(const scheduler::ClusterState& fold, const scheduler::ClusterState& state,
                      std::string_view when, Findings& findings) {
  if (fold.Fingerprint() != state.Fingerprint())
    findings.Add("fold", "{}: the state is not the fold of its records", when);
}

inline void CheckState(const scheduler::ClusterState& state, Findings& findings) {
  if (const Status status = scheduler::CheckInvariants(state); !status.ok())
    findings.Add("invariants", "{}", MessageOf(status));
}

}  // namespace allot::simulator
