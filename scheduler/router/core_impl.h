// Core::Impl, whose parts are in one file each: events and timers (core.cc), admission and the
// queue (admission.cc), tries at other replicas (elsewhere.cc), ends (ends.cc), what requests teach
// (lessons.cc). Included by these alone.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "policies/api/registry.h"
#include "scheduler/router/candidates.h"
#include "scheduler/router/core.h"
#include "scheduler/router/explanation_log.h"
#include "scheduler/router/fleet.h"
#include "scheduler/router/request_table.h"

namespace allot::router {

class Core::Impl {
 public:
  explicit Impl(CoreOptions options);

  void Step(Time now, const Event& event, Effects& out);
  std::optional<Time> NextWakeup() const;
  const Fleet& fleet() const { return fleet_; }
  MilliJoule EnergySoFar(Time now, RequestId id);
  std::optional<RequestExplanation> Explain(RequestId id) const;
  std::vector<CandidateView> Predictions(const std::string& name);

 private:
  using Outcome = RequestEnded::Outcome;
  // What became of an attempt to forward a request.
  enum class Try : uint8_t { kForwarded, kMustWait, kEnded };
  // A request that two replicas broke with is not given to a third: it may be what breaks them.
  static constexpr uint32_t kBrokeMax = 2;
  static constexpr int64_t kNobody = -1;  // is chosen

  // ---- events, core.cc --------------------------------------------------------------------
  void On(const RoutesReceived& e);
  void On(const NodeLinked& e);
  void On(const NodeUnlinked& e);
  void On(const RequestArrived& e);
  void On(const FirstByteReceived& e);
  void On(const RequestCompleted& e);
  void On(const RequestFailed& e);
  void On(const ClientGone& e);
  void On(const ClockTicked&) {}  // FireTimers follows every event.
  void FireTimers();

  // ---- admission.cc -----------------------------------------------------------------------
  void Pump(Deployment& deployment);
  // `first`: the deadline is checked against what the replicas have been seen to do.
  Try TryForward(uint32_t place, bool first, bool may_wait = true);
  void ForwardTo(uint32_t place, const policies::ReplicaView& view, RouteReason reason);
  void Enqueue(uint32_t place);
  static void LeaveQueue(Request& request);
  Duration RetryAfter(Deployment& deployment);
  void RejectQueue(Deployment& deployment);
  void MakePolicy(const RouteTable& table);

  // ---- elsewhere.cc -----------------------------------------------------------------------
  void FailTry(uint32_t place, bool started, const std::string& why, RequestFailed::Fault fault);
  // The replica that has it counts as tried from now on. Empty: it may go to another.
  std::string WhyNotElsewhere(uint32_t place, bool started,
                              RequestFailed::Fault fault = RequestFailed::Fault::kReplica);
  void TryElsewhere(uint32_t place, std::string_view why);

  // ---- ends.cc ----------------------------------------------------------------------------
  // Takes the request off its replica and charges for the time it was held.
  void Release(uint32_t place);
  void EndDeadline(uint32_t place);
  void EndRejected(uint32_t place, RejectReason why, Duration retry_after, std::string message,
                   bool again = true);
  void End(uint32_t place, Outcome outcome, uint32_t output_tokens);
  static bool KeptObjective(const Request& request, const RequestEnded& ended,
                            uint32_t output_tokens);
  // Of the replicas as last rated by candidates_.
  void Write(const Request& request, DecisionOutcome outcome, int64_t chosen,
             std::optional<RouteReason> reason);

  // ---- lessons.cc -------------------------------------------------------------------------
  static Load LoadMet(const Request& request);
  void Learn(const Request& request, uint32_t output_tokens);
  bool Dawdles(const Request& request, Pace pace, Duration took) const;
  template <typename Change>
  void Note(Replica& replica, Change change);
  void NoteFailure(const Request& request);
  void NoteRefusal(const Request& request, std::optional<Duration> retry_after);
  void NoteDecline(const Request& request);
  void LearnAtLeast(const Request& request, Duration time);
  void LearnIfOverdue(const Request& request);

  CoreOptions options_;
  Rng rng_;
  Time now_;
  Effects* out_ = nullptr;  // of the step under way
  Fleet fleet_;
  RequestTable requests_;
  std::set<std::pair<Time, ReplicaId>> out_until_;  // when somebody may wait for them again
  ExplanationLog log_;
  Candidates candidates_;
  uint64_t last_sequence_ = 0;
  std::unique_ptr<policies::RoutingPolicy>
      policy_;  // of the last table; there is no request before
};

}  // namespace allot::router
