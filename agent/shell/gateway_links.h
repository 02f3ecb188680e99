// The node's links to gateways, and the requests that travel over them to model servers.
//
// One DEALER link to each gateway the scheduler names, redialled with backoff for as long as it is
// named. A ForwardRequest becomes an HTTP request to the replica's model server on loopback, or to
// the endpoint behind the replica's device; its
// answer goes back piece by piece as it is produced. CancelRequest, or the link going down, closes
// the connection to the model server at once, which is how a model server learns to stop.
// docs/protocol.md, "Gateways". All on the loop's thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/core/events.h"
#include "agent/shell/endpoint_exchange.h"
#include "agent/shell/traffic.h"
#include "common/http/client.h"
#include "common/transport/link.h"

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
  };
  GatewayLinks(boost::asio::io_context& loop, transport::Context& context, Options options);
  ~GatewayLinks();

  // Links to those no longer named are dropped, and their requests with them.
  void SetGateways(const std::vector<GatewayAddress>& gateways);
  // `endpoint`: what a remote replica leased.
  void SetServing(const ReplicaServing& serving,
                  std::shared_ptr<const EndpointLease> endpoint = nullptr) {
    replicas_.Set(serving, std::move(endpoint));
  }

  size_t connected() const;
  const ForwardCounters& counters() const { return counters_; }

 private:
  boost::asio::io_context& loop_;
  transport::Context& context_;
  Options options_;
  ServingReplicas replicas_;
  ForwardCounters counters_;
  std::map<std::string, std::unique_ptr<GatewayLink>> links_;  // by endpoint
};

}  // namespace allot::agent
