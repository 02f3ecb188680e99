#include "common/http/tls_door.h"

#include <algorithm>

namespace allot::http {
TlsDoor::Of& TlsDoor::At(const Address& from) {
  return addresses_.try_emplace(from, options_.rate).first->second;
}

std::optional<TlsDoor::Who> TlsDoor::Enter(Who who, const Address& from) {
  std::optional<Who> out;
  const auto oldest_of = [&](const Address& address) {
    return std::find_if(order_.begin(), order_.end(),
                        [&](const Place& place) { return place.from == address; })
        ->who;
  };
  if (At(from).under_way >= options_.of_address_max) {
    out = oldest_of(from);
  } else if (order_.size() >= options_.handshakes_max) {
    const auto most = std::max_element(
        addresses_.begin(), addresses_.end(),
        [](const auto& a, const auto& b) { return a.second.under_way < b.second.under_way; });
    out = oldest_of(most->first);
  }
  order_.push_back({who, from});
  ++At(from).under_way;
  return out;
}

void TlsDoor::Leave(Who who, const Address& from) {
  const auto place =
      std::find_if(order_.begin(), order_.end(), [&](const Place& p) { return p.who == who; });
  if (place == order_.end()) return;
  order_.erase(place);
  --At(from).under_way;
}

bool TlsDoor::Begin(const Address& from, Duration now) {
  if (addresses_.size() > forget_at_) Forget(now);
  return At(from).rate.Take(now);
}

void TlsDoor::LetIn(const Address& from) {
  if (const auto at = addresses_.find(from); at != addresses_.end()) at->second.rate.GiveBack(1);
}

void TlsDoor::Forget(Duration now) {
  for (auto at = addresses_.begin(); at != addresses_.end();) {
    Of& of = at->second;
    const bool nothing =
        of.under_way == 0 && of.rate.Until(now, limits::kTlsHandshakesBurst.value) == Duration(0);
    at = nothing ? addresses_.erase(at) : std::next(at);
  }
  forget_at_ = std::max(forget_at_, 2 * addresses_.size());
}

}  // namespace allot::http
