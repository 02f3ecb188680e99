// Requests end exactly once: every one that arrived has one end, and nothing is forwarded or
// refused after it. What a crash of the gateway cuts off ends there, for the client sees its
// connection close.
#pragma once

#include <map>

#include "scheduler/router/events.h"
#include "simulator/checkers/findings.h"

namespace allot::simulator {

class RequestLedger {
 public:
  explicit RequestLedger(Findings& findings) : findings_(findings) {}
  void Arrived(RequestId id);
  void Stepped(const router::Effects& effects);
  void GatewayDied();
  void CheckAllEnded();  // when nothing is on its way any more
  size_t open() const { return open_; }
  uint64_t ended() const { return ended_; }

 private:
  static constexpr std::string_view kName = "request ledger";
  enum class State { kOpen, kEnded };
  void Live(RequestId id, std::string_view what);

  Findings& findings_;
  std::map<RequestId, State> requests_;
  size_t open_ = 0;
  uint64_t ended_ = 0;
};

}  // namespace allot::simulator
