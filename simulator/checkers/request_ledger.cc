#include "simulator/checkers/request_ledger.h"

namespace allot::simulator {

void RequestLedger::Arrived(RequestId id) {
  requests_[id] = State::kOpen;
  ++open_;
}

void RequestLedger::Live(RequestId id, std::string_view what) {
  const auto it = requests_.find(id);
  if (it == requests_.end() || it->second != State::kOpen)
    findings_.Add(kName, "{} of {}, which is not open", what, ToString(id));
}

void RequestLedger::Stepped(const router::Effects& effects) {
  for (const auto& command : effects.commands) {
    if (const auto* forward = std::get_if<router::Forward>(&command)) Live(forward->id, "forward");
    if (const auto* reject = std::get_if<router::Reject>(&command)) Live(reject->id, "refusal");
    if (const auto* deliver = std::get_if<router::Deliver>(&command)) Live(deliver->id, "delivery");
  }
  for (const router::RequestEnded& end : effects.ended) {
    Live(end.id, "end");
    if (findings_.any()) return;
    requests_[end.id] = State::kEnded;
    --open_;
    ++ended_;
  }
}

void RequestLedger::GatewayDied() {
  for (auto& [id, state] : requests_) state = State::kEnded;
  open_ = 0;
}

void RequestLedger::CheckAllEnded() {
  for (const auto& [id, state] : requests_)
    if (state == State::kOpen) findings_.Add(kName, "{} never ended", ToString(id));
}

}  // namespace allot::simulator
