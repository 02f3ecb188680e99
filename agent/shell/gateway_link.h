// One link to one gateway; see gateway_links.h.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "agent/shell/gateway_links.h"

namespace allot::agent {

class GatewayLink {
 public:
  GatewayLink(boost::asio::io_context& loop, transport::Context& context,
              const GatewayLinks::Options& options, GatewayAddress address,
              const ServingReplicas& replicas, ForwardCounters& counters);
  ~GatewayLink();

  const GatewayAddress& address() const { return address_; }
  bool connected() const { return connected_; }

 private:
  // A request between the gateway and a model server or endpoint.
  struct Forward {
    std::unique_ptr<http::Client::Call> call;
    std::unique_ptr<EndpointExchange> endpoint;  // null: it is at a model server of this node
    int status = 0;
    http::Headers headers;
    bool head_sent = false;
    TrafficMeter::Request traffic;
  };

  void Dial();
  void Redial(const std::string& why);
  void Tick();
  void SayHello();
  void Receive(transport::ClientLink::Incoming in);
  void Start(const wire::ForwardRequest& request, std::string body);
  void Head(uint64_t request, int status, http::Headers headers);
  void Cancel(uint64_t request);
  void CancelAll();
  void Piece(uint64_t request, std::string piece, bool last);
  void Done(uint64_t request, const Status& status);
  void Fail(uint64_t request, bool started, const std::string& message);
  void Add(wire::Message message);
  void Add(wire::Message message, std::string body);
  void Flush();

  boost::asio::io_context& loop_;
  transport::Context& context_;
  const GatewayLinks::Options& options_;
  GatewayAddress address_;
  const ServingReplicas& replicas_;
  ForwardCounters& counters_;

  std::unique_ptr<transport::ClientLink> link_;
  bool connected_ = false;
  uint64_t sequence_ = 0;
  std::chrono::steady_clock::time_point heard_;
  std::chrono::milliseconds backoff_;
  boost::asio::steady_timer timer_;
  std::map<uint64_t, Forward> forwards_;

  // What is ready is sent in one envelope at the end of the loop's turn.
  wire::Envelope outbox_;
  transport::Bodies bodies_;
  bool flush_posted_ = false;
  // Callbacks that outlive this object or a dial find it expired.
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace allot::agent
