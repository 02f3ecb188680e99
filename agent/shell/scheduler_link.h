// The link to the scheduler: dialling, envelopes, terms. When to dial again is the core's decision,
// where is ours: each dial goes to the next place of `endpoints` (transport/endpoints.h).
//
// A connection counts as up when the path has carried a large message each way: a node that can
// only be heard must not be given work (common/transport/path_proof.h).
//
// Everything said in one turn of the loop leaves as one envelope. Loop thread only.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/io_context.hpp>

#include "common/asio/timer.h"
#include "common/base/rng.h"
#include "common/model/messages.h"
#include "common/transport/endpoints.h"
#include "common/transport/link.h"
#include "common/transport/path_proof.h"
#include "common/transport/renewed_keys.h"

namespace allot::agent {

class SchedulerLink {
 public:
  struct Options {
    std::vector<std::string> endpoints;  // tcp://host:port, at least one
    std::string public_key;
    transport::KeyPair keys;
    transport::PathProof::Patience path_patience = {};
    transport::RenewedKeys* renewed = nullptr;  // in place of both keys; outlives the link
  };
  struct Handlers {
    std::function<void()> up;
    std::function<void(const std::string& why)> down;
    std::function<void(SchedulerMessage, Incarnation)> said;  // of the store of whoever says it
    std::function<void()> heard;  // an envelope without a message of ours
    std::function<void(const wire::ReadLog&)> read_log;
    std::function<void(const transport::KeyPair& now)> renewed = nullptr;  // our key is another
    std::function<Incarnation()> obeyed = [] { return Incarnation(); };  // goes into every envelope
  };
  struct Counters {
    uint64_t dials = 0, envelopes_in = 0, envelopes_out = 0, bytes_in = 0, bytes_out = 0;
    uint64_t refused_terms = 0;  // envelopes of a scheduler that another one has replaced
    uint64_t undecodable = 0;    // messages, and envelopes that are garbage
    uint64_t gaps = 0;           // envelopes missing by their sequence
    uint64_t undelivered = 0;    // envelopes that found no link; all is said again in time
  };

  SchedulerLink(boost::asio::io_context& loop, transport::Context& context, Options options,
                Handlers handlers);
  ~SchedulerLink();

  // Drops the socket if there is one. `down` follows if it does not come about, never from inside.
  void Dial();
  void Say(const AgentMessage& message);
  void Say(wire::LogChunk chunk);

  bool up() const { return up_; }
  // tcp://IP:PORT that was dialled last; empty before the first dial. Whoever wants to know by
  // which of our addresses the scheduler is reached asks the routing table about it.
  const std::string& dialled() const { return dialled_; }
  // The endpoint that it was, as somebody wrote it down.
  const std::string& endpoint() const { return endpoint_; }
  uint64_t term() const { return term_; }
  Counters counters() const;

 private:
  void Connect(const std::string& address);
  void Receive(transport::ClientLink::Incoming in);
  void Lost(const std::string& why);
  void Renewed(const transport::KeyPair& now);
  void Connected();
  void ProvePath();  // looks how far it is, now and again until it is decided
  void SendNow(wire::Envelope envelope);
  wire::Message* Add();
  void Flush();
  void TakeCounters();

  boost::asio::io_context& loop_;
  transport::Context& context_;
  const Options options_;
  Handlers handlers_;
  transport::Endpoints endpoints_;
  std::string endpoint_, dialled_;
  std::unique_ptr<transport::ClientLink> link_;
  transport::PathProof proof_;
  Timer proof_timer_;
  std::optional<transport::Renewal> renewal_;
  uint64_t attempts_ = 0;  // dials since the last that led to something
  bool by_next_ = false;   // this one is made by the key that is to be taken
  bool connected_ = false;
  Rng rng_;  // nonces
  bool up_ = false;
  uint64_t term_ = 0, store_ = 0;  // of the scheduler that was heard last
  uint64_t sent_ = 0, received_ = 0;
  Counters counters_;
  wire::Envelope outbox_;
  size_t outbox_bytes_ = 0;  // of log data: the only large thing
  bool flush_posted_ = false, said_term_ = false;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace allot::agent
