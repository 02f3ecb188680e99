#include "common/http/server_state.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include <boost/asio/post.hpp>

#include "common/http/session.h"
#include "common/http/text.h"

namespace allot::http {
namespace {

// A turn of requests that wait, and what may be handled without one.
constexpr int64_t kTurnNanos = 200'000;
constexpr int64_t kAtOnceRate = 500'000'000;
constexpr Duration kDebtMax = std::chrono::milliseconds(10);

Duration SinceBoot(Clock::time_point now) {
  return std::chrono::duration_cast<Duration>(now.time_since_epoch());
}

}  // namespace

ServerState::ServerState(boost::asio::io_context& l, Server::Options o, Handler h)
    : loop(l),
      options(std::move(o)),
      handler(std::move(h)),
      scratch(64 << 10),
      door({.handshakes_max = options.tls_handshakes_max,
            .of_address_max = options.tls_handshakes_per_address_max,
            .rate = options.tls_handshake_rate}),
      at_once_(kAtOnceRate, kTurnNanos) {}

const std::string& ServerState::Date() {
  const int64_t second = std::time(nullptr);
  if (second != date_second_) {
    date_second_ = second;
    date_ = FormatHttpDate(second);
  }
  return date_;
}

// ---- turns ----------------------------------------------------------------------------------

bool ServerState::MayServe(Clock::time_point now) {
  return turns.empty() && at_once_.Until(SinceBoot(now)) <= Duration(0);
}

void ServerState::Served(Turns::Member& member, Clock::time_point from) {
  const Clock::time_point now = Clock::now();
  const int64_t nanos = std::chrono::nanoseconds(now - from).count();
  at_once_.Charge(SinceBoot(now), nanos, kDebtMax);
  in_turn_ += nanos;
  if (member.group != nullptr) turns.Used(member, nanos);
}

void ServerState::WaitForTurn(Turns::Member& member) {
  turns.Wait(member);
  PostTurn();
}

void ServerState::PostTurn() {
  if (std::exchange(turn_posted_, true)) return;
  boost::asio::post(loop, [self = shared_from_this()] { self->NextTurn(); });
}

void ServerState::NextTurn() {
  turn_posted_ = false;
  in_turn_ = 0;
  while (!closed && in_turn_ < kTurnNanos) {
    Turns::Member* const next = turns.Next();
    if (next == nullptr) return;
    static_cast<Session*>(next->who)->ServeTurn();
  }
  if (!closed && !turns.empty()) PostTurn();
}

// ---- budgets --------------------------------------------------------------------------------

const Origin* ServerState::Largest(size_t Origin::*bytes) const {
  const Origin* most = nullptr;
  for (const auto& [address, origin] : origins)
    if (origin.*bytes > 0 && (most == nullptr || origin.*bytes > most->*bytes)) most = &origin;
  return most;
}

void ServerState::PushOutHeads() {
  while (heads_bytes > options.heads_bytes_max) {
    const Origin* const of = Largest(&Origin::heads);
    Session* oldest = nullptr;
    for (const auto& [key, session] : sessions)
      if (session->origin() == of && session->head_held() > 0 &&
          (oldest == nullptr || session->head_since() < oldest->head_since()))
        oldest = session.get();
    if (oldest == nullptr) return;
    oldest->DropHead();
  }
}

Session* ServerState::SlowestBody() const {
  const Origin* const of = Largest(&Origin::bodies);
  Session* slowest = nullptr;
  for (const auto& [key, session] : sessions) {
    if (session->origin() != of || !session->receives_body()) continue;
    if (slowest == nullptr || session->body_pace() < slowest->body_pace()) slowest = session.get();
  }
  return slowest;
}

}  // namespace allot::http
