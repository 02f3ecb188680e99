#include "gateway/agent_links.h"

#include <boost/asio/post.hpp>
#include <utility>
#include <vector>

#include "common/base/logging.h"
#include "common/wire/codec.h"

namespace allot::gateway {

AgentLinks::AgentLinks(boost::asio::io_context& loop, const GatewayClock& clock, Options options,
                       Handlers handlers)
    : loop_(loop),
      clock_(clock),
      options_(std::move(options)),
      handlers_(std::move(handlers)),
      timer_(loop) {}

AgentLinks::~AgentLinks() = default;

StatusOr<std::unique_ptr<AgentLinks>> AgentLinks::Listen(transport::Context& context,
                                                         boost::asio::io_context& loop,
                                                         const GatewayClock& clock, Options options,
                                                         Handlers handlers) {
  options.link.admit = {transport::Role::kAgent};
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

void AgentLinks::OnIncoming(transport::ServerLink::Incoming in) {
  size_t next_body = 0;
  for (wire::Message& message : *in.envelope.mutable_messages()) {
    if (message.has_link_hello()) {
      if (!OnHello(in, message.link_hello())) return;
      continue;
    }
    const auto found = nodes_.find(in.name);
    // Late words of a connection that another one has replaced, or that was given up.
    if (found == nodes_.end() || found->second.peer != in.peer) return;
    std::string body;
    if (message.has_response_head() || message.has_response_chunk()) {
      if (next_body == in.bodies.size()) {
        ++dropped_garbage_;
        return Unlink(in.name);  // Which body belongs to which answer cannot be told any more.
      }
      body = std::move(in.bodies[next_body++]);
    }
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
    Unlink(in.name);
  }
}

// False: the envelope is to be dropped.
bool AgentLinks::OnHello(const transport::ServerLink::Incoming& in, const wire::LinkHello& hello) {
  if (hello.node() != in.name) {
    ++dropped_garbage_;
    return false;
  }
  auto found = nodes_.find(in.name);
  if (found != nodes_.end() && found->second.peer != in.peer) {
    Unlink(in.name);  // It dialled anew and has forgotten what it had in hand.
    found = nodes_.end();
  }
  if (found == nodes_.end()) {
    found = nodes_.emplace(in.name, Node{}).first;
    found->second.peer = in.peer;
    found->second.heard = clock_.Now();
    SPDLOG_INFO("linked node={}", in.name);
    handlers_.linked(in.name);
    found = nodes_.find(in.name);
    if (found == nodes_.end()) return false;
  }
  Add(found->second)->mutable_link_welcome()->set_gateway(options_.gateway);
  return true;
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
    default:
      break;  // A later version may say more.
  }
}

bool AgentLinks::Forward(const std::string& node, wire::ForwardRequest request, std::string body) {
  const auto found = nodes_.find(node);
  if (found == nodes_.end()) return false;
  *Add(found->second)->mutable_forward_request() = std::move(request);
  found->second.bodies.push_back(std::move(body));
  return true;
}

void AgentLinks::Cancel(const std::string& node, uint64_t request) {
  const auto found = nodes_.find(node);
  if (found == nodes_.end()) return;  // It has cancelled everything itself.
  Add(found->second)->mutable_cancel_request()->set_request(request);
}

wire::Message* AgentLinks::Add(Node& node) {
  node.waiting = true;
  FlushSoon();
  return node.outbox.add_messages();
}

void AgentLinks::FlushSoon() {
  if (std::exchange(flush_posted_, true)) return;
  boost::asio::post(loop_, [this, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) Flush();
  });
}

void AgentLinks::Flush() {
  flush_posted_ = false;
  std::vector<std::string> unreachable;
  for (auto& [name, node] : nodes_) {
    if (!std::exchange(node.waiting, false)) continue;
    node.outbox.set_version(wire::kProtocolVersion);
    node.outbox.set_sequence(++node.sent);
    if (!link_->Send(node.peer, node.outbox, std::move(node.bodies))) unreachable.push_back(name);
    node.outbox.Clear();
    node.bodies.clear();
  }
  for (const std::string& name : unreachable) Unlink(name);
}

void AgentLinks::Sweep() {
  std::vector<std::string> silent;
  for (const auto& [name, node] : nodes_)
    if (clock_.Now() - node.heard > options_.silence_max) silent.push_back(name);
  for (const std::string& name : silent) Unlink(name);
  timer_.expires_after(options_.sweep_every);
  timer_.async_wait([this](boost::system::error_code cancelled) {
    if (!cancelled) Sweep();
  });
}

void AgentLinks::Unlink(const std::string& node) {
  const std::string name = node;  // may be a key of what is erased
  nodes_.erase(name);
  SPDLOG_INFO("unlinked node={}", name);
  handlers_.unlinked(name);
}

}  // namespace allot::gateway
