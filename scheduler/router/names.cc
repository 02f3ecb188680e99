#include "scheduler/router/events.h"

namespace allot::router {

std::string_view ToString(RejectReason reason) {
  switch (reason) {
    case RejectReason::kUnknownModel:
      return "unknown_model";
    case RejectReason::kQueueFull:
      return "queue_full";
    case RejectReason::kQueueTimeout:
      return "queue_timeout";
    case RejectReason::kNoReplica:
      return "no_replica";
    case RejectReason::kDeadline:
      return "deadline";
    case RejectReason::kReplicaFailed:
      return "replica_failed";
  }
  return "unknown";
}

}  // namespace allot::router
