// The request plane as a pure state machine: replicas, load, admission, choice of replica.
//
// One thread, no clock, no I/O. Soft state only: after a restart it is empty and fills from
// the route table and from what requests teach it. A decision costs a few microseconds and
// never waits for planning.
//
// Predictions are per (deployment, device model) and learn from observed times to first byte
// and end to end, kept in decaying log-scale histograms (see latency_model.h).
#pragma once

#include <memory>
#include <optional>

#include "scheduler/router/events.h"

namespace allot::router {

struct CoreOptions {
  uint64_t seed = 1;                 // of exploration
  uint32_t tries_max = 3;            // replicas tried for one request
  uint32_t explained_requests_max = 10'000;  // decisions kept for explanation
  Duration explained_for = std::chrono::minutes(15);
};

class Core {
 public:
  explicit Core(CoreOptions options);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // `now` never goes backwards (CHECKed). Appends to `out`.
  void Step(Time now, const Event& event, Effects& out);
  std::optional<Time> NextWakeup() const;

  const RouteTable& routes() const;
  // The deployment that serves the model, "" if none does; the one that serves a deployment's model
  // in its place, "" if it does so itself.
  std::string Serving(const std::string& model) const;
  std::string ShadowedBy(const std::string& deployment) const;
  std::optional<RequestExplanation> Explain(RequestId id) const;
  // What a request at a replica has been charged of energy by `now`, as RequestEnded::energy will
  // say but for rounding; 0 where that is unknown or it is at none.
  MilliJoule EnergySoFar(Time now, RequestId id) const;
  uint32_t InFlight(ReplicaId replica) const;
  uint32_t Queued(const std::string& deployment) const;
  uint32_t RequestsInFlight(const std::string& deployment) const;
  // For metrics and `allot top`: what the model predicts now.
  std::vector<CandidateView> Predictions(const std::string& deployment) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace allot::router
