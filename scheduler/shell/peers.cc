#include "scheduler/shell/peers.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "common/base/address.h"
#include "common/base/logging.h"
#include "common/transport/invitations.h"
#include "common/transport/path_proof.h"
#include "common/wire/codec.h"
#include "scheduler/shell/record_log.h"

namespace allot::scheduler {
namespace {

constexpr Duration kGatewaySilenceMax = std::chrono::seconds(10);
constexpr Duration kLinkForgottenAfter = std::chrono::seconds(120);
constexpr auto kSweepEvery = std::chrono::seconds(2);
constexpr auto kAdmissionLookEvery = std::chrono::milliseconds(250);
constexpr size_t kEnvelopeBytes = 1 << 20;  // a larger batch is split

// What messages cost beyond what any does, in messages (transport::ServerLink::Charge): about what
// each takes the loop, and no peer of ours says any of them often enough to notice.
constexpr int64_t kRegistrationWork = 2'000;  // a record and a plan
constexpr int64_t kHeartbeatWork = 80;
constexpr int64_t kHelloWork = 400;        // of a gateway, with the nodes it names
constexpr int64_t kProbeWork = 200;        // it is sent back
constexpr int64_t kEnrolmentWork = 8'000;  // files are locked and written
constexpr int64_t kRefusalWork = 400;
constexpr int64_t kStartEarns = 64;  // that it started, what it does, how it ended, said twice
constexpr int kRefusalsHeard = 16;   // of one turn; what comes after them is refused unread
constexpr int kRefusalsSaid = 3;     // of one envelope, or as much of it as is handled in one turn

}  // namespace

Peers::Peers(boost::asio::io_context& loop, Pipeline& pipeline, Metrics& metrics)
    : loop_(loop),
      pipeline_(pipeline),
      metrics_(metrics),
      sweep_timer_(loop),
      admission_timer_(loop),
      self_(std::make_shared<Peers*>(this)) {}

Status Peers::Listen(transport::Context& context, auth::Tokens& tokens, Options peers) {
  options_ = std::move(peers);
  context_ = &context;
  tokens_ = &tokens;
  transport::ServerLink::Options options;
  options.endpoint = options_.endpoint;
  options.keys = options_.keys.current();
  options.admit = {transport::Role::kAgent, transport::Role::kGateway, transport::Role::kInvited};
  options.metered = true;
  options.revoked = [this](const std::string& peer, const std::string& name) {
    Forget(peer, name);
  };
  ASSIGN_OR_RETURN(link_, transport::ServerLink::Listen(context, loop_, std::move(options),
                                                        [this](transport::ServerLink::Incoming in) {
                                                          OnIncoming(std::move(in));
                                                        }));
  for (const auto& more : {options_.keys.old(), options_.keys.next()})
    if (more) RETURN_IF_ERROR(link_->AddKey(*more));
  reach_ = {IsLoopbackAddress(link_->endpoint()), options_.own_host};
  admission_.emplace(context, tokens);
  Sweep();
  WatchAdmission();
  return absl::OkStatus();
}

void Peers::Forget(const std::string& peer, const std::string& name) {
  if (links_.erase(peer) == 0) return;  // Told already.
  Audit({.who = name, .verb = "speak", .allowed = false, .why = "its key is not admitted any more"});
  spdlog::warn("key revoked peer={}; it is heard and answered no more", name);
  agents_.Unbind(name, peer);  // The core takes the node for lost when its lease has run out.
  if (const auto it = gateways_.find(name); it != gateways_.end() && it->second.peer == peer) {
    gateways_.erase(it);
    cuts_.Forget(name);
    TellGateways();
  }
}

bool Peers::Older(const std::string& peer, const std::string& than) const {
  const auto a = links_.find(peer), b = links_.find(than);
  return a != links_.end() && b != links_.end() && a->second.ordinal < b->second.ordinal;
}

void Peers::OnProbe(const std::string& peer, const std::string& name,
                    const wire::PathProbe& probe) {
  if (!probe.large_lost()) {
    troubles_.erase(name);
  } else if (troubles_.try_emplace(name, Cause{std::string(transport::kLargeLost), pipeline_.Now()})
                 .second) {
    spdlog::error("not usable peer={}: {}", name, transport::kLargeLost);
  }
  link_->Charge(peer, kProbeWork);
  // At once and in an envelope of its own: what else there is to say may be large.
  Outgoing echo{.peer = peer};
  if (!transport::EchoProbe(probe, echo.envelope.add_messages()->mutable_path_echo()))
    return metrics_.Refused("garbage");
  Send(echo);
}

void Peers::OnIncoming(transport::ServerLink::Incoming incoming) {
  Link& link = links_[incoming.peer];
  link.name = incoming.name;
  link.role = incoming.role;
  link.address = incoming.address;
  link.heard = pipeline_.Now();
  if (link.ordinal == 0) link.ordinal = ++last_ordinal_;
  const uint64_t sequence = incoming.envelope.sequence();
  if (link.received != 0 && sequence > link.received + 1) {
    metrics_.gaps.Add(static_cast<double>(sequence - link.received - 1));
  }
  link.received = sequence;
  if (incoming.role == transport::Role::kInvited) return OnInvited(incoming);
  int refused = 0, left = incoming.envelope.messages_size();
  for (wire::Message& message : *incoming.envelope.mutable_messages()) {
    if (refused >= kRefusalsHeard) {
      metrics_.Refused("garbage", left);
      break;
    }
    --left;
    if (message.has_path_probe()) {
      OnProbe(incoming.peer, incoming.name, message.path_probe());
    } else if (TakeOfKeys(incoming, message)) {
      continue;
    } else if (incoming.role == transport::Role::kGateway) {
      if (message.has_gateway_hello()) {
        OnGatewayHello(incoming.peer, incoming.name, message.gateway_hello());
      } else {
        ++refused;
        metrics_.Refused("wrong_message");
        link_->Charge(incoming.peer, kRefusalWork);
      }
    } else if (message.has_log_chunk()) {
      if (on_log_) on_log_(incoming.name, std::move(*message.mutable_log_chunk()));
    } else {
      OnAgentMessage(incoming, message, &refused);
    }
  }
}

void Peers::OnAgentMessage(const transport::ServerLink::Incoming& incoming, const wire::Message& in,
                           int* refused) {
  const std::string &peer = incoming.peer, &name = incoming.name;
  StatusOr<AgentMessage> message = wire::DecodeAgentMessage(in);
  if (!message.ok()) {
    metrics_.Refused("garbage");
    link_->Charge(peer, kRefusalWork);
    if (++*refused > kRefusalsSaid && !in.has_register_node()) return;
    spdlog::warn("message refused node={}: {}", name, Quoted(MessageOf(message.status())));
    if (in.has_register_node()) RefuseInfo(peer, in.register_node(), message.status());
    return;
  }
  const bool heartbeat = std::holds_alternative<Heartbeat>(*message);
  if (heartbeat) link_->Charge(peer, kHeartbeatWork);
  if (auto* registration = std::get_if<RegisterNode>(&*message)) {
    link_->Charge(peer, kRegistrationWork);
    // A node speaks under the name that its key proves, and no other.
    if (registration->info.name != name) {
      metrics_.Refused("name_not_proven");
      spdlog::warn("registration refused: key of {} says it is {}", name,
                   Quoted(registration->info.name, 80));
      return;
    }
    if (Status good = wire::CheckNodeInfo(registration->info); !good.ok()) {
      metrics_.Refused("bad_info");
      spdlog::warn("registration refused node={}: {}", name, Quoted(MessageOf(good)));
      RefuseInfo(peer, in.register_node(), good);
      return;
    }
    reach_.Locate(links_[peer].address, registration->info);
  } else {
    // Whoever sends more than a registration was welcomed on this connection or, if the connection
    // broke under it, on the one before. An impostor never gets so far.
    if (!agents_.BindUnlessOlder(name, peer, [this](const std::string& a, const std::string& b) {
          return Older(a, b);
        })) {
      metrics_.Refused("stale_connection");
      return;
    }
  }
  if (pipeline_.degraded() && !heartbeat) return;  // it will be said again; see Pipeline
  agents_.Speaks(name, peer);
  pipeline_.Feed(AgentSaid{name, *std::move(message), Incarnation(incoming.envelope.store())});
  agents_.Spoke();
  if (heartbeat) {
    EnvelopeFor(peer);  // an empty one, if nothing else comes
    FlushSoon();
  }
}

void Peers::RefuseInfo(const std::string& peer, const wire::RegisterNode& in, const Status& why) {
  Add(peer, Refuse{.reason = RefuseReason::kBadInfo,
                   .registration = in.registration(),
                   .message = MessageOf(why)});
  FlushSoon();
}

void Peers::OnGatewayHello(const std::string& peer, const std::string& name,
                           const wire::GatewayHello& hello) {
  link_->Charge(peer, kHelloWork);
  if (hello.name() != name) {
    metrics_.Refused("name_not_proven");
    return;
  }
  const std::string seen = links_[peer].address;
  const GatewayAddress address{reach_.Told(hello.address().endpoint(), seen),
                               hello.address().public_key()};
  const std::string http = reach_.Told(hello.http_address(), seen);
  auto [it, is_new] = gateways_.try_emplace(name);
  if (!is_new && it->second.peer != peer && Older(peer, it->second.peer)) {
    // An address that it had before would have agents leave the one that it has.
    metrics_.Refused("stale_connection");
    return;
  }
  const bool changed = is_new || it->second.address != address;
  it->second = {peer,
                http,
                address,
                pipeline_.Now(),
                std::nullopt,
                {hello.certificate_expires(), hello.certificate_stale()},
                hello.token_limits()};
  if (hello.has_admission_version()) it->second.admission = hello.admission_version();
  TakeUses(hello);
  if (changed) {
    spdlog::info("gateway found gateway={} endpoint={} http={}", name, Quoted(address.endpoint),
                 Quoted(http));
    if (!reach_.on_loopback && IsLoopbackAddress(address.endpoint))
      spdlog::warn(
          "gateway={} listens for agents on {} only: agents on other machines are not told of it; "
          "set its `listen` or `advertise`",
          name, Quoted(address.endpoint));
    TellGateways();
  }
  SendAdmission(it->second);
  if (hello.nodes_known()) {
    std::map<std::string, std::string> why;
    for (const wire::UnreachedNode& node : hello.unreached()) why[node.node()] = node.why();
    cuts_.Told(name, {hello.nodes().begin(), hello.nodes().end()}, std::move(why));
  }
  const std::shared_ptr<const RouteTable> table = pipeline_.core().Routes();
  if (table == nullptr ||
      ((hello.routes_incarnation() == 0 ||  // Not said: by a build that knows of none.
        hello.routes_incarnation() == table->incarnation.value()) &&
       table->term.value() == hello.routes_term() && table->version == hello.routes_version())) {
    EnvelopeFor(peer);
    FlushSoon();
    return;
  }
  pipeline_.WhenDurable([this, peer, table] {
    SendRoutesTo(peer, table);
    FlushSoon();
  });
}

void Peers::TellGateways() {
  GatewaysChanged event;
  for (const auto& [name, gateway] : gateways_) event.gateways.push_back(gateway.address);
  enrolled_version_ = context_->allow_list_version();
  if (enrolled_version_ != 0) {  // Else no list could be read yet, and nobody is known to be out.
    event.keys.emplace();
    // A link that the key before has proven goes on for its time.
    for (const transport::AllowedPeer& peer : context_->AllowedPeers()) {
      if (peer.role != transport::Role::kGateway) continue;
      event.keys->push_back(peer.public_key);
      if (!peer.retired_key.empty() && transport::WallClock() < peer.retired_until)
        event.keys->push_back(peer.retired_key);
    }
    std::sort(event.keys->begin(), event.keys->end());
  }
  pipeline_.Feed(event);
}

void Peers::SendAdmission(GatewayLink& gateway) {
  const wire::Admission& lists = admission_->ListsFor(gateway.token_limits);
  if (!gateway.admission || *gateway.admission == lists.version()) return;
  *EnvelopeFor(gateway.peer).envelope.add_messages()->mutable_admission() = lists;
  FlushSoon();
}

void Peers::WatchAdmission() {
  if (admission_->Refresh()) {
    for (auto& [name, gateway] : gateways_) SendAdmission(gateway);
    for (const std::string& change : admission_->changes())
      Audit({.who = "files of the head", .verb = "admission", .what = change});
  }
  admission_timer_.After(kAdmissionLookEvery, [this] { WatchAdmission(); });
}

void Peers::TakeUses(const wire::GatewayHello& hello) {
  std::vector<auth::TokenUse> uses;
  for (const wire::TokenUse& use : hello.token_uses())
    uses.push_back({use.name(), use.sha256(), FromMicros(use.time()), use.address()});
  if (!uses.empty()) tokens_->NoteUses(uses);
}

void Peers::Audit(audit::Entry entry) const {
  if (options_.audit != nullptr) options_.audit->Note(entry);
}

// An invited peer may say one thing, and is not there any more afterwards.
void Peers::OnInvited(const transport::ServerLink::Incoming& incoming) {
  const std::optional<transport::Invited> invited = transport::ParseInvitedName(incoming.name);
  for (const wire::Message& message : incoming.envelope.messages()) {
    if (!invited || !message.has_enroll_request()) {
      metrics_.Refused("wrong_message");
      continue;
    }
    link_->Charge(incoming.peer, kEnrolmentWork);
    const transport::AllowedPeer peer{invited->name, message.enroll_request().public_key(),
                                      invited->role};
    const Status done =
        transport::AcceptInvitation(options_.allow_file, peer, transport::WallClock());
    wire::EnrollAnswer answer;
    answer.set_name(peer.name);
    answer.set_role(std::string(transport::RoleName(peer.role)));
    for (const std::string& endpoint : options_.advertise) answer.add_endpoints(endpoint);
    if (!options_.certificate_file.empty())
      answer.set_authority(http::PrivateAuthorityOf(options_.certificate_file));
    Audit({.who = peer.name,
           .role = answer.role(),
           .from = incoming.address,
           .verb = "enrol",
           .what = "key " + peer.public_key,
           .allowed = done.ok(),
           .why = done.ok() ? "" : MessageOf(done)});
    if (done.ok()) {
      spdlog::info("enrolled name={} role={} from={}", peer.name, answer.role(), incoming.address);
    } else {
      metrics_.Refused("enrolment");
      spdlog::warn("enrolment refused name={}: {}", peer.name, MessageOf(done));
      answer.set_error(MessageOf(done));
    }
    *EnvelopeFor(incoming.peer).envelope.add_messages()->mutable_enroll_answer() =
        std::move(answer);
    FlushSoon();
    return;
  }
}

void Peers::LookAtCuts() {
  std::vector<std::string> nodes;
  for (const NodeState& node : pipeline_.core().state().nodes())
    if (node.alive) nodes.push_back(node.info->name);
  std::vector<Unreached> healed;
  for (const Unreached& cut : cuts_.Look(pipeline_.Now(), nodes, &healed))
    spdlog::warn("gateway={} does not reach node={}{}{}", cut.gateway, cut.node,
                 cut.why.empty() ? "" : ": ", cut.why);
  for (const Unreached& whole : healed)
    spdlog::info("gateway={} reaches node={} again, or that is gone", whole.gateway, whole.node);
}

Pipeline::Action Peers::PrepareSend(SendToAgent command) {
  std::string peer = agents_.AnsweredBy(command);
  if (Welcome* welcome = std::get_if<Welcome>(&command.message)) {
    const std::string* connection = peer.empty() ? agents_.Find(command.node) : &peer;
    const auto link = connection == nullptr ? links_.end() : links_.find(*connection);
    if (link != links_.end())
      std::erase_if(welcome->gateways, [&](const GatewayAddress& gateway) {
        return !reach_.MayTell(gateway.endpoint, link->second.address);
      });
  }
  return [this, peer = std::move(peer), command = std::move(command)] {
    if (!peer.empty()) {
      Add(peer, command.message);
    } else if (const std::string* speaks_from = agents_.Find(command.node)) {
      Add(*speaks_from, command.message);
    }
  };
}

Pipeline::Action Peers::PrepareRoutes(std::shared_ptr<const RouteTable> table) {
  return [this, table = std::move(table)] {
    for (const auto& [name, gateway] : gateways_) SendRoutesTo(gateway.peer, table);
  };
}

void Peers::SendRoutesTo(const std::string& peer, std::shared_ptr<const RouteTable> table) {
  wire::Encode(*table, EnvelopeFor(peer).envelope.add_messages()->mutable_route_table());
}

bool Peers::Ask(const std::string& node, const wire::ReadLog& question) {
  const std::string* peer = agents_.Find(node);
  if (peer == nullptr) return false;
  *EnvelopeFor(*peer).envelope.add_messages()->mutable_read_log() = question;
  link_->Earn(*peer, 2 + (question.length_max() >> 10));
  FlushSoon();
  return true;
}

void Peers::Add(const std::string& peer, const SchedulerMessage& message) {
  if (std::holds_alternative<StartTask>(message) || std::holds_alternative<StartReplica>(message))
    link_->Earn(peer, kStartEarns);
  Outgoing& outgoing = EnvelopeFor(peer);
  wire::Message* out = outgoing.envelope.add_messages();
  wire::Encode(message, out);
  outgoing.bytes += out->ByteSizeLong();
  if (outgoing.bytes > kEnvelopeBytes) Send(outgoing);
}

Peers::Outgoing& Peers::EnvelopeFor(const std::string& peer) {
  const auto [it, is_new] = outbox_index_.try_emplace(peer, outbox_.size());
  if (is_new) outbox_.push_back({.peer = peer});
  return outbox_[it->second];
}

void Peers::Send(Outgoing& outgoing) {
  outgoing.envelope.set_version(wire::kProtocolVersion);
  outgoing.envelope.set_term(pipeline_.core().state().term().value());
  outgoing.envelope.set_store(pipeline_.core().state().incarnation().value());
  if (const auto it = links_.find(outgoing.peer); it != links_.end()) {
    outgoing.envelope.set_sequence(++it->second.sent);
  }
  // Undeliverable is counted by the link; whatever mattered is said again.
  link_->Send(outgoing.peer, outgoing.envelope);
  outgoing.envelope.Clear();
  outgoing.bytes = 0;
}

void Peers::Flush() {
  if (outbox_.empty()) return;
  outbox_index_.clear();
  std::vector<Outgoing> now = std::exchange(outbox_, {});
  for (Outgoing& outgoing : now) Send(outgoing);
}

void Peers::FlushSoon() {
  if (std::exchange(flush_posted_, true)) return;
  boost::asio::post(loop_, [weak = std::weak_ptr(self_)] {
    if (const auto self = weak.lock()) {
      (*self)->flush_posted_ = false;
      (*self)->Flush();
    }
  });
}

void Peers::Sweep() {
  const Time now = pipeline_.Now();
  // If this comes late, we did not listen meanwhile: their hellos may lie unread.
  const bool first = swept_ == Time();  // the pipeline has not begun
  const Duration late = first ? Duration(0) : now - swept_ - Duration(kSweepEvery);
  swept_ = now;
  if (late > Duration(kSweepEvery)) {
    for (auto& [name, gateway] : gateways_) gateway.heard += late;
  }
  const size_t gateways = gateways_.size();
  std::erase_if(gateways_, [&](const auto& entry) {
    const Duration silent = now - entry.second.heard;
    if (silent <= kGatewaySilenceMax) return false;
    spdlog::warn(
        "gateway lost gateway={}; it was not heard for {}; agents keep to it for as long as "
        "it answers them",
        entry.first, FormatDuration(silent));
    cuts_.Forget(entry.first);
    return true;
  });
  // A gateway that we do not hear may serve well: agents keep to it for as long as it answers them.
  // What they are told anew is who is enrolled, so that a revoked one is dropped.
  if (!first &&
      (gateways_.size() != gateways || enrolled_version_ != context_->allow_list_version()))
    TellGateways();
  if (!first) LookAtCuts();
  if (!first) LookAtKeys();
  absl::erase_if(links_,
                 [&](const auto& entry) { return now - entry.second.heard > kLinkForgottenAfter; });
  sweep_timer_.After(kSweepEvery, [this] { Sweep(); });
}

std::vector<Peers::Trouble> Peers::troubles() const {
  std::vector<Trouble> out;
  for (const auto& [name, cause] : troubles_) out.push_back({name, cause.why, cause.since});
  return out;
}

std::vector<Peers::Gateway> Peers::gateways() const {
  std::vector<Gateway> out;
  for (const auto& [name, gateway] : gateways_) {
    out.push_back({name, gateway.http_address, gateway.address, gateway.certificate});
  }
  return out;
}

}  // namespace allot::scheduler
