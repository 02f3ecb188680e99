// The closed variants of the router core: what happened to requests, what to do about them.
// The router keeps soft state only, so it has no records.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/model/messages.h"
#include "policies/api/route_reason.h"
#include "scheduler/router/conduct.h"

namespace allot::router {

// ---- events ---------------------------------------------------------------------------------

struct RoutesReceived { std::shared_ptr<const RouteTable> table; };
// The link to a node's agent, over which requests travel. Replicas of unlinked nodes get nothing.
struct NodeLinked { std::string node; };
struct NodeUnlinked { std::string node; };   // its requests in flight fail over or fail
struct RequestArrived {
  RequestId id;
  std::string model;
  std::string tenant = "default";
  int32_t priority = 0;                      // higher first in the queue
  std::optional<Time> deadline;
  uint32_t prompt_tokens = 0;                // estimate from the body's length
  uint32_t output_tokens_max = 0;            // 0: unknown
  bool stream = false;
};
// Of the answer: the first token when streaming. `streamed`: it goes to the client as it comes,
// though the request did not say so.
struct FirstByteReceived { RequestId id; bool streamed = false; };
// Answer complete. `http_status` is the model server's; `output_tokens` as counted or reported.
struct RequestCompleted {
  RequestId id;
  int32_t http_status = 200;
  uint32_t output_tokens = 0;
  uint32_t prompt_tokens = 0;  // as reported; 0: not said
  bool nothing = false;  // it says of itself that it holds nothing: not a token, not an event
  bool failed = false;   // a 2xx that is an error all the same, by what is in it
  // Nothing of it is with the client yet. One that says 429, 500, 502 or 503, or `failed`, may then be tried
  // elsewhere; if it is not, Deliver follows.
  bool held = false;
  std::optional<Duration> retry_after;  // of 429 and 503, if it said
};
// The replica could not answer (died, refused the connection, agent lost it). `started`: bytes
// have gone to the client, so it cannot be tried elsewhere.
struct RequestFailed {
  RequestId id;
  bool started = false;
  std::string message;
  // Whose doing: the replica's own; the way there (it knows nothing of the request); or the
  // request's, which would end alike anywhere.
  enum class Fault : uint8_t { kReplica, kWay, kRequest } fault = Fault::kReplica;
};
struct ClientGone { RequestId id; };
struct ClockTicked {};

using Event = std::variant<RoutesReceived, NodeLinked, NodeUnlinked, RequestArrived, FirstByteReceived,
                           RequestCompleted, RequestFailed, ClientGone, ClockTicked>;

// ---- commands -------------------------------------------------------------------------------

enum class RejectReason : uint8_t {
  kUnknownModel,      // 404
  kQueueFull,         // 429 + Retry-After
  kQueueTimeout,      // 503 + Retry-After
  kNoReplica,         // 503 + Retry-After: none ready
  kDeadline,          // 504: cannot be met or has passed
  kReplicaFailed,     // 502: after the last try elsewhere
};
std::string_view ToString(RejectReason reason);

struct Forward {
  RequestId id;
  std::string node;
  ReplicaId replica;
  RouteReason reason = RouteReason::kOnlyReplica;
  Duration predicted{};       // end to end at the objective's percentile
  uint32_t tries = 1;
  // What the answer's headers and metrics tell of it.
  std::string deployment, device_model;
  DeviceKind kind = DeviceKind::kGpu;
  bool emulated = false;
  PriceRate price;
  MilliWatt power = 0;  // what the replica's lease draws at most; 0: unknown
};
// No (further) answer will come. A client that has had bytes already is to be cut off.
struct Reject {
  RequestId id;
  RejectReason reason = RejectReason::kNoReplica;
  Duration retry_after{};
  std::string message;
  bool again = true;  // the same request may succeed if it is sent again
};
struct CancelForward { RequestId id; std::string node; ReplicaId replica; };
// The answer that was held back goes to the client: no other replica is tried. `blamed`: the
// request broke two replicas, so that sending it again would hardly help.
struct Deliver { RequestId id; bool blamed = false; };

using Command = std::variant<Forward, Reject, CancelForward, Deliver>;

// A request that ended, for metrics, with what it cost.
struct RequestEnded {
  RequestId id;
  std::string deployment;
  std::string tenant;             // as it arrived
  std::string device_model;       // empty if it was never forwarded
  DeviceKind kind = DeviceKind::kGpu;
  bool emulated = false;
  // kClientError: 4xx of the model server, but 429.
  enum class Outcome : uint8_t {
    kOk, kClientError, kUpstreamError, kRejected, kCancelled, kFailed
  } outcome{};
  int32_t http_status = 0;        // the model server's; 0: it said none
  uint32_t prompt_tokens = 0, output_tokens = 0;  // as reported; 0: not known
  Duration queued{}, ttft{}, end_to_end{};  // from arrival; ttft 0: no byte came
  bool within_objective = true;
  // Price of the leased devices × time held ÷ concurrency. What is left of a micro-dollar is
  // carried to the next request of the same devices, so that sums are exact.
  Cost cost;
  // The same with what the lease draws at most: modelled, not measured; 0 where that is unknown.
  MilliJoule energy = 0;
};

// For metrics and logs: a replica that was put out (see conduct.h), and a request tried elsewhere.
struct ReplicaPutOut {
  std::string deployment;
  ReplicaId replica;
  std::string node;
  OutCause cause{};
  Duration time{};
};
struct TriedElsewhere { std::string deployment; std::string_view why; };  // failed, unlinked, …

struct Effects {
  std::vector<Command> commands;
  std::vector<RequestEnded> ended;
  std::vector<ReplicaPutOut> put_out;
  std::vector<TriedElsewhere> retries;
  void Clear() { commands.clear(); ended.clear(); put_out.clear(); retries.clear(); }
};

// ---- explanation ------------------------------------------------------------------------------

struct CandidateView {
  ReplicaId replica;
  std::string node, device_model;
  DeviceKind kind = DeviceKind::kGpu;
  bool emulated = false;
  PriceRate price;
  uint32_t in_flight = 0, concurrency = 0;
  Duration predicted{};       // at the objective's percentile
  uint32_t samples = 0;       // observations behind the prediction
  Cost predicted_cost;
  int64_t predicted_cost_nanos = 0;  // the same in nano-dollars: small models cost less than 1 µ$
  MilliWatt power = 0;               // what its lease draws at most; 0: unknown
  MilliJoule predicted_energy = 0;   // of the request's share of it
  bool within_objective = false;
  std::string out_why;        // of one that is out or on trial: "failures", "refusals", "slow"
  Duration out_for{};         // for how much longer; 0: on trial
  std::string verdict;        // "chosen", "dearer", "too slow", "slower", "full", "not linked", …
};
struct RequestExplanation {
  RequestId id;
  std::string deployment, policy;
  std::string tenant;  // whose request it was
  Time arrived;
  std::string outcome;        // "forwarded", "queued", "rejected: queue_full", …
  std::optional<RouteReason> reason;
  Objective objective;
  std::vector<CandidateView> candidates;
  // Once it has ended: what it was charged, if it was forwarded. The energy is modelled.
  std::optional<Cost> cost;
  std::optional<MilliJoule> energy;
};

}  // namespace allot::router
