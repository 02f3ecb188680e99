#include "gateway/agent_links.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <random>
#include <utility>
#include <vector>

#include "common/base/logging.h"
#include "common/transport/path_proof.h"
#include "common/wire/codec.h"

namespace allot::gateway {
namespace {

constexpr uint64_t kEnvelopeBytesMax = 64 << 10;

}  // namespace

AgentLinks::AgentLinks(boost::asio::io_context& loop, const GatewayClock& clock, Options options,
                       Handlers handlers)
    : loop_(loop),
      clock_(clock),
      options_(std::move(options)),
      handlers_(std::move(handlers)),
      rng_((uint64_t{std::random_device()()} << 32) ^ std::random_device()()),
      timer_(loop) {}

AgentLinks::~AgentLinks() = default;

StatusOr<std::unique_ptr<AgentLinks>> AgentLinks::Listen(transport::Context& context,
                                                         boost::asio::io_context& loop,
                                                         const GatewayClock& clock, Options options,
                                                         Handlers handlers) {
  options.link.admit = {transport::Role::kAgent};
  options.link.heard_bytes_max = limits::kAnswerFrameBytes.value;
  auto self = std::unique_ptr<AgentLinks>(
      new AgentLinks(loop, clock, std::move(options), std::move(handlers)));
  self->options_.link.revoked = [links = self.get()](const std::string& peer,
                                                     const std::string& name) {
    const auto found = links->nodes_.find(name);
    if (found != links->nodes_.end() && found->second.peer == peer) links->Unlink(name);
  };
  ASSIGN_OR_RETURN(self->link_, transport::ServerLink::Listen(
                                    context, loop, self->options_.link,
                                    [links = self.get()](transport::ServerLink::Incoming in) {
                                      links->OnIncoming(std::move(in));
                                    }));
  self->Sweep();
  return self;
}

std::string AgentLinks::endpoint() const { return link_->endpoint(); }
const transport::LinkCounters& AgentLinks::counters() const { return link_->counters(); }

std::vector<std::string> AgentLinks::names() const {
  std::vector<std::string> names;
  for (const auto& [name, node] : nodes_) names.push_back(name);
  return names;
}

void AgentLinks::OnIncoming(transport::ServerLink::Incoming in) {
  // Whatever else is in the envelope: a hello that opens no link yet ends it, and may stand before.
  for (const wire::Message& message : in.envelope.messages())
    if (message.has_path_probe()) OnProbe(in, message.path_probe());
  size_t next_body = 0;
  for (wire::Message& message : *in.envelope.mutable_messages()) {
    if (message.has_path_probe()) continue;
    if (message.has_link_hello()) {
      if (!OnHello(in, message.link_hello())) return;
      continue;
    }
    const auto found = nodes_.find(in.name);
    if (found == nodes_.end() || found->second.peer != in.peer) {
      ++stale_;  // Late words of a connection that another one has replaced, or that was given up.
      return;
    }
    std::string body;
    if (!OnBody(found->second, message, in, &next_body, &body)) return Unlink(in.name);
    OnResponse(in.name, message, std::move(body));
  }
  const auto found = nodes_.find(in.name);
  if (found == nodes_.end() || found->second.peer != in.peer) return;
  Node& node = found->second;
  node.heard = clock_.Now();
  const uint64_t sequence = in.envelope.sequence();
  const bool gap = node.received != 0 && sequence > node.received + 1;
  node.received = sequence;
  if (gap) {
    // Pieces of answers are missing, so none of those under way can be trusted.
    ++gaps_;
    SPDLOG_WARN("envelopes were lost node={}; its requests are tried elsewhere", in.name);
    return Unlink(in.name);
  }
  if (const auto total = node.arrived.Due(); node.pieces && total.has_value())
    Add(node)->mutable_taken()->set_bytes(*total);
}

// Takes the body frame that belongs to the message, if one does. False: it is missing, and which
// body belongs to which answer cannot be told any more.
bool AgentLinks::OnBody(Node& node, const wire::Message& message,
                        transport::ServerLink::Incoming& in, size_t* next, std::string* body) {
  if (!message.has_response_head() && !message.has_response_chunk()) return true;
  if (*next == in.bodies.size()) {
    ++dropped_garbage_;
    return false;
  }
  *body = std::move(in.bodies[(*next)++]);
  node.arrived.Arrived(body->size());
  return true;
}

void AgentLinks::OnProbe(const transport::ServerLink::Incoming& in, const wire::PathProbe& probe) {
  if (probe.large_lost() && !nodes_.contains(in.name) &&
      std::exchange(troubles_[in.name], transport::kLargeLost) != transport::kLargeLost)
    SPDLOG_ERROR("not linked node={}: {}", in.name, transport::kLargeLost);
  wire::Envelope envelope;
  if (!transport::EchoProbe(probe, envelope.add_messages()->mutable_path_echo())) {
    ++dropped_garbage_;
    return;
  }
  Answer(in.peer, in.envelope.incarnation(), std::move(envelope));
}

// False: the envelope is to be dropped.
bool AgentLinks::OnHello(const transport::ServerLink::Incoming& in, const wire::LinkHello& hello) {
  if (hello.node() != in.name) {
    ++dropped_garbage_;
    return false;
  }
  const auto found = nodes_.find(in.name);
  Node* node = found != nodes_.end() && found->second.peer == in.peer ? &found->second : nullptr;
  if (node == nullptr) node = Open(in, hello);
  if (node == nullptr) return false;
  Welcome(*node);
  return true;
}

void AgentLinks::Welcome(Node& node) {
  wire::LinkWelcome* welcome = Add(node)->mutable_link_welcome();
  welcome->set_gateway(options_.gateway);
  welcome->set_incarnation(node.incarnation);
  welcome->set_linked(true);
  welcome->set_pieces(node.pieces);
}

// The link, if this hello opens one.
AgentLinks::Node* AgentLinks::Open(const transport::ServerLink::Incoming& in,
                                   const wire::LinkHello& hello) {
  if (hello.incarnation() != 0) {  // Else a build that cannot be asked.
    const uint64_t token =
        openings_.Hello(clock_.Now(), in.name, in.peer, hello.token(), rng_.Next() | 1);
    if (token != 0) {
      wire::Envelope envelope;
      wire::LinkWelcome* welcome = envelope.add_messages()->mutable_link_welcome();
      welcome->set_gateway(options_.gateway);
      welcome->set_incarnation(hello.incarnation());
      welcome->set_token(token);
      welcome->set_pieces(true);
      Answer(in.peer, hello.incarnation(), std::move(envelope));
      return nullptr;
    }
  }
  if (nodes_.contains(in.name)) Unlink(in.name);  // It has forgotten what it had in hand.
  Node& node = nodes_[in.name];
  node.peer = in.peer;
  node.incarnation = hello.incarnation();
  node.pieces = hello.pieces();
  node.sender.SetPaced(node.pieces);
  node.heard = clock_.Now();
  troubles_.erase(in.name);
  ++changes_;
  SPDLOG_INFO("linked node={}", in.name);
  handlers_.linked(in.name);
  const auto found = nodes_.find(in.name);
  return found == nodes_.end() ? nullptr : &found->second;
}

void AgentLinks::OnResponse(const std::string& node, wire::Message& message, std::string body) {
  switch (message.kind_case()) {
    case wire::Message::kResponseHead:
      handlers_.head(node, std::move(*message.mutable_response_head()), std::move(body));
      break;
    case wire::Message::kResponseChunk:
      handlers_.chunk(node, message.response_chunk(), std::move(body));
      break;
    case wire::Message::kResponseFailed:
      handlers_.failed(node, message.response_failed());
      break;
    case wire::Message::kTaken:
      if (const auto found = nodes_.find(node); found != nodes_.end()) {
        found->second.sender.Taken(clock_.SinceStart(), message.taken().bytes());
        Wake(found->second);
      }
      break;
    default:
      break;  // A later version may say more.
  }
}

bool AgentLinks::Forward(const std::string& node, wire::ForwardRequest request, std::string body) {
  const auto found = nodes_.find(node);
  if (found == nodes_.end()) return false;
  Node& to = found->second;
  if (!to.pieces) {
    *Add(to)->mutable_forward_request() = std::move(request);
    to.bodies.push_back(std::move(body));
    return true;
  }
  const uint64_t id = request.request();
  request.set_body_bytes(body.size());
  to.heads.emplace(id, std::move(request));
  to.sender.Open(id);
  to.sender.Push(id, std::move(body));
  to.sender.End(id);
  Wake(to);
  return true;
}

void AgentLinks::Cancel(const std::string& node, uint64_t request) {
  const auto found = nodes_.find(node);
  if (found == nodes_.end()) return;  // It has cancelled everything itself.
  found->second.sender.Drop(request);
  if (found->second.heads.erase(request) != 0) return;  // It has not heard of it.
  Add(found->second)->mutable_cancel_request()->set_request(request);
}

void AgentLinks::Grant(const std::string& node, uint64_t request, uint64_t total) {
  const auto found = nodes_.find(node);
  if (found == nodes_.end() || !found->second.pieces) return;
  wire::Grant* grant = Add(found->second)->mutable_grant();
  grant->set_request(request);
  grant->set_bytes(total);
}

wire::Message* AgentLinks::Add(Node& node) {
  Wake(node);
  return node.outbox.add_messages();
}

void AgentLinks::Wake(Node& node) {
  node.waiting = true;
  if (std::exchange(flush_posted_, true)) return;
  boost::asio::post(loop_, [this, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) Flush();
  });
}

