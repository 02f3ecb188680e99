#include "scheduler/core/power.h"

#include <algorithm>
#include <utility>

namespace allot::scheduler {
namespace {

std::optional<MilliWatt> CapOf(const std::map<std::string, MilliWatt>& named,
                               const std::string& name, std::optional<MilliWatt> otherwise) {
  const auto it = named.find(name);
  return it != named.end() ? std::optional(it->second) : otherwise;
}

}  // namespace

void PowerBook::TakeCaps(Node& node) const {
  node.line.cap = CapOf(caps_.nodes, node.name, caps_.node);
}

void PowerBook::TakeCaps(Rack& rack) const {
  if (&rack == &racks_[kNoRack]) return;  // Nodes without a rack share nothing.
  rack.line.cap = CapOf(caps_.racks, rack.name, caps_.rack);
}

void PowerBook::SetCaps(const PowerCaps& caps) {
  caps_ = caps;
  capped_ = caps != PowerCaps{};
  cluster_.cap = caps.cluster;
  for (Rack& rack : racks_) TakeCaps(rack);
  for (Node& node : nodes_) TakeCaps(node);
}

PowerBook::RackId PowerBook::Intern(const std::string& rack) {
  if (rack.empty()) return kNoRack;
  const auto [it, added] = rack_ids_.try_emplace(rack, static_cast<RackId>(racks_.size()));
  if (added) {
    racks_.emplace_back().name = rack;
    TakeCaps(racks_.back());
  }
  return it->second;
}

void PowerBook::Describe(uint32_t i, const std::string& name, const std::string& rack) {
  if (i >= nodes_.size()) nodes_.resize(i + 1);
  Node& node = nodes_[i];
  const RackId before = node.rack, after = Intern(rack);
  if (node.name != name) {
    node.name = name;
    TakeCaps(node);
  }
  if (before == after) return;
  // It moved, and takes what is leased on it along.
  node.rack = after;
  std::erase(racks_[before].nodes, i);
  if (after != kNoRack) racks_[after].nodes.push_back(i);
  Add(before, -node.line.leased, -node.line.lasting);
  Add(after, node.line.leased, node.line.lasting);
}

void PowerBook::Add(RackId id, MilliWatt change, MilliWatt lasting) {
  if (id == kNoRack) return;
  Rack& rack = racks_[id];
  rack.line.leased += change;
  rack.line.lasting += lasting;
  if (change >= 0 || !std::exchange(rack.awaited, false)) return;
  if (std::exchange(rack.freed, true)) return;
  freed_.push_back(id);
}

bool PowerBook::SetLeased(uint32_t i, MilliWatt leased, MilliWatt lasting) {
  Node& node = nodes_[i];
  const MilliWatt change = leased - node.line.leased;
  const MilliWatt of_lasting = lasting - node.line.lasting;
  if (change != 0 || of_lasting != 0) {
    node.line.leased = leased;
    node.line.lasting = lasting;
    Add(node.rack, change, of_lasting);
    cluster_.leased += change;
    cluster_.lasting += of_lasting;
    if (change < 0 && std::exchange(cluster_awaited_, false)) cluster_freed_ = true;
  }
  return cluster_freed_ || !freed_.empty();
}

std::vector<PowerBook::RackId> PowerBook::TakeFreedRacks() {
  for (const RackId id : freed_) racks_[id].freed = false;
  return std::exchange(freed_, {});
}

bool PowerBook::TakeFreedCluster() { return std::exchange(cluster_freed_, false); }

std::optional<PowerScope> PowerTrial::Refusal(uint32_t node, MilliWatt power) const {
  const PowerBook::RackId rack = book_.rack_of(node);
  if (Refuses(book_.node(node), At(nodes_, node) + power)) return PowerScope::kNode;
  if (Refuses(book_.rack(rack), At(racks_, rack) + power)) return PowerScope::kRack;
  if (Refuses(book_.cluster(), cluster_ + power)) return PowerScope::kCluster;
  return std::nullopt;
}

bool PowerTrial::Allows(uint32_t node, MilliWatt power) const {
  const std::optional<PowerScope> by = Refusal(node, power);
  if (by) Refuse(*by, node);
  return !by;
}

void PowerTrial::Refuse(PowerScope by, uint32_t node) const {
  refused_ = true;
  if (by == PowerScope::kRack) book_.WaitForRack(book_.rack_of(node));
  if (by == PowerScope::kCluster) book_.WaitForCluster();
}

void PowerTrial::Take(uint32_t node, MilliWatt power) {
  const PowerBook::RackId rack = book_.rack_of(node);
  if (node >= nodes_.size()) nodes_.resize(node + 1);
  if (rack >= racks_.size()) racks_.resize(rack + 1);
  nodes_[node] += power;
  racks_[rack] += power;
  cluster_ += power;
  touched_.push_back(node);
}

MilliWatt PowerTrial::Taken(PowerScope scope, uint32_t node) const {
  switch (scope) {
    case PowerScope::kNode:
      return At(nodes_, node);
    case PowerScope::kRack:
      return At(racks_, book_.rack_of(node));
    case PowerScope::kCluster:
      break;
  }
  return cluster_;
}

void PowerTrial::Forget() {
  for (const uint32_t node : touched_) {
    nodes_[node] = 0;
    racks_[book_.rack_of(node)] = 0;
  }
  touched_.clear();
  cluster_ = 0;
}

}  // namespace allot::scheduler
