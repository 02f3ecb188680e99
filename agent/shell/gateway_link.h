// One link to one gateway; see gateway_links.h.
//
//   dialling ─connected─► proving the path ─► saying hello ─LinkWelcome(linked)─► linked
//      ▲                        │ only small messages pass        │ the gateway had given us up
//      └────── backing off ◄────┴── silence, connection lost      └─► hello again, requests
//      forgotten
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "agent/shell/forwards.h"
#include "agent/shell/gateway_links.h"
#include "common/asio/timer.h"
#include "common/base/rng.h"
#include "common/transport/path_proof.h"

namespace allot::agent {

class GatewayLink {
 public:
  GatewayLink(boost::asio::io_context& loop, transport::Context& context,
              const GatewayLinks::Options& options, GatewayAddress address,
              const ServingReplicas& replicas, ForwardCounters& counters);

  const GatewayAddress& address() const { return address_; }
  // By which this connection knows the gateway; another than address's once that was renewed.
  const std::string& dialled_key() const { return dialled_key_; }
  // The gateway at that endpoint has another key. A link that is up stays.
  void SetKey(const std::string& public_key);
  // Keys were renewed: what is connected is good for a while, and new connections are made by the
  // new ones.
  void DialAnewWhenIdle();
  bool linked() const { return linked_; }
  // The scheduler names this gateway, or does not. One that is not named is kept for as long as it
  // answers: a scheduler that does not hear a gateway knows nothing of the path between it and us.
  void SetNamed(bool named) { named_ = named; }
  // Neither named nor answering: nothing is lost with it.
  bool abandoned() const;

 private:
  void Dial();
  void Redial(const std::string& why);
  void Tick();
  void TickAfter(std::chrono::milliseconds pause);
  void Connected();
  void GoOn();  // with what is known of the path now
  void SayHello();
  void Welcomed(const wire::LinkWelcome& welcome);
  void Receive(transport::ClientLink::Incoming in);
  void Add(wire::Message message);
  void FlushSoon();
  void Flush();
  bool Send(wire::Envelope* envelope, transport::Bodies bodies);

  boost::asio::io_context& loop_;
  transport::Context& context_;
  const GatewayLinks::Options& options_;
  GatewayAddress address_;
  std::string dialled_key_;
  std::optional<std::chrono::steady_clock::time_point> anew_at_;
  Rng rng_;

  std::unique_ptr<transport::ClientLink> link_;
  bool connected_ = false, linked_ = false, named_ = true;
  uint64_t incarnation_ = 0, token_ = 0, sequence_ = 0;
  std::chrono::steady_clock::time_point heard_;      // on this connection, or when it was dialled
  std::chrono::steady_clock::time_point linked_at_;  // when we were last linked; 0: never
  std::chrono::milliseconds backoff_;
  Timer timer_;
  transport::PathProof proof_;
  transport::PieceCounter arrived_;
  bool pieces_ = false;  // the gateway takes pieces, gives credit and wants acknowledgements

  // What is ready is sent in as few envelopes as may be at the end of the loop's turn.
  wire::Envelope outbox_;
  bool flush_posted_ = false;
  Forwards forwards_;
  // Callbacks that outlive this object or a dial find it expired.
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace allot::agent
