// The agents that dialled us: which node is behind which connection, what goes there, what comes.
//
// A node is linked from its first LinkHello until it falls silent or dials anew. What is sent
// within one turn of the loop leaves as one envelope a node. One thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "common/base/status.h"
#include "common/base/units.h"
#include "common/transport/link.h"
#include "gateway/clock.h"

namespace allot::gateway {

class AgentLinks {
 public:
  struct Options {
    std::string gateway;  // our name
    transport::ServerLink::Options link;
    Duration silence_max = std::chrono::seconds(3);
    Duration sweep_every = std::chrono::seconds(1);
  };
  struct Handlers {
    std::function<void(const std::string&node)> linked, unlinked;
    // `node` is the one whose key proved it. Bodies as they were framed.
    std::function<void(const std::string& node, wire::ResponseHead head, std::string body)> head;
    std::function<void(const std::string& node, const wire::ResponseChunk& chunk, std::string body)>
        chunk;
    std::function<void(const std::string& node, const wire::ResponseFailed& failed)> failed;
  };

  static StatusOr<std::unique_ptr<AgentLinks>> Listen(transport::Context& context,
                                                      boost::asio::io_context& loop,
                                                      const GatewayClock& clock, Options options,
                                                      Handlers handlers);
  ~AgentLinks();

  // False: the node is not linked.
  bool Forward(const std::string& node, wire::ForwardRequest request, std::string body);
  void Cancel(const std::string& node, uint64_t request);

  std::string endpoint() const;
  size_t nodes() const { return nodes_.size(); }
  uint64_t dropped_garbage() const { return dropped_garbage_; }  // names not proven, bodies amiss
  uint64_t gaps() const { return gaps_; }                        // envelopes lost on the way
  const transport::LinkCounters& counters() const;

 private:
  struct Node {
    std::string peer;  // routing id of its connection
    Time heard;
    uint64_t sent = 0, received = 0;  // sequence numbers
    wire::Envelope outbox;
    transport::Bodies bodies;
    bool waiting = false;  // to be flushed
  };

  AgentLinks(boost::asio::io_context& loop, const GatewayClock& clock, Options options,
             Handlers handlers);
  void OnIncoming(transport::ServerLink::Incoming in);
  bool OnHello(const transport::ServerLink::Incoming& in, const wire::LinkHello& hello);
  void OnResponse(const std::string& node, wire::Message& message, std::string body);
  wire::Message* Add(Node& node);
  void FlushSoon();
  void Flush();
  void Sweep();
  void Unlink(const std::string& node);

  boost::asio::io_context& loop_;
  const GatewayClock& clock_;
  Options options_;
  Handlers handlers_;
  std::map<std::string, Node> nodes_;  // linked ones, by name
  bool flush_posted_ = false;
  uint64_t dropped_garbage_ = 0, gaps_ = 0;
  boost::asio::steady_timer timer_;
  std::unique_ptr<transport::ServerLink> link_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);  // for what is posted
};

}  // namespace allot::gateway
