// The node's links to gateways, and the requests that travel over them to model servers.
//
// One DEALER link to each gateway the scheduler names, redialled with backoff. A link ends when its
// gateway is neither named nor answers, or when its key is enrolled no more: that the scheduler
// does not hear a gateway cuts nothing that works. A ForwardRequest becomes an HTTP request to the
// replica's model server on loopback, or to the endpoint behind the replica's device; its answer
// goes back piece by piece as it is produced. CancelRequest, or the link going down, closes the
// connection to the model server at once, which is how a model server learns to stop.
// docs/protocol.md, "Gateways". All on the loop's thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/core/events.h"
#include "agent/shell/endpoint_exchange.h"
#include "agent/shell/traffic.h"
#include "common/http/client.h"
#include "common/transport/link.h"
#include "common/transport/path_proof.h"

namespace allot::agent {

class GatewayLink;

// Where a replica is asked: its model server on loopback, or an endpoint.
struct ReplicaServer {
  uint16_t port = 0;
  std::shared_ptr<const EndpointLease> endpoint;  // null: a model server of this node
  std::unique_ptr<http::Client> client;
};

// Replicas that may be asked now.
class ServingReplicas {
 public:
  explicit ServingReplicas(boost::asio::io_context& loop) : loop_(loop) {}
  void Set(const ReplicaServing& serving, std::shared_ptr<const EndpointLease> endpoint);
  // A gateway that knows of no incarnations leaves that out; then it is the replica of that number.
  ReplicaId Named(ReplicaId id) const;
  // Null if the replica does not serve here.
  const ReplicaServer* Find(ReplicaId id) const;

 private:
  boost::asio::io_context& loop_;
  std::map<ReplicaId, ReplicaServer> servers_;
};

// Counted since the start.
struct ForwardCounters {
  uint64_t forwarded = 0, completed = 0, failed = 0, cancelled = 0;
  uint64_t in_flight = 0;
};

class GatewayLinks {
 public:
  struct Options {
    std::string node;
    transport::KeyPair keys;
    EndpointExchange::Done endpoint_request_done = nullptr;
    TrafficMeter* traffic = nullptr;  // told of every request; outlives the links
    transport::PathProof::Patience path_patience = {};
    std::function<void()> abandoned = nullptr;  // of the links, for GatewayLinks itself
  };
  GatewayLinks(boost::asio::io_context& loop, transport::Context& context, Options options);
  ~GatewayLinks();

  // `enrolled`: keys of all that may be gateways at all, if the scheduler tells. Links to those no
  // longer named are kept for as long as they answer, unless their key is not among these: whoever
  // revoked it wants it cut.
  void SetGateways(const std::vector<GatewayAddress>& gateways,
                   const std::optional<std::vector<std::string>>& enrolled = std::nullopt);
  // `endpoint`: what a remote replica leased.
  void SetServing(const ReplicaServing& serving,
                  std::shared_ptr<const EndpointLease> endpoint = nullptr) {
    replicas_.Set(serving, std::move(endpoint));
  }

  // Our key is another: links are dialled anew by it, each when nothing is under way on it.
  void SetKeys(const transport::KeyPair& keys);

  size_t size() const { return links_.size(); }  // gateways that are dialled
  size_t linked() const;
  const ForwardCounters& counters() const { return counters_; }

 private:
  void Sweep();

  boost::asio::io_context& loop_;
  transport::Context& context_;
  Options options_;
  ServingReplicas replicas_;
  ForwardCounters counters_;
  std::map<std::string, std::unique_ptr<GatewayLink>> links_;  // by endpoint
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);      // for what is posted
};

}  // namespace allot::agent
