#include <limits>

#include "scheduler/shell/api/api.h"

namespace allot::scheduler::api {
namespace {

void Stream(Services& services, Call& call, LogReader::What what) {
  const StatusOr<int64_t> offset =
      QueryInteger(call.request, "offset", 0, std::numeric_limits<int64_t>::max(), 0);
  if (!offset.ok()) return Refuse(call, offset.status());
  const StatusOr<int64_t> follow = QueryInteger(call.request, "follow", 0, 1, 0);
  if (!follow.ok()) return Refuse(call, follow.status());
  if (services.logs.streams() >= services.limits.streams_max) {
    return Refuse(call,
                  Unavailable("{} log streams are open; close some", services.logs.streams()));
  }
  const std::string sender = call.Sender();
  if (const size_t its = services.logs.streams(sender);
      its >= services.limits.streams_of_sender_max) {
    return Refuse(call,
                  ResourceExhausted("{} log streams of {} are open, which is its share of {}; "
                                    "close some",
                                    its, sender, services.limits.streams_max));
  }
  services.logs.Start(what, *offset, *follow == 1, sender, call.responder);
}

}  // namespace

void JobLogs(Services& services, Call& call) {
  const StatusOr<JobId> id = JobOf(call);
  if (!id.ok()) return Refuse(call, id.status());
  if (Status may = MayJob(services, call, auth::Action::kSee, *id); !may.ok())
    return Refuse(call, may);
  const StatusOr<int64_t> task = QueryInteger(call.request, "task", 0, 4095, 0);
  if (!task.ok()) return Refuse(call, task.status());
  const StatusOr<int64_t> attempt =
      QueryInteger(call.request, "attempt", 0, std::numeric_limits<uint32_t>::max(), 0);
  if (!attempt.ok()) return Refuse(call, attempt.status());
  Stream(services, call,
         LogReader::TaskLog{{*id, static_cast<uint32_t>(*task)},
                            Attempt(static_cast<uint32_t>(*attempt))});
}

void ReplicaLogs(Services& services, Call& call) {
  const std::optional<ReplicaId> id = ParseReplicaId(call.arg());
  if (!id) {
    return Refuse(call,
                  InvalidArgument("\"{}\" is no replica; give one like replica-3", call.arg()));
  }
  if (Status may = MayReplica(services, call, auth::Action::kSee, *id); !may.ok())
    return Refuse(call, may);
  Stream(services, call, *id);
}

}  // namespace allot::scheduler::api