void AgentLinks::Flush() {
  flush_posted_ = false;
  std::vector<std::string> unreachable;
  for (auto& [name, node] : nodes_)
    if (std::exchange(node.waiting, false) && !FlushNode(node)) unreachable.push_back(name);
  for (const std::string& name : unreachable) Unlink(name);
}

bool AgentLinks::FlushNode(Node& node) {
  for (bool more = true; more;) {
    transport::Bodies bodies = std::exchange(node.bodies, {});
    more = Fill(node, &bodies);
    if (node.outbox.messages().empty()) return true;
    node.outbox.set_version(wire::kProtocolVersion);
    node.outbox.set_sequence(++node.sent);
    node.outbox.set_incarnation(node.incarnation);
    node.spoken = clock_.Now();
    if (!link_->Send(node.peer, node.outbox, std::move(bodies))) return false;
    node.outbox.Clear();
  }
  return true;
}

// Adds pieces of bodies up to an envelope's worth; true: there may be more.
bool AgentLinks::Fill(Node& node, transport::Bodies* bodies) {
  // Messages are heard of when they are whole, so a slow path gets them in smaller envelopes.
  const uint64_t most = std::clamp<uint64_t>(node.sender.pacer().window() / 4,
                                             transport::kPieceBytesMax, kEnvelopeBytesMax);
  for (uint64_t bytes = 0; bytes < most;) {
    auto piece = node.sender.Next(clock_.SinceStart());
    if (!piece.has_value()) return false;
    bytes += piece->bytes.size();
    wire::Message* message = node.outbox.add_messages();
    if (auto head = node.heads.extract(piece->stream)) {
      *message->mutable_forward_request() = std::move(head.mapped());
    } else {
      message->mutable_request_chunk()->set_request(piece->stream);
    }
    bodies->push_back(std::move(piece->bytes));
  }
  return true;
}

// To a connection that is no link (yet).
bool AgentLinks::Answer(const std::string& peer, uint64_t incarnation, wire::Envelope envelope) {
  envelope.set_version(wire::kProtocolVersion);
  envelope.set_incarnation(incarnation);
  return link_->Send(peer, envelope);
}

void AgentLinks::Sweep() {
  std::vector<std::string> silent;
  for (const auto& [name, node] : nodes_)
    if (clock_.Now() - node.heard > options_.silence_max) silent.push_back(name);
  for (const std::string& name : silent) Unlink(name);
  // The agent judges us by what it hears, and its hellos may be waiting behind its answers.
  for (auto& [name, node] : nodes_)
    if (clock_.Now() - node.spoken >= options_.sweep_every) Welcome(node);
  openings_.Sweep(clock_.Now());
  timer_.After(options_.sweep_every, [this] { Sweep(); });
}

void AgentLinks::Unlink(const std::string& node) {
  const std::string name = node;  // may be a key of what is erased
  nodes_.erase(name);
  ++changes_;
  SPDLOG_INFO("unlinked node={}", name);
  handlers_.unlinked(name);
}

}  // namespace allot::gateway
