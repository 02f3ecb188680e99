// The agents that dialled us: which node is behind which connection, what goes there, what comes.
//
// A node is linked from the LinkHello that brings back the token it was given (openings.h) until it
// falls silent or opens another link. Bodies leave in pieces, at the pace the link bears, and
// pieces that arrive are acknowledged; agents of builds that know nothing of this are linked by
// their first hello and get bodies whole. What is sent within one turn of the loop leaves as few
// envelopes a node. One thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/asio/timer.h"
#include "common/base/rng.h"
#include "common/base/status.h"
#include "common/base/units.h"
#include "common/transport/link.h"
#include "common/transport/pieces.h"
#include "gateway/clock.h"
#include "gateway/openings.h"

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
  // `total` bytes of the answer may have been sent by then; see ForwardRequest.window.
  void Grant(const std::string& node, uint64_t request, uint64_t total);

  bool linked(const std::string& node) const { return nodes_.contains(node); }
  std::vector<std::string> names() const;  // of those linked, ordered
  // Grows with every link that is made or lost.
  uint64_t changes() const { return changes_; }
  // Why nodes that are not linked are not, of those that could tell us.
  const std::map<std::string, std::string>& troubles() const { return troubles_; }

  // Another key by which agents may know us, and one by which they are to dial no more.
  Status AddKey(const transport::KeyPair& keys) { return link_->AddKey(keys); }
  void DropKey(const std::string& public_key) { link_->DropKey(public_key); }

  std::string endpoint() const;
  size_t nodes() const { return nodes_.size(); }
  uint64_t dropped_garbage() const { return dropped_garbage_; }  // names not proven, bodies amiss
  uint64_t gaps() const { return gaps_; }                        // envelopes lost on the way
  uint64_t stale() const {
    return stale_ + openings_.stale();
  }  // words of connections that are over
  const transport::LinkCounters& counters() const;
  const transport::GateCounters& gate() const { return link_->gate(); }

 private:
  struct Node {
    std::string peer;  // routing id of its connection
    uint64_t incarnation = 0;
    bool pieces = false;
    Time heard, spoken;
    uint64_t sent = 0, received = 0;  // sequence numbers
    wire::Envelope outbox;
    transport::Bodies bodies;  // whole ones, to an agent that takes no pieces
    transport::PieceSender sender{/*paced=*/false};
    std::map<uint64_t, wire::ForwardRequest> heads;  // of requests none of which has left yet
    transport::PieceCounter arrived;
    bool waiting = false;  // to be flushed
  };

  AgentLinks(boost::asio::io_context& loop, const GatewayClock& clock, Options options,
             Handlers handlers);
  void OnIncoming(transport::ServerLink::Incoming in);
  bool OnHello(const transport::ServerLink::Incoming& in, const wire::LinkHello& hello);
  Node* Open(const transport::ServerLink::Incoming& in, const wire::LinkHello& hello);
  void OnProbe(const transport::ServerLink::Incoming& in, const wire::PathProbe& probe);
  bool OnBody(Node& node, const wire::Message& message, transport::ServerLink::Incoming& in,
              size_t* next, std::string* body);
  void OnResponse(const std::string& node, wire::Message& message, std::string body);
  wire::Message* Add(Node& node);
  void Welcome(Node& node);
  void Wake(Node& node);  // It has something to say, at the end of this turn.
  void Flush();
  // False: undeliverable.
  bool FlushNode(Node& node);
  bool Fill(Node& node, transport::Bodies* bodies);
  bool Answer(const std::string& peer, uint64_t incarnation, wire::Envelope envelope);
  void Sweep();
  void Unlink(const std::string& node);

  boost::asio::io_context& loop_;
  const GatewayClock& clock_;
  Options options_;
  Handlers handlers_;
  std::map<std::string, Node> nodes_;  // linked ones, by name
  Openings openings_;
  std::map<std::string, std::string> troubles_;  // by node; of those not linked
  Rng rng_;                                      // tokens
  bool flush_posted_ = false;
  uint64_t dropped_garbage_ = 0, gaps_ = 0, stale_ = 0, changes_ = 0;
  Timer timer_;
  std::unique_ptr<transport::ServerLink> link_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);  // for what is posted
};

}  // namespace allot::gateway
