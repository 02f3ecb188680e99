// The last decisions, kept as compact numbers and put into words only when somebody asks.
//
// A ring: the newest decision takes the oldest one's place. One thread, no clock.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "scheduler/router/events.h"
#include "scheduler/router/fleet.h"

namespace allot::router {

// Why a replica was not a candidate, or that it was.
enum class Standing : uint8_t { kCandidate, kFull, kNotReady, kNotLinked, kTried, kOut, kOnTrial };
// "full", "not ready", "out: failures"; empty of a candidate. `cause` is of one that is out or on
// trial.
std::string WhyNot(Standing standing, OutCause cause);

struct ConsideredReplica {
  ReplicaId id;
  PriceRate price;
  MilliWatt power = 0;
  Duration predicted{};
  int64_t cost_nanos = 0;
  uint32_t in_flight = 0, concurrency = 0, samples = 0;
  bool within_objective = false;
  bool chosen = false;
  Standing standing = Standing::kCandidate;
  OutCause out_cause = OutCause::kNone;
};

enum class DecisionOutcome : uint8_t { kForwarded, kQueued, kRejected, kCancelled };

struct Decision {
  RequestId id;
  std::string deployment, policy, tenant;
  Time arrived, decided;
  DecisionOutcome outcome = DecisionOutcome::kQueued;
  std::optional<RouteReason> reason;
  std::optional<RejectReason> rejected;
  Objective objective;
  std::vector<ConsideredReplica> considered;
  std::optional<Cost> cost;  // once it has ended, if it was forwarded
  std::optional<MilliJoule> energy;
};

class ExplanationLog {
 public:
  // Replicas written down with one decision; of more, the best of every device model (see
  // candidates.h): a thousand rows nobody reads would cost more than the decision.
  static constexpr uint32_t kConsideredMax = 32;

  ExplanationLog(uint32_t decisions_max, Duration kept_for)
      : decisions_max_(decisions_max), kept_for_(kept_for) {}

  // The entry of the request, a fresh one if there is none yet. Null with decisions_max 0. Valid
  // until the next call.
  Decision* Of(RequestId id);
  // Null if there is none (any more).
  Decision* Find(RequestId id);
  // Names of replicas that left the table, as long as decisions about them are kept.
  void Remember(Time now, const Replica& gone);

  std::optional<RequestExplanation> Render(Time now, RequestId id, const Fleet& fleet) const;

 private:
  struct Gone {
    RouteReplica facts;
    Time at;
  };

  uint32_t decisions_max_;
  Duration kept_for_;
  std::deque<Decision> ring_;
  uint32_t next_ = 0;
  absl::flat_hash_map<RequestId, uint32_t> places_;  // looked up only
  std::map<ReplicaId, Gone> gone_;
};

}  // namespace allot::router
