// The requests of one gateway that are at model servers and endpoints, and what is to be said of
// them.
//
// A request's body may come in pieces and is sent on when it is whole; the answer goes back piece
// by piece, within the credit that the gateway gives each request and the pace the link bears.
// While an answer has to wait, nothing more of it is read from the model server. So neither a
// client that does not read nor a slow path makes this node's memory grow. Loop thread only.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/shell/gateway_links.h"
#include "common/transport/pieces.h"

namespace allot::agent {

class Forwards {
 public:
  // `changed`: there may be something to say; never called from within Fill.
  Forwards(const GatewayLinks::Options& options, const ServingReplicas& replicas,
           ForwardCounters& counters, boost::asio::io_context& loop, std::function<void()> changed);
  ~Forwards();

  // A connection begins: does the gateway take pieces and give credit? Else all is said as it
  // comes, and text in it is mended, as its build would refuse what is not UTF-8.
  void Begin(bool pieces);

  void Start(const wire::ForwardRequest& request, std::string body);
  void More(uint64_t request, std::string piece);  // of its body
  void Cancel(uint64_t request);
  void CancelAll();
  void Grant(const wire::Grant& grant) { sender_.Grant(grant.request(), grant.bytes()); }
  void Taken(Duration now, const wire::Taken& taken) { sender_.Taken(now, taken.bytes()); }

  // Nothing has begun that is not over.
  bool idle() const { return forwards_.empty() && arriving_.empty() && refusals_.empty(); }

  // Adds what may be said now, up to an envelope's worth; true: there is more.
  bool Fill(Duration now, wire::Envelope* envelope, transport::Bodies* bodies);

 private:
  // A request between the gateway and a model server or endpoint.
  struct Forward {
    std::unique_ptr<http::Client::Call> call;    // null: it has answered
    std::unique_ptr<EndpointExchange> endpoint;  // null: it is at a model server of this node
    int status = 0;
    http::Headers headers;
    bool head_sent = false, held = false, over = false;
    TrafficMeter::Request traffic;
    std::optional<std::string> failed;  // what to say at its end
  };
  struct Arriving {
    wire::ForwardRequest request;
    std::string body;
  };

  void Forth(const wire::ForwardRequest& request, std::string body);
  void Head(uint64_t request, int status, http::Headers headers);
  void Piece(uint64_t request, std::string piece);
  void Done(uint64_t request, const Status& status);
  void Refuse(uint64_t request, const std::string& message);
  void Say(transport::PieceSender::Piece piece, wire::Envelope* envelope,
           transport::Bodies* bodies);
  void DropArriving(std::map<uint64_t, Arriving>::iterator it);

  const GatewayLinks::Options& options_;
  const ServingReplicas& replicas_;
  ForwardCounters& counters_;
  boost::asio::io_context& loop_;
  const std::function<void()> changed_;
  bool pieces_ = false;
  std::map<uint64_t, Forward> forwards_;
  std::map<uint64_t, Arriving> arriving_;
  uint64_t arriving_bytes_ = 0;
  transport::PieceSender sender_{/*paced=*/false};
  std::vector<wire::Message> refusals_;  // of requests that never began
};

}  // namespace allot::agent
