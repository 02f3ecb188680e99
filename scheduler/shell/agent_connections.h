// Which connection each node's commands go to. Loop thread only.
//
// A node is bound to a connection when it is welcomed over it, or says more than a registration
// over it: whoever only claims to be the node never draws its commands to itself.
#pragma once

#include <string>

#include "absl/container/flat_hash_map.h"
#include "scheduler/core/events.h"

namespace allot::scheduler {

class AgentConnections {
 public:
  // The core is handling what `node` said over `peer`, until Spoke.
  void Speaks(const std::string& node, const std::string& peer) {
    speaking_node_ = node;
    speaking_peer_ = peer;
  }
  void Spoke() {
    speaking_node_.clear();
    speaking_peer_.clear();
  }
  void Bind(const std::string& node, const std::string& peer) { peers_[node] = peer; }
  // As Bind, unless the node speaks from a connection that is younger: a dead one delivers what it
  // had on its way when the path heals, and must not draw to itself what the living one waits for.
  // `older`: did the first connection begin before the second? False: it is too old.
  template <class Older>
  bool BindUnlessOlder(const std::string& node, const std::string& peer, const Older& older) {
    const auto [it, fresh] = peers_.try_emplace(node, peer);
    if (fresh || it->second == peer) return true;
    if (older(peer, it->second)) return false;
    it->second = peer;
    return true;
  }

  // `peer` is no way to `node` any more.
  void Unbind(const std::string& node, const std::string& peer) {
    if (const auto it = peers_.find(node); it != peers_.end() && it->second == peer)
      peers_.erase(it);
  }

  // Called in the step that gave the command. The connection it answers, whatever the node speaks
  // from by the time it leaves; empty: the one that Find gives then. A step may also have something
  // to say to nodes that did not speak (a Welcome that is repeated), and that answers nobody.
  std::string AnsweredBy(const SendToAgent& command) {
    if (command.node != speaking_node_) return "";
    if (std::holds_alternative<Refuse>(command.message)) return speaking_peer_;
    if (std::holds_alternative<Welcome>(command.message)) Bind(command.node, speaking_peer_);
    return "";
  }
  // Null if the node has none.
  const std::string* Find(const std::string& node) const {
    const auto it = peers_.find(node);
    return it == peers_.end() ? nullptr : &it->second;
  }

 private:
  absl::flat_hash_map<std::string, std::string> peers_;  // node → routing id
  std::string speaking_node_, speaking_peer_;
};

}  // namespace allot::scheduler
