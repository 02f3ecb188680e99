#include "gateway/scheduler_link.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <random>
#include <utility>

#include "common/base/logging.h"
#include "common/wire/codec.h"

namespace allot::gateway {
namespace {

constexpr auto kBackoffMin = std::chrono::milliseconds(100),
               kBackoffMax = std::chrono::milliseconds(5000);

}  // namespace

SchedulerLink::SchedulerLink(transport::Context& context, boost::asio::io_context& loop,
                             const GatewayClock& clock, Options options, Hello hello, Routes routes,
                             Lists lists)
    : context_(context),
      loop_(loop),
      clock_(clock),
      options_(std::move(options)),
      endpoints_(loop, options_.endpoints),
      hello_(std::move(hello)),
      routes_(std::move(routes)),
      lists_(std::move(lists)),
      rng_((uint64_t{std::random_device()()} << 32) ^ std::random_device()()),
      proof_(options_.path_patience),
      backoff_(kBackoffMin),
      timer_(loop) {
  if (options_.renewed != nullptr)
    renewal_.emplace(*options_.renewed,
                     transport::Renewal::Handlers{
                         .say =
                             [this](wire::Message message) {
                               wire::Envelope envelope;
                               *envelope.add_messages() = std::move(message);
                               Send(std::move(envelope));
                             },
                         .renewed = [this](const transport::KeyPair& now) { Renewed(now); },
                         .prepare = options_.prepare});
  Dial();
}

SchedulerLink::~SchedulerLink() = default;

void SchedulerLink::Dial() {
  endpoints_.Next([this](StatusOr<transport::Endpoints::Place> place) {
    if (!place.ok()) return Redial(MessageOf(place.status()));
    options_.link.endpoint = place->address;
    Connect();
  });
}

void SchedulerLink::Connect() {
  heard_ = clock_.Now();
  if (options_.renewed != nullptr) {
    transport::RenewedKeys::Dial by = options_.renewed->DialBy(attempts_++);
    options_.link.server_public_key = std::move(by.scheduler);
    options_.link.keys = std::move(by.own);
    by_next_ = by.is_next;
  }
  auto dialled = transport::ClientLink::Dial(
      context_, loop_, options_.link,
      {.message = [this](const transport::ClientLink::Incoming& in) { Receive(in); },
       .connected = [this] { Connected(); },
       .disconnected = [this](const std::string& why) { Redial(why); }});
  if (!dialled.ok()) return Redial(MessageOf(dialled.status()));
  link_ = *std::move(dialled);
  Tick();
}

void SchedulerLink::Redial(const std::string& why) {
  if (connected_ || !was_connected_)
    SPDLOG_WARN("no scheduler endpoint={} why=\"{}\"; trying again", endpoints_.Text(), why);
  connected_ = false;
  was_connected_ = true;  // Said once; an outage fills no log.
  ++reconnects_;
  // At once, though it may be what is calling us (it bears that): what is posted may never run,
  // when the loop is stopped before, and would keep the link beyond the life of its context.
  link_.reset();
  boost::asio::post(loop_, [this, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    // A thousand gateways that lose one scheduler must not come back in one instant.
    const auto jitter = rng_.Below(static_cast<uint64_t>(backoff_.count()));
    timer_.After(backoff_ / 2 + std::chrono::milliseconds(jitter), [this] { Dial(); });
    backoff_ = std::min(backoff_ * 2, kBackoffMax);
  });
}

void SchedulerLink::Tick() {
  if (link_ == nullptr) return;  // A redial is under way.
  if (clock_.Now() - heard_ > options_.silence_max) return Redial("silent");
  if (connected_ && !GoOn()) return;
  if (link_ == nullptr) return;
  timer_.After(options_.hello_every, [this] { Tick(); });
}

void SchedulerLink::Renewed(const transport::KeyPair& now) {
  if (options_.on_renewed) options_.on_renewed(now);
  boost::asio::post(loop_, [this, alive = std::weak_ptr(alive_)] {
    if (alive.expired() || !connected_) return;
    backoff_ = kBackoffMin;
    Redial("our key was renewed");
  });
}

void SchedulerLink::Connected() {
  connected_ = was_connected_ = true;
  attempts_ = 0;
  // It was taken, and the word that it was has been lost.
  if (std::exchange(by_next_, false)) {
    if (const Status taken = options_.renewed->TakeNext(); !taken.ok())
      SPDLOG_WARN("our new key is in force, and its file has the old one too: {}",
                  MessageOf(taken));
    if (options_.on_renewed) options_.on_renewed(options_.renewed->own());
  }
  SPDLOG_INFO("connected to the scheduler endpoint={}", options_.link.endpoint);
  wire::Envelope probe;
  *probe.add_messages()->mutable_path_probe() = proof_.Begin(clock_.SinceStart(), rng_.Next());
  Send(std::move(probe));
}

bool SchedulerLink::GoOn() {
  switch (proof_.Look(clock_.SinceStart())) {
    case transport::PathProof::State::kAsking:
      return true;
    case transport::PathProof::State::kLargeLost:
      SPDLOG_ERROR("not usable scheduler endpoint={}: {}", options_.link.endpoint,
                   transport::kLargeLost);
      Redial(std::string(transport::kLargeLost));
      return false;
    case transport::PathProof::State::kProven:
    case transport::PathProof::State::kNotSpoken:
      break;
  }
  endpoints_.Worked();
  SayHello();
  return true;
}

void SchedulerLink::SayHello() {
  wire::Envelope envelope;
  *envelope.add_messages()->mutable_gateway_hello() = hello_();
  Send(std::move(envelope));  // Lost: the next one says the same.
}

void SchedulerLink::Send(wire::Envelope envelope) {
  envelope.set_version(wire::kProtocolVersion);
  envelope.set_term(term_);
  envelope.set_store(store_);
  envelope.set_sequence(++sequence_);
  if (link_ != nullptr) link_->Send(envelope);
}

void SchedulerLink::Receive(const transport::ClientLink::Incoming& in) {
  heard_ = clock_.Now();
  backoff_ = kBackoffMin;
  // Terms are counted by the store; one that was restored counts them again.
  if (in.envelope.store() != 0 && in.envelope.store() != store_) {
    if (store_ != 0 && in.envelope.term() <= term_)
      SPDLOG_WARN(
          "the scheduler's store has gone back term={} before={} incarnation={:016x} "
          "before={:016x}: it was restored or made anew, and its routes are taken as they are",
          in.envelope.term(), term_, in.envelope.store(), store_);
    store_ = in.envelope.store();
    term_ = in.envelope.term();
  }
  term_ = std::max(term_, in.envelope.term());
  for (const wire::Message& message : in.envelope.messages()) {
    if (renewal_ && renewal_->Take(message)) continue;
    if (message.has_admission()) lists_(message.admission());
    if (message.has_path_echo()) {
      const bool was = proof_.Look(clock_.SinceStart()) == transport::PathProof::State::kProven;
      if (auto next = proof_.Echoed(clock_.SinceStart(), message.path_echo())) {
        wire::Envelope probe;
        *probe.add_messages()->mutable_path_probe() = *std::move(next);
        Send(std::move(probe));
      }
      if (!was && proof_.Look(clock_.SinceStart()) == transport::PathProof::State::kProven) GoOn();
    }
    if (!message.has_route_table()) continue;
    StatusOr<RouteTable> table = wire::Decode(message.route_table());
    if (!table.ok()) {
      ++dropped_garbage_;
      SPDLOG_WARN("route table refused: {}", MessageOf(table.status()));
      continue;
    }
    routes_(std::make_shared<const RouteTable>(*std::move(table)));
  }
}

}  // namespace allot::gateway
