#include "simulator/network.h"

namespace allot::simulator {

void Network::Send(Wire& wire, Delivery delivery) {
  if (faults_.Strikes(Fault::kMessageLoss, 100)) return;
  Time at = loop_.now() + Latency();
  if (faults_.Strikes(Fault::kMessageDelay, 30))
    at += Duration(static_cast<int64_t>(rng_.Below(5'000'000)));
  // Overtaking is a message that does not wait for those before it.
  if (at < wire.last_arrival && !faults_.Strikes(Fault::kMessageReorder, 500))
    at = wire.last_arrival;
  wire.last_arrival = std::max(wire.last_arrival, at);
  if (faults_.Strikes(Fault::kMessageDuplicate, 50)) {
    const auto later =
        Duration(static_cast<int64_t>(rng_.Below(rng_.OneIn(3) ? 20'000'000 : 5'000)));
    loop_.At(at + later, delivery);
  }
  loop_.At(at, std::move(delivery));
}

}  // namespace allot::simulator
