#include "agent/shell/scheduler_link.h"

#include <boost/asio/post.hpp>
#include <random>

#include "common/base/logging.h"
#include "common/wire/codec.h"

namespace allot::agent {
namespace {

constexpr size_t kEnvelopeBytes = 256 << 10;  // a larger batch leaves at once
constexpr auto kLookEvery = std::chrono::milliseconds(100);

Duration Now() {
  return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch());
}

}  // namespace

SchedulerLink::SchedulerLink(boost::asio::io_context& loop, transport::Context& context,
                             Options options, Handlers handlers)
    : loop_(loop),
      context_(context),
      options_(std::move(options)),
      handlers_(std::move(handlers)),
      endpoints_(loop, options_.endpoints),
      proof_(options_.path_patience),
      proof_timer_(loop),
      rng_((uint64_t{std::random_device()()} << 32) ^ std::random_device()()) {
  if (options_.renewed == nullptr) return;
  renewal_.emplace(*options_.renewed,
                   transport::Renewal::Handlers{
                       .say = [this](wire::Message message) { *Add() = std::move(message); },
                       .renewed = [this](const transport::KeyPair& now) { Renewed(now); }});
}

SchedulerLink::~SchedulerLink() = default;

void SchedulerLink::TakeCounters() {
  if (!link_) return;
  const transport::LinkCounters& more = link_->counters();
  counters_.envelopes_in += more.envelopes_in;
  counters_.envelopes_out += more.envelopes_out;
  counters_.bytes_in += more.bytes_in;
  counters_.bytes_out += more.bytes_out;
  counters_.undecodable += more.dropped_garbage + more.dropped_unreadable;
}

SchedulerLink::Counters SchedulerLink::counters() const {
  Counters all = counters_;
  if (!link_) return all;
  const transport::LinkCounters& more = link_->counters();
  all.envelopes_in += more.envelopes_in;
  all.envelopes_out += more.envelopes_out;
  all.bytes_in += more.bytes_in;
  all.bytes_out += more.bytes_out;
  all.undecodable += more.dropped_garbage + more.dropped_unreadable;
  return all;
}

void SchedulerLink::Dial() {
  TakeCounters();
  link_.reset();
  up_ = connected_ = false;
  proof_timer_.Stop();
  outbox_.Clear();
  outbox_bytes_ = 0;
  sent_ = received_ = 0;
  ++counters_.dials;
  endpoints_.Next([this](StatusOr<transport::Endpoints::Place> place) {
    if (!place.ok()) return Lost(MessageOf(place.status()));
    endpoint_ = place->endpoint;
    Connect(place->address);
  });
}

void SchedulerLink::Connect(const std::string& address) {
  dialled_ = address;
  transport::ClientLink::Options options;
  options.endpoint = address;
  options.server_public_key = options_.public_key;
  options.keys = options_.keys;
  if (options_.renewed != nullptr) {
    transport::RenewedKeys::Dial by = options_.renewed->DialBy(attempts_++);
    options.server_public_key = std::move(by.scheduler);
    options.keys = std::move(by.own);
    by_next_ = by.is_next;
  }
  transport::ClientLink::Handlers handlers;
  handlers.message = [this](transport::ClientLink::Incoming in) { Receive(std::move(in)); };
  handlers.connected = [this] { Connected(); };
  handlers.disconnected = [this](const std::string& why) { Lost(why); };
  auto link = transport::ClientLink::Dial(context_, loop_, std::move(options), std::move(handlers));
  if (link.ok()) {
    link_ = *std::move(link);
    return;
  }
  boost::asio::post(loop_, [this, alive = std::weak_ptr(alive_), why = MessageOf(link.status())] {
    if (!alive.expired() && !link_) Lost(why);
  });
}

// What runs and what is asked of it goes on; only this connection is to prove the new key.
void SchedulerLink::Renewed(const transport::KeyPair& now) {
  if (handlers_.renewed) handlers_.renewed(now);
  boost::asio::post(loop_, [this, alive = std::weak_ptr(alive_)] {
    if (!alive.expired() && up_) Lost("our key was renewed");
  });
}

void SchedulerLink::Connected() {
  connected_ = true;
  attempts_ = 0;
  // It was taken, and the word that it was has been lost.
  if (std::exchange(by_next_, false)) {
    if (const Status taken = options_.renewed->TakeNext(); !taken.ok())
      SPDLOG_WARN("our new key is in force, and its file has the old one too: {}",
                  MessageOf(taken));
    if (handlers_.renewed) handlers_.renewed(options_.renewed->own());
  }
  SPDLOG_INFO("connected to the scheduler endpoint={}", dialled_);
  wire::Envelope probe;
  *probe.add_messages()->mutable_path_probe() = proof_.Begin(Now(), rng_.Next());
  SendNow(std::move(probe));
  ProvePath();
}

