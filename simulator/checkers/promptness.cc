#include "simulator/checkers/promptness.h"

#include <algorithm>

namespace allot::simulator {
namespace {

using scheduler::Reason;
using scheduler::WaitReason;

// Some nodes lack this or that, which says nothing about the others.
bool OfSomeNodes(WaitReason reason) {
  switch (reason) {
    case WaitReason::kNoMatchingDevice:
    case WaitReason::kDevicesBusy:
    case WaitReason::kDevicesUnhealthy:
    case WaitReason::kDevicesQuarantined:
    case WaitReason::kDevicesNotJoined:
    case WaitReason::kIsolation:
    case WaitReason::kTooLittleMemory:
    case WaitReason::kTooFewCpus:
    case WaitReason::kNodesDraining:
    case WaitReason::kNodesQuarantined:
    case WaitReason::kNodesWithoutLeases:
    case WaitReason::kTooLittleScratch:
    case WaitReason::kNodesLost:
    case WaitReason::kPowerCap:
      return true;
    default:
      return false;
  }
}

}  // namespace

bool Promptness::WaitsInVain(const scheduler::JobExplanation& why, const JobSpec& spec) {
  if (why.phase != JobPhase::kPending || spec.devices.size() > 1 || why.candidates.empty())
    return false;
  const std::string& nearest = why.candidates.front().verdict;
  if (!nearest.starts_with("fits") && !nearest.starts_with("room for")) return false;
  // Those ahead wait for something else, or they would have been placed.
  return std::all_of(why.reasons.begin(), why.reasons.end(), [](const Reason& reason) {
    return reason.reason == WaitReason::kBehindInQueue || OfSomeNodes(reason.reason);
  });
}

void Promptness::Look(const scheduler::Core& core, Time now) {
  if (++steps_ % kEvery != 0) return;
  for (const auto& [id, job] : core.state().jobs()) {
    if (job.phase != JobPhase::kPending) continue;
    const auto why = core.ExplainJob(now, id);
    if (why.ok() && WaitsInVain(*why, *job.spec))
      findings_.Add("promptness", "{} waits, and {}: {}", ToString(id), why->candidates[0].node,
                    why->candidates[0].verdict);
  }
}

}  // namespace allot::simulator
