// The node's links to gateways, and the requests that travel over them to model servers.
//
// One DEALER link to each gateway the scheduler names, redialled with backoff for as long as it is
// named. A ForwardRequest becomes an HTTP request to the replica's model server on loopback; its
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
#include "common/http/client.h"
#include "common/transport/link.h"

namespace allot::agent {

class GatewayLink;

// Model servers that may be asked now.
class ServingReplicas {
 public:
  explicit ServingReplicas(boost::asio::io_context& loop) : loop_(loop) {}
  void Set(const ReplicaServing& serving);
  // Null if the replica does not serve here.
  http::Client* Find(ReplicaId id) const;

 private:
  struct Server {
    uint16_t port = 0;
    std::unique_ptr<http::Client> client;
  };
  boost::asio::io_context& loop_;
  std::map<ReplicaId, Server> servers_;
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
  };
  GatewayLinks(boost::asio::io_context& loop, transport::Context& context, Options options);
  ~GatewayLinks();

  // Links to those no longer named are dropped, and their requests with them.
  void SetGateways(const std::vector<GatewayAddress>& gateways);
  void SetServing(const ReplicaServing& serving) { replicas_.Set(serving); }

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
