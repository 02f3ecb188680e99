// Agents and gateways on the ROUTER socket: who is behind which connection, what they say, what
// is sent to them.
//
// What a peer tells of addresses is made good on its way in (reach.h).
// A peer that was only invited may enrol and nothing else (common/transport/invitations.h).
// Gateways are told whom to let in beside what they know themselves (admission.h).
// A message reaches the core only under the name its sender's key proves. Everything for one peer
// that becomes ready in one turn of the loop leaves in one envelope; a heartbeat is answered by an
// empty one if there is nothing to say. Loop thread only.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "common/asio/timer.h"
#include "common/audit/audit.h"
#include "common/http/tls_identity.h"
#include "common/transport/context.h"
#include "common/transport/link.h"
#include "scheduler/shell/admission.h"
#include "scheduler/shell/agent_connections.h"
#include "scheduler/shell/cuts.h"
#include "scheduler/shell/head_keys.h"
#include "scheduler/shell/pipeline.h"
#include "scheduler/shell/reach.h"
#include "scheduler/shell/renewals.h"

namespace allot::scheduler {

class Peers {
 public:
  struct Gateway {
    std::string name, http_address;  // "https://…" where it speaks TLS
    GatewayAddress address;
    http::TlsState certificate;
  };
  // A peer that is connected and cannot be used, and why; see common/transport/path_proof.h.
  struct Trouble {
    std::string name, why;
    Time since;
  };
  using LogHandler = std::function<void(const std::string& node, wire::LogChunk chunk)>;

  struct Options {
    std::string endpoint;  // tcp://host:port to bind
    HeadKeys keys;
    std::string allow_file;              // where invited peers are entered
    std::vector<std::string> advertise;  // tcp://host:port, told to those that enrol; may be empty
    std::string own_host;                // where other machines reach this one
    std::string certificate_file;  // of the API; who has signed it is told to those that enrol
    audit::Log* audit = nullptr;   // null: none is kept
  };

  Peers(boost::asio::io_context& loop, Pipeline& pipeline, Metrics& metrics);
  Status Listen(transport::Context& context, auth::Tokens& tokens, Options options);
  std::string endpoint() const { return link_->endpoint(); }

  // For Pipeline::Outside.
  Pipeline::Action PrepareSend(SendToAgent command);
  Pipeline::Action PrepareRoutes(std::shared_ptr<const RouteTable> table);
  void Flush();

  // False: the node has no connection.
  bool Ask(const std::string& node, const wire::ReadLog& question);
  void OnLog(LogHandler handler) { on_log_ = std::move(handler); }

  std::vector<Gateway> gateways() const;
  const Cuts& cuts() const { return cuts_; }
  std::vector<Trouble> troubles() const;

  // Keys (ADR 26). Peers that are away are asked when they are back. NotFound: nobody of that name
  // is enrolled.
  Status RenewKeys(const std::vector<std::string>& names);
  Status RenewKeysOfAll();
  // Ours: made known to all that are connected, then put in force; `force`: now, whoever has not
  // confirmed it.
  Status RenewHead(bool force);
  const HeadKeys& head_keys() const { return options_.keys; }
  const Renewals& renewals() const { return renewals_; }
  // Routing ids of those that are connected and heard, by name.
  std::map<std::string, std::string> Connected() const;
  // Connected peers that have not confirmed the keys that prove us.
  std::vector<std::string> Unconfirmed() const;
  const transport::LinkCounters& counters() const { return link_->counters(); }
  const transport::GateCounters& gate() const { return link_->gate(); }

 private:
  // One connection. Its routing id is new each time the peer connects.
  struct Link {
    std::string name, address;
    transport::Role role = transport::Role::kAgent;
    uint64_t ordinal = 0;  // grows with each connection that begins to speak
    uint64_t sent = 0, received = 0;
    Time heard;
    std::vector<std::string> noted;  // keys of ours that it has confirmed
    uint32_t told = 0;               // times that it was told of them
  };
  struct GatewayLink {
    std::string peer, http_address;
    GatewayAddress address;
    Time heard;
    std::optional<uint64_t> admission;  // version of the lists it has; none: it knows of no lists
    http::TlsState certificate;
    bool token_limits = false;  // it keeps to what limits a token
  };
  struct Outgoing {
    std::string peer;
    wire::Envelope envelope;
    size_t bytes = 0;
  };

  void OnIncoming(transport::ServerLink::Incoming incoming);
  void Forget(const std::string& peer, const std::string& name);  // its key was revoked
  void OnInvited(const transport::ServerLink::Incoming& incoming);
  void SendAdmission(GatewayLink& gateway);
  void WatchAdmission();
  void TakeUses(const wire::GatewayHello& hello);
  void Audit(audit::Entry entry) const;
  void OnProbe(const std::string& peer, const std::string& name, const wire::PathProbe& probe);
  bool Older(const std::string& peer, const std::string& than) const;
  // `refused`: messages of this turn that were, so far.
  void OnAgentMessage(const transport::ServerLink::Incoming& incoming, const wire::Message& in,
                      int* refused);
  void RefuseInfo(const std::string& peer, const wire::RegisterNode& in, const Status& why);
  void OnGatewayHello(const std::string& peer, const std::string& name,
                      const wire::GatewayHello& hello);
  void TellGateways();
  void LookAtCuts();
  void OnNewKey(const transport::ServerLink::Incoming& incoming, const wire::NewKey& message);
  void OnNoted(const std::string& peer, const wire::SchedulerKeysNoted& message);
  // True: the message was about keys.
  bool TakeOfKeys(const transport::ServerLink::Incoming& incoming, const wire::Message& message);
  void TellKeys();
  void LookAtKeys();
  void SendRoutesTo(const std::string& peer, std::shared_ptr<const RouteTable> table);
  void Add(const std::string& peer, const SchedulerMessage& message);
  Outgoing& EnvelopeFor(const std::string& peer);
  void Send(Outgoing& outgoing);
  void FlushSoon();
  void Sweep();

  boost::asio::io_context& loop_;
  Pipeline& pipeline_;
  Metrics& metrics_;
  Options options_;
  Reach reach_;
  std::optional<Admission> admission_;
  Renewals renewals_;
  const transport::Context* context_ = nullptr;
  auth::Tokens* tokens_ = nullptr;
  std::unique_ptr<transport::ServerLink> link_;
  absl::flat_hash_map<std::string, Link> links_;  // by routing id
  AgentConnections agents_;
  std::map<std::string, GatewayLink> gateways_;  // by name
  uint64_t enrolled_version_ = 0;                // of the allow list that agents were told of
  Cuts cuts_;
  struct Cause {
    std::string why;
    Time since;
  };
  std::map<std::string, Cause> troubles_;  // by the peer's name
  uint64_t last_ordinal_ = 0;
  std::vector<Outgoing> outbox_;
  absl::flat_hash_map<std::string, size_t> outbox_index_;
  LogHandler on_log_;
  bool flush_posted_ = false;
  Timer sweep_timer_, admission_timer_;
  Time swept_;
  std::shared_ptr<Peers*> self_;  // posted closures hold it weakly
};

}  // namespace allot::scheduler
