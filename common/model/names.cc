// The words people see for the model's closed lists.
#include "common/model/deployment.h"
#include "common/model/job.h"
#include "common/model/messages.h"

namespace allot {

std::string_view ToString(JobPhase phase) {
  switch (phase) {
    case JobPhase::kPending:
      return "pending";
    case JobPhase::kRunning:
      return "running";
    case JobPhase::kStopping:
      return "stopping";
    case JobPhase::kFinished:
      return "finished";
  }
  return "unknown";
}

std::string_view ToString(JobOutcome outcome) {
  switch (outcome) {
    case JobOutcome::kSucceeded:
      return "succeeded";
    case JobOutcome::kFailed:
      return "failed";
    case JobOutcome::kCancelled:
      return "cancelled";
    case JobOutcome::kTimedOut:
      return "timed_out";
  }
  return "unknown";
}

std::string_view ToString(ExitCause cause) {
  switch (cause) {
    case ExitCause::kTask:
      return "task";
    case ExitCause::kNotStarted:
      return "not_started";
    case ExitCause::kNodeRestarted:
      return "node_restarted";
    case ExitCause::kSupervisorLost:
      return "supervisor_lost";
    case ExitCause::kStopped:
      return "stopped";
    case ExitCause::kLeaseEnded:
      return "lease_ended";
  }
  return "unknown";
}

std::string_view ToString(ReplicaPhase phase) {
  switch (phase) {
    case ReplicaPhase::kPending:
      return "pending";
    case ReplicaPhase::kStarting:
      return "starting";
    case ReplicaPhase::kReady:
      return "ready";
    case ReplicaPhase::kUnhealthy:
      return "unhealthy";
    case ReplicaPhase::kStopping:
      return "stopping";
    case ReplicaPhase::kGone:
      return "gone";
    case ReplicaPhase::kDraining:
      return "draining";
  }
  return "unknown";
}

std::string_view ToString(TaskPhase phase) {
  switch (phase) {
    case TaskPhase::kAssigned:
      return "assigned";
    case TaskPhase::kRunning:
      return "running";
    case TaskPhase::kExited:
      return "exited";
  }
  return "unknown";
}

std::string_view ToString(RefuseReason reason) {
  switch (reason) {
    case RefuseReason::kStaleEpoch:
      return "stale_epoch";
    case RefuseReason::kStaleRegistration:
      return "stale_registration";
    case RefuseReason::kNameTaken:
      return "name_taken";
    case RefuseReason::kBadInfo:
      return "bad_info";
  }
  return "unknown";
}

}  // namespace allot