void SchedulerLink::ProvePath() {
  if (up_ || !connected_) return;
  switch (proof_.Look(Now())) {
    case transport::PathProof::State::kAsking:
      proof_timer_.After(kLookEvery, [this] { ProvePath(); });
      return;
    case transport::PathProof::State::kLargeLost:
      SPDLOG_ERROR("not registered endpoint={}: {}", dialled_, transport::kLargeLost);
      return Lost(std::string(transport::kLargeLost));
    case transport::PathProof::State::kProven:
    case transport::PathProof::State::kNotSpoken:
      proof_timer_.Stop();
      endpoints_.Worked();
      up_ = true;
      return handlers_.up();
  }
}

void SchedulerLink::SendNow(wire::Envelope envelope) {
  envelope.set_version(wire::kProtocolVersion);
  envelope.set_term(term_);
  envelope.set_store(handlers_.obeyed().value());
  envelope.set_sequence(++sent_);
  if (!link_ || !link_->Send(envelope)) ++counters_.undelivered;
}

void SchedulerLink::Lost(const std::string& why) {
  up_ = connected_ = false;
  SPDLOG_WARN("no link to the scheduler endpoint={} why=\"{}\"", endpoints_.Text(), why);
  handlers_.down(why);
}

void SchedulerLink::Receive(transport::ClientLink::Incoming in) {
  const wire::Envelope& envelope = in.envelope;
  // Terms are counted by the store, so they order schedulers of one life of it only. Whoever has this
  // scheduler's key and opened the store anew is the one to obey: it has no other way to be heard
  // after the store was restored, and it welcomes nobody before that is durable.
  if (envelope.store() != 0 && envelope.store() != store_) {
    if (store_ != 0 && envelope.term() <= term_)
      SPDLOG_WARN(
          "the scheduler's store has gone back term={} before={} incarnation={:016x} "
          "before={:016x}: it was restored or made anew, and work that it does not know is ended",
          envelope.term(), term_, envelope.store(), store_);
    store_ = envelope.store();
    term_ = envelope.term();
  }
  if (envelope.term() < term_) {
    ++counters_.refused_terms;
    if (!std::exchange(said_term_, true))
      SPDLOG_WARN(
          "refused a scheduler of an older term={} seen={}; if its state was reset, restart "
          "this agent",
          envelope.term(), term_);
    return;
  }
  if (envelope.term() > term_) said_term_ = false;
  term_ = envelope.term();
  if (received_ != 0 && envelope.sequence() > received_ + 1)
    counters_.gaps += envelope.sequence() - received_ - 1;
  received_ = envelope.sequence();
  bool said = false;
  for (const wire::Message& message : envelope.messages()) {
    if (message.has_path_echo()) {
      if (auto next = proof_.Echoed(Now(), message.path_echo())) {
        wire::Envelope probe;
        *probe.add_messages()->mutable_path_probe() = *std::move(next);
        SendNow(std::move(probe));
      }
      if (proof_.Look(Now()) == transport::PathProof::State::kProven) ProvePath();
      continue;
    }
    if (renewal_ && renewal_->Take(message)) continue;
    if (message.has_read_log()) {
      handlers_.read_log(message.read_log());
      continue;
    }
    StatusOr<SchedulerMessage> decoded = wire::DecodeSchedulerMessage(message);
    if (!decoded.ok()) {
      ++counters_.undecodable;
      SPDLOG_WARN("a message of the scheduler cannot be used why=\"{}\"",
                  MessageOf(decoded.status()));
      continue;
    }
    said = true;
    handlers_.said(*std::move(decoded), Incarnation(envelope.store()));
  }
  if (!said) handlers_.heard();
}

void SchedulerLink::Say(const AgentMessage& message) { wire::Encode(message, Add()); }

void SchedulerLink::Say(wire::LogChunk chunk) {
  outbox_bytes_ += chunk.data().size();
  *Add()->mutable_log_chunk() = std::move(chunk);
  if (outbox_bytes_ > kEnvelopeBytes) Flush();
}

wire::Message* SchedulerLink::Add() {
  if (!std::exchange(flush_posted_, true)) {
    boost::asio::post(loop_, [this, alive = std::weak_ptr(alive_)] {
      if (alive.expired()) return;
      flush_posted_ = false;
      Flush();
    });
  }
  return outbox_.add_messages();
}

void SchedulerLink::Flush() {
  if (outbox_.messages().empty()) return;
  SendNow(std::move(outbox_));
  outbox_.Clear();
  outbox_bytes_ = 0;
}

}  // namespace allot::agent
