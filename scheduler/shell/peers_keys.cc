// Keys that are renewed while everything goes on: peers', and our own (ADR 26).
#include <algorithm>
#include <utility>

#include "common/base/logging.h"
#include "common/transport/invitations.h"
#include "common/transport/renewed_keys.h"
#include "scheduler/shell/peers.h"

namespace allot::scheduler {
namespace {

constexpr Duration kHeardWithin = std::chrono::seconds(10);
constexpr uint32_t kToldMax = 5;  // a build that does not know what it is told confirms nothing
constexpr int64_t kNewKeyWork = 8'000;  // files are locked and written
constexpr int64_t kRefusalWork = 400;

}  // namespace

std::map<std::string, std::string> Peers::Connected() const {
  std::map<std::string, std::string> out;
  const Time now = pipeline_.Now();
  const auto add = [&](const std::string& name, const std::string& peer) {
    const auto link = links_.find(peer);
    if (link != links_.end() && now - link->second.heard <= kHeardWithin) out.emplace(name, peer);
  };
  for (const auto& [name, gateway] : gateways_) add(name, gateway.peer);
  for (const NodeState& node : pipeline_.core().state().nodes())
    if (const std::string* peer = agents_.Find(node.info->name)) add(node.info->name, *peer);
  return out;
}

// ---- peers' keys --------------------------------------------------------------------------------

Status Peers::RenewKeys(const std::vector<std::string>& names) {
  const std::vector<transport::AllowedPeer> enrolled = context_->AllowedPeers();
  std::vector<const transport::AllowedPeer*> found;
  for (const std::string& name : names) {
    const auto peer = std::find_if(enrolled.begin(), enrolled.end(),
                                   [&](const auto& one) { return one.name == name; });
    if (peer == enrolled.end() || peer->role == transport::Role::kScheduler)
      return NotFound("no node or gateway \"{}\" is enrolled", name);
    found.push_back(&*peer);
  }
  for (const transport::AllowedPeer* peer : found) renewals_.Ask(peer->name, peer->role);
  LookAtKeys();
  return absl::OkStatus();
}

Status Peers::RenewKeysOfAll() {
  std::vector<std::string> names;
  for (const transport::AllowedPeer& peer : context_->AllowedPeers())
    if (peer.role != transport::Role::kScheduler) names.push_back(peer.name);
  return RenewKeys(names);
}

bool Peers::TakeOfKeys(const transport::ServerLink::Incoming& incoming,
                       const wire::Message& message) {
  if (message.has_new_key()) {
    OnNewKey(incoming, message.new_key());
    return true;
  }
  if (message.has_scheduler_keys_noted()) {
    OnNoted(incoming.peer, message.scheduler_keys_noted());
    return true;
  }
  return false;
}

void Peers::OnNewKey(const transport::ServerLink::Incoming& incoming, const wire::NewKey& message) {
  const Renewals::Peer* const asked = renewals_.Asked(incoming.name);
  if (asked == nullptr || asked->ticket != message.ticket() || asked->role != incoming.role) {
    metrics_.Refused("new_key");
    link_->Charge(incoming.peer, kRefusalWork);
    return;  // Told twice, or of its own accord.
  }
  link_->Charge(incoming.peer, kNewKeyWork);
  Status done = message.error().empty()
                    ? absl::OkStatus()
                    : FailedPrecondition("it has no new key: {}", message.error());
  if (done.ok())
    done = transport::RenewPeerKey(options_.allow_file, incoming.name, incoming.public_key,
                                   message.public_key(),
                                   transport::WallClock() + transport::kRetiredKeysServe);
  renewals_.End(incoming.name, done);
  Audit({.who = incoming.name,
         .role = std::string(transport::RoleName(incoming.role)),
         .from = incoming.address,
         .verb = "renew key",
         .what = "key " + message.public_key(),
         .allowed = done.ok(),
         .why = done.ok() ? "" : MessageOf(done)});
  if (done.ok())
    spdlog::info("key renewed peer={}", incoming.name);
  else
    spdlog::warn("key not renewed peer={}: {}", incoming.name, MessageOf(done));
  if (!message.error().empty()) return;
  wire::NewKeyAnswer* answer =
      EnvelopeFor(incoming.peer).envelope.add_messages()->mutable_new_key_answer();
  answer->set_ticket(message.ticket());
  answer->set_public_key(message.public_key());
  if (!done.ok()) answer->set_error(MessageOf(done));
  FlushSoon();
}

// ---- our own ------------------------------------------------------------------------------------

Status Peers::RenewHead(bool force) {
  const bool fresh = !options_.keys.next().has_value();
  RETURN_IF_ERROR(options_.keys.Begin());
  RETURN_IF_ERROR(link_->AddKey(*options_.keys.next()));
  if (fresh) {
    Audit({.who = "scheduler",
           .verb = "renew key",
           .what = "next key " + options_.keys.next()->public_key});
    spdlog::info("our key is being renewed next={}", options_.keys.next()->public_key);
  }
  TellKeys();
  if (!force && !Unconfirmed().empty()) return absl::OkStatus();
  const Time until = transport::WallClock() + transport::kRetiredKeysServe;
  RETURN_IF_ERROR(options_.keys.Switch(until));
  Audit({.who = "scheduler",
         .verb = "renew key",
         .what = "key " + options_.keys.current().public_key + " is in force"});
  spdlog::info(
      "our key was renewed public_key={}; the one before serves for {} hours",
      options_.keys.current().public_key,
      std::chrono::duration_cast<std::chrono::hours>(transport::kRetiredKeysServe).count());
  TellKeys();
  return absl::OkStatus();
}

void Peers::OnNoted(const std::string& peer, const wire::SchedulerKeysNoted& message) {
  const auto link = links_.find(peer);
  if (link == links_.end()) return;
  const std::vector<std::string> ours = options_.keys.public_keys();
  const auto& keys = message.public_keys();
  if (!message.error().empty()) {
    spdlog::warn("our keys are not noted peer={}: {}", link->second.name, message.error());
  } else if (std::equal(ours.begin(), ours.end(), keys.begin(), keys.end())) {
    link->second.noted = ours;
  }
  if (options_.keys.next() && Unconfirmed().empty())
    if (const Status renewed = RenewHead(false); !renewed.ok())
      spdlog::error("our key is not renewed: {}", MessageOf(renewed));
}

std::vector<std::string> Peers::Unconfirmed() const {
  std::vector<std::string> names;
  const std::vector<std::string> ours = options_.keys.public_keys();
  for (const auto& [name, peer] : Connected())
    if (links_.at(peer).noted != ours) names.push_back(name);
  return names;
}

void Peers::TellKeys() {
  if (!options_.keys.renewed()) return;
  const std::vector<std::string> ours = options_.keys.public_keys();
  for (const auto& [name, peer] : Connected()) {
    Link& link = links_.at(peer);
    if (link.noted == ours || (link.told >= kToldMax && !options_.keys.next())) continue;
    ++link.told;
    wire::SchedulerKeys* keys = EnvelopeFor(peer).envelope.add_messages()->mutable_scheduler_keys();
    for (const std::string& key : ours) keys->add_public_keys(key);
  }
  FlushSoon();
}

void Peers::LookAtKeys() {
  std::string dropped;
  if (options_.keys.DropOld(transport::WallClock(), &dropped)) {
    link_->DropKey(dropped);
    for (auto& [peer, link] : links_) link.told = 0;
    spdlog::info("our key before serves no more public_key={}", dropped);
  }
  TellKeys();
  const std::map<std::string, std::string> connected = Connected();
  for (const auto& [name, renewal] : renewals_.all()) {
    const auto link = connected.find(name);
    if (renewal.state != Renewals::State::kAsked || link == connected.end()) continue;
    EnvelopeFor(link->second)
        .envelope.add_messages()
        ->mutable_renew_key()
        ->set_ticket(renewal.ticket);
    FlushSoon();
  }
}

}  // namespace allot::scheduler
