// Tries at other replicas, after one has failed or refused.
#include "scheduler/router/core_impl.h"

namespace allot::router {

void Core::Impl::FailTry(uint32_t place, bool started, const std::string& why,
                         RequestFailed::Fault fault) {
  using Fault = RequestFailed::Fault;
  Request& request = requests_.at(place);
  const ReplicaId failed = request.replica->facts.id;
  if (fault == Fault::kReplica) {
    NoteFailure(request);
    ++request.broke;
  }
  const std::string then = fault == Fault::kRequest ? "it would end alike on any other"
                                                    : WhyNotElsewhere(place, started, fault);
  if (then.empty()) return TryElsewhere(place, fault == Fault::kWay ? "unlinked" : "failed");
  const bool again = fault != Fault::kRequest && request.broke < kBrokeMax;
  EndRejected(place, RejectReason::kReplicaFailed, {},
              fmt::format("{} failed: {}; {}", ToString(failed), why, then), again);
}

// The way there costs nothing of what is in hand for other tries: a node that is cut off has no
// load any more.
std::string Core::Impl::WhyNotElsewhere(uint32_t place, bool started, RequestFailed::Fault fault) {
  Request& request = requests_.at(place);
  Deployment& deployment = *request.deployment;
  request.tried.push_back(request.replica->facts.id);
  if (started) return "part of the answer had been sent";
  if (request.broke >= kBrokeMax) return fmt::format("{} replicas failed with it", kBrokeMax);
  if (request.tries >= options_.tries_max) return fmt::format("tried {} replicas", request.tries);
  if (fault == RequestFailed::Fault::kWay) {
    deployment.retries_left += 1;
  } else if (deployment.retries_left < 1) {
    return "too many requests are tried again already";
  }
  candidates_.Build(now_, deployment, &request);
  if (!candidates_.AnyUntried()) return "no other replica is ready";
  if (candidates_.views().empty() && deployment.queue.size() >= deployment.queue_max)
    return "the others are busy and the queue is full";
  return "";
}

void Core::Impl::TryElsewhere(uint32_t place, std::string_view why) {
  Deployment& deployment = *requests_.at(place).deployment;
  Release(place);
  deployment.retries_left -= 1;
  out_->retries.push_back({deployment.name, why});
  const bool may_wait = deployment.queue.size() < deployment.queue_max;
  if (TryForward(place, /*first=*/false, may_wait) != Try::kMustWait) return;
  if (may_wait) return Enqueue(place);
  // Its end has changed who may serve, and nobody it has not tried is left with room.
  EndRejected(place, RejectReason::kReplicaFailed, {},
              "the replica failed; the others are busy and the queue is full");
}

}  // namespace allot::router
