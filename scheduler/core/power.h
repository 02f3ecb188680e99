// What may be leased in watts and what is: of every node, every rack and the cluster.
//
// A lease counts with what its devices draw at most (TaskPlacement::power, recorded when it was
// taken), so a cap holds whatever the work does, and a change of policy or catalogue does not
// change the books of what runs. A cap below what is leased stops nothing and lets nothing in.
// Derived from ClusterState and the policy; part of PlacementIndex. Row i is the node with id i
// + 1.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/model/policy.h"

namespace allot::scheduler {

enum class PowerScope : uint8_t { kNode, kRack, kCluster };

// A cap and what is leased under it.
struct PowerLine {
  MilliWatt leased = 0;
  MilliWatt lasting = 0;  // of it by replicas, which do not end as jobs do
  std::optional<MilliWatt> cap;
};

class PowerBook {
 public:
  using RackId = uint32_t;
  static constexpr RackId kNoRack = 0;  // of nodes without a label "rack"

  void SetCaps(const PowerCaps& caps);
  // `rack` may be empty.
  void Describe(uint32_t node, const std::string& name, const std::string& rack);
  // True if somebody who waited for a rack or the cluster may go on: see TakeFreedRacks.
  bool SetLeased(uint32_t node, MilliWatt leased, MilliWatt lasting);

  bool capped() const { return capped_; }  // is there any cap?
  RackId rack_of(uint32_t node) const { return nodes_[node].rack; }
  const PowerLine& node(uint32_t i) const { return nodes_[i].line; }
  const PowerLine& rack(RackId id) const { return racks_[id].line; }
  const std::string& rack_name(RackId id) const { return racks_[id].name; }
  const PowerLine& cluster() const { return cluster_; }
  const std::vector<uint32_t>& nodes_of(RackId id) const { return racks_[id].nodes; }
  // Names in order, of racks that have or had nodes.
  const std::map<std::string, RackId>& racks() const { return rack_ids_; }

  // A search that a rack or the cluster refused wants to hear when that has gained room; a node's
  // own gains are told by its row.
  void WaitForRack(RackId id) const { racks_[id].awaited = true; }
  void WaitForCluster() const { cluster_awaited_ = true; }
  // Racks and the cluster that gained room since somebody began to wait for it; forgets them.
  std::vector<RackId> TakeFreedRacks();
  bool TakeFreedCluster();

 private:
  struct Node {
    std::string name;
    RackId rack = kNoRack;
    PowerLine line;
  };
  struct Rack {
    std::string name;
    PowerLine line;
    std::vector<uint32_t> nodes;   // in no order that may decide anything
    mutable bool awaited = false;  // the book is read by searches that may not change it
    bool freed = false;
  };
  RackId Intern(const std::string& rack);
  void Add(RackId rack, MilliWatt change, MilliWatt lasting);
  void TakeCaps(Node& node) const;
  void TakeCaps(Rack& rack) const;

  PowerCaps caps_;
  bool capped_ = false;
  std::vector<Node> nodes_;
  std::vector<Rack> racks_{1};
  std::map<std::string, RackId> rack_ids_;
  std::vector<RackId> freed_;
  PowerLine cluster_;
  mutable bool cluster_awaited_ = false;
  bool cluster_freed_ = false;
};

// The book with what a search has taken on trial. Costs one comparison where there is no cap.
class PowerTrial {
 public:
  // kLasting: as if all jobs had ended.
  enum class From : uint8_t { kLeased, kLasting };
  explicit PowerTrial(const PowerBook& book, From from = From::kLeased)
      : book_(book), lasting_(from == From::kLasting) {}

  // May so much more be leased on the node? If not, whoever refuses is waited for.
  bool Allows(uint32_t node, MilliWatt power) const;
  // Somebody was refused by this scope (of the node) and waits for it.
  void Refuse(PowerScope by, uint32_t node) const;
  // The scope that refuses it, the narrowest first; nullopt if none does.
  std::optional<PowerScope> Refusal(uint32_t node, MilliWatt power) const;
  void Take(uint32_t node, MilliWatt power);
  // In this scope (of the node).
  MilliWatt Taken(PowerScope scope, uint32_t node) const;
  // Was anything refused since the last Begin?
  bool refused() const { return refused_; }
  void Begin() const { refused_ = false; }
  // Gives back all that was taken.
  void Forget();

 private:
  static MilliWatt At(const std::vector<MilliWatt>& taken, size_t i) {
    return i < taken.size() ? taken[i] : 0;
  }

  bool Refuses(const PowerLine& line, MilliWatt more) const {
    return line.cap && (lasting_ ? line.lasting : line.leased) + more > *line.cap;
  }

  const PowerBook& book_;
  const bool lasting_;
  std::vector<MilliWatt> nodes_, racks_;  // taken
  MilliWatt cluster_ = 0;
  std::vector<uint32_t> touched_;  // nodes
  mutable bool refused_ = false;
};

}  // namespace allot::scheduler
