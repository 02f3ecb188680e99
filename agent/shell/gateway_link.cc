#include "agent/shell/gateway_link.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <random>

#include "common/base/logging.h"
#include "common/wire/codec.h"

namespace allot::agent {
namespace {

using std::chrono::steady_clock;

constexpr auto kHelloEvery = std::chrono::milliseconds(1000);
constexpr auto kLookEvery = std::chrono::milliseconds(100);  // while the path is being proven
constexpr auto kSilenceMax = std::chrono::seconds(5);
constexpr auto kBackoffMin = std::chrono::milliseconds(200),
               kBackoffMax = std::chrono::milliseconds(5000);
// Scheduler and gateway have heard of a renewed key by then.
constexpr auto kAnewAfter = std::chrono::seconds(2);
// A gateway that the scheduler does not name may be cut off from us for so long and find us again.
constexpr auto kUnnamedPatience = std::chrono::seconds(60);

Duration Now() {
  return std::chrono::duration_cast<Duration>(steady_clock::now().time_since_epoch());
}

}  // namespace

GatewayLink::GatewayLink(boost::asio::io_context& loop, transport::Context& context,
                         const GatewayLinks::Options& options, GatewayAddress address,
                         const ServingReplicas& replicas, ForwardCounters& counters)
    : loop_(loop),
      context_(context),
      options_(options),
      address_(std::move(address)),
      rng_((uint64_t{std::random_device()()} << 32) ^ std::random_device()()),
      backoff_(kBackoffMin),
      timer_(loop),
      proof_(options.path_patience),
      forwards_(options, replicas, counters, loop, [this] { FlushSoon(); }) {
  Dial();
  Tick();
}

bool GatewayLink::abandoned() const {
  if (named_ || linked_) return false;
  return linked_at_ == steady_clock::time_point() ||
         steady_clock::now() - linked_at_ > kUnnamedPatience;
}

// ---- the connection -----------------------------------------------------------------------------

void GatewayLink::SetKey(const std::string& public_key) {
  address_.public_key = public_key;
  // Down, it may be dialling by the one before; the next attempt is by this one.
  if (linked_) DialAnewWhenIdle();
}

void GatewayLink::DialAnewWhenIdle() { anew_at_ = steady_clock::now() + kAnewAfter; }

void GatewayLink::Dial() {
  heard_ = steady_clock::now();
  dialled_key_ = address_.public_key;
  anew_at_.reset();
  connected_ = linked_ = pieces_ = false;
  incarnation_ = rng_.Next() | 1;  // never 0, which says nothing
  token_ = sequence_ = 0;
  arrived_ = {};
  outbox_.Clear();
  forwards_.Begin(false);
  auto dialled = transport::ClientLink::Dial(
      context_, loop_,
      {.endpoint = address_.endpoint,
       .server_public_key = address_.public_key,
       .keys = options_.keys},
      {.message = [this](transport::ClientLink::Incoming in) { Receive(std::move(in)); },
       .connected = [this] { Connected(); },
       .disconnected = [this](const std::string& why) { Redial(why); }});
  if (dialled.ok()) {
    link_ = *std::move(dialled);
  } else {
    Redial(MessageOf(dialled.status()));
  }
}

void GatewayLink::Redial(const std::string& why) {
  if (connected_) SPDLOG_WARN("lost the gateway endpoint={} why=\"{}\"", address_.endpoint, why);
  connected_ = linked_ = false;
  forwards_.CancelAll();
  // At once, though it may be what is calling us (it bears that): what is posted may never run,
  // when the loop is stopped before, and would keep the link beyond the life of its context.
  link_.reset();
  boost::asio::post(loop_, [this, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    const Duration pause = std::exchange(backoff_, std::min(backoff_ * 2, kBackoffMax));
    timer_.After(pause, [this] {
      if (abandoned() && options_.abandoned) return options_.abandoned();
      Dial();
      Tick();
    });
  });
}

void GatewayLink::Tick() {
  if (link_ == nullptr) return;  // A redial is under way and will tick again.
  const bool proving =
      connected_ && !linked_ && proof_.Look(Now()) == transport::PathProof::State::kAsking;
  // A proof has its own end, and says more than that there is silence.
  if (!proving && steady_clock::now() - heard_ > kSilenceMax) {
    if (!connected_ || proof_.Look(Now()) != transport::PathProof::State::kLargeLost)
      return Redial("silent");
  }
  if (linked_ && anew_at_ && *anew_at_ <= steady_clock::now() && forwards_.idle()) {
    SPDLOG_INFO("dialling the gateway anew endpoint={}: keys were renewed", address_.endpoint);
    connected_ = false;
    backoff_ = std::chrono::milliseconds(1);
    return Redial("keys were renewed");
  }
  if (connected_ && !proving) GoOn();
  if (link_ != nullptr) TickAfter(proving ? kLookEvery : kHelloEvery);
}

void GatewayLink::TickAfter(std::chrono::milliseconds pause) {
  timer_.After(pause, [this] { Tick(); });
}

void GatewayLink::Connected() {
  connected_ = true;
  heard_ = steady_clock::now();
  wire::Envelope probe;
  *probe.add_messages()->mutable_path_probe() = proof_.Begin(Now(), incarnation_);
  Send(&probe, {});
  // It asks for the token, which is brought back when the path is proven; and a build that knows of
  // neither takes it for the link, so that nobody waits for an echo that it will not send.
  SayHello();
  TickAfter(kLookEvery);
}

void GatewayLink::GoOn() {
  if (linked_) return SayHello();
  switch (proof_.Look(Now())) {
    case transport::PathProof::State::kAsking:
      return;
    case transport::PathProof::State::kLargeLost:
      SPDLOG_ERROR("not linked to the gateway endpoint={}: {}", address_.endpoint,
                   transport::kLargeLost);
      return Redial(std::string(transport::kLargeLost));
    case transport::PathProof::State::kProven:
    case transport::PathProof::State::kNotSpoken:
      return SayHello();
  }
}

void GatewayLink::SayHello() {
  wire::Message message;
  wire::LinkHello* hello = message.mutable_link_hello();
  hello->set_node(options_.node);
  hello->set_incarnation(incarnation_);
  hello->set_token(token_);
  hello->set_pieces(true);
  Add(std::move(message));
}

void GatewayLink::Welcomed(const wire::LinkWelcome& welcome) {
  backoff_ = kBackoffMin;
  // A build that knows of no incarnations takes the first hello for the link.
  const bool linked = welcome.linked() || welcome.incarnation() == 0;
  if (!linked) {
    // It asks for an echo: at first, and after it had given us up. Then it has forgotten what it
    // had asked, and whatever we answer would find nobody.
    if (std::exchange(linked_, false)) {
      SPDLOG_WARN("the gateway had given this node up endpoint={}", address_.endpoint);
      forwards_.CancelAll();
    }
    if (std::exchange(token_, welcome.token()) != welcome.token()) GoOn();
    return;
  }
  linked_at_ = steady_clock::now();
  if (std::exchange(linked_, true)) return;
  pieces_ = welcome.pieces();
  arrived_ = {};  // Both ends count from here, also over a connection that was linked before.
  forwards_.Begin(pieces_);
  SPDLOG_INFO("linked to the gateway={} endpoint={}", welcome.gateway(), address_.endpoint);
}

// ---- what is said -------------------------------------------------------------------------------

void GatewayLink::Receive(transport::ClientLink::Incoming in) {
  heard_ = steady_clock::now();
  if (in.envelope.incarnation() != 0 && in.envelope.incarnation() != incarnation_) return;
  size_t next_body = 0;
  const auto body = [&in, &next_body, this] {
    // A missing body frame is the gateway's fault; an empty body is what it looks like.
    if (next_body == in.bodies.size()) return std::string();
    arrived_.Arrived(in.bodies[next_body].size());
    return std::move(in.bodies[next_body++]);
  };
  for (const wire::Message& message : in.envelope.messages()) {
    switch (message.kind_case()) {
      case wire::Message::kPathEcho:
        if (auto next = proof_.Echoed(Now(), message.path_echo())) {
          wire::Message probe;
          *probe.mutable_path_probe() = *std::move(next);
          Add(std::move(probe));
        }
        if (proof_.Look(Now()) == transport::PathProof::State::kProven) GoOn();
        break;
      case wire::Message::kLinkWelcome:
        Welcomed(message.link_welcome());
        break;
      case wire::Message::kForwardRequest:
        forwards_.Start(message.forward_request(), body());
        break;
      case wire::Message::kRequestChunk:
        forwards_.More(message.request_chunk().request(), body());
        break;
      case wire::Message::kCancelRequest:
        forwards_.Cancel(message.cancel_request().request());
        break;
      case wire::Message::kGrant:
        forwards_.Grant(message.grant());
        FlushSoon();
        break;
      case wire::Message::kTaken:
        forwards_.Taken(Now(), message.taken());
        FlushSoon();
        break;
      default:
        break;  // A later version may say more.
    }
  }
  if (!pieces_) return;
  if (const auto total = arrived_.Due()) {
    wire::Message taken;
    taken.mutable_taken()->set_bytes(*total);
    Add(std::move(taken));
  }
}

void GatewayLink::Add(wire::Message message) {
  *outbox_.add_messages() = std::move(message);
  FlushSoon();
}

void GatewayLink::FlushSoon() {
  if (std::exchange(flush_posted_, true)) return;
  boost::asio::post(loop_, [this, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) Flush();
  });
}

void GatewayLink::Flush() {
  flush_posted_ = false;
  for (bool more = true; more;) {
    transport::Bodies bodies;
    more = forwards_.Fill(Now(), &outbox_, &bodies);
    if (outbox_.messages().empty()) return;
    if (Send(&outbox_, std::move(bodies))) continue;
    // Pieces of an answer must not go missing: with the link full or gone, its requests end.
    return forwards_.CancelAll();
  }
}

bool GatewayLink::Send(wire::Envelope* envelope, transport::Bodies bodies) {
  envelope->set_version(wire::kProtocolVersion);
  envelope->set_sequence(++sequence_);
  envelope->set_incarnation(incarnation_);
  const bool sent = link_ != nullptr && link_->Send(*envelope, std::move(bodies));
  envelope->Clear();
  return sent;
}

}  // namespace allot::agent
