// What a task or a replica is on its node, and how a task ended.
#include <algorithm>

#include "common/wire/parts.h"

namespace allot::wire {

void Encode(const allot::TaskKey& key, TaskKey* out) {
  out->Clear();
  out->set_job(key.task.job.value());
  out->set_index(key.task.index);
  out->set_attempt(key.attempt.value());
  out->set_incarnation(key.attempt.incarnation().value());
}

StatusOr<allot::TaskKey> Decode(const TaskKey& in) {
  if (in.job() == 0) return InvalidArgument("task key has no job");
  if (in.attempt() == 0) return InvalidArgument("task key of job-{} has no attempt", in.job());
  RETURN_IF_ERROR(CheckRange<uint32_t>("task index", in.index(), 0, kTasksMax - 1));
  return allot::TaskKey{{JobId(in.job()), in.index()},
                        Attempt(in.attempt(), Incarnation(in.incarnation()))};
}

void Encode(const allot::TaskExit& exit, TaskExit* out) {
  out->Clear();
  out->set_code(exit.code);
  out->set_signal(exit.signal);
  out->set_message(ReplaceInvalidUtf8(exit.message));
  out->set_started(ToMicros(exit.started));
  out->set_finished(ToMicros(exit.finished));
  if (exit.energy) out->set_energy_millijoules(*exit.energy);
  out->set_cause(static_cast<int32_t>(exit.cause));
}

// Cannot fail: an end that was reported is a fact, however odd the clock that timed it. A cause that
// only a later version knows is the task's, as where none is said.
allot::TaskExit Decode(const TaskExit& in) {
  const auto time = [](int64_t micros) {
    return FromMicros(std::clamp<int64_t>(micros, 0, kTimeMicrosMax));
  };
  allot::TaskExit exit{.code = in.code(),
                       .signal = in.signal(),
                       .message = in.message(),
                       .started = time(in.started()),
                       .finished = time(in.finished())};
  if (in.has_energy_millijoules()) exit.energy = std::max<int64_t>(in.energy_millijoules(), 0);
  if (in.cause() > 0 && in.cause() <= static_cast<int32_t>(ExitCause::kLeaseEnded))
    exit.cause = static_cast<ExitCause>(in.cause());
  return exit;
}

void Encode(const allot::TaskStatus& status, TaskStatus* out) {
  out->Clear();
  Encode(status.key, out->mutable_key());
  out->set_phase(static_cast<int32_t>(status.phase));
  out->set_pid(status.pid);
  out->set_started(ToMicros(status.started));
  if (status.exit) Encode(*status.exit, out->mutable_exit());
  if (status.progress) {
    TaskProgress* progress = out->mutable_progress();
    progress->set_step(status.progress->step);
    progress->set_total(status.progress->total);
    if (status.progress->loss) progress->set_loss(*status.progress->loss);
  }
}

StatusOr<allot::TaskStatus> Decode(const TaskStatus& in) {
  allot::TaskStatus status;
  ASSIGN_OR_RETURN(status.key, Decode(in.key()));
  ASSIGN_OR_RETURN(status.phase, DecodeEnum("task phase", in.phase(), allot::TaskPhase::kExited));
  status.pid = in.pid();
  ASSIGN_OR_RETURN(status.started, DecodeTime("task start", in.started()));
  if (in.has_exit() != (status.phase == allot::TaskPhase::kExited)) {
    return InvalidArgument("{} is {} and {} an exit", ToString(status.key), ToString(status.phase),
                           in.has_exit() ? "has" : "has not");
  }
  if (in.has_exit()) status.exit = Decode(in.exit());
  if (in.has_progress()) {
    status.progress = {.step = in.progress().step(), .total = in.progress().total()};
    if (in.progress().has_loss()) status.progress->loss = in.progress().loss();
  }
  return status;
}

void Encode(const allot::ReplicaStatus& status, ReplicaStatus* out) {
  out->Clear();
  out->set_id(status.id.value());
  out->set_incarnation(status.id.incarnation().value());
  const bool draining = status.phase == ReplicaPhase::kDraining;
  out->set_phase(static_cast<int32_t>(draining ? ReplicaPhase::kStopping : status.phase));
  out->set_draining(draining);
  out->set_restarts(status.restarts);
  out->set_pid(status.pid);
  out->set_message(ReplaceInvalidUtf8(status.message));
}

StatusOr<allot::ReplicaStatus> Decode(const ReplicaStatus& in) {
  allot::ReplicaStatus status;
  if (in.id() == 0) return InvalidArgument("replica status has no id");
  status.id = ReplicaId(in.id(), Incarnation(in.incarnation()));
  ASSIGN_OR_RETURN(status.phase, DecodeEnum("replica phase", in.phase(), ReplicaPhase::kGone));
  if (status.phase == ReplicaPhase::kStopping && in.draining())
    status.phase = ReplicaPhase::kDraining;
  status.restarts = in.restarts();
  status.pid = in.pid();
  status.message = in.message();
  return status;
}

}  // namespace allot::wire
