#include <algorithm>
#include <map>
#include <tuple>

#include "scheduler/core/explainer.h"

namespace allot::scheduler {
namespace {

// What one cap refuses.
struct Refused {
  PowerLine line;
  uint32_t node = 0;  // one of them
  uint32_t nodes = 0;
  MilliWatt least = 0;  // of one task, on the node where it draws least
};

std::string Place(PowerScope scope, const std::string& name) {
  switch (scope) {
    case PowerScope::kNode:
      return "node " + name;
    case PowerScope::kRack:
      return "rack " + name;
    case PowerScope::kCluster:
      break;
  }
  return "the cluster";
}

}  // namespace

// Places what fits as the search would when it is short of power (see placement_power.cc), then
// asks of every node with room left who refuses one more.
void Explainer::LookAtPower(const Demand& demand, Survey& survey) const {
  const PowerBook& book = ledger_.index().power();
  PowerTrial trial(book);
  std::vector<const NodeVerdict*> ways;
  uint64_t without_caps = 0;
  for (const NodeVerdict& verdict : survey.nodes) {
    if (verdict.obstacle != Obstacle::kNone && verdict.obstacle != Obstacle::kPower) continue;
    ways.push_back(&verdict);
    without_caps += verdict.room;
  }
  std::sort(ways.begin(), ways.end(), [](const NodeVerdict* a, const NodeVerdict* b) {
    return std::tie(a->power, a->score, a->node) < std::tie(b->power, b->score, b->node);
  });
  survey.tasks = 0;
  std::map<std::pair<PowerScope, std::string>, Refused> refused;
  for (const NodeVerdict* way : ways) {
    for (uint64_t n = 0; n < way->room; ++n) {
      const std::optional<PowerScope> by = trial.Refusal(way->node, way->power);
      if (!by) {
        if (survey.tasks < demand.tasks) trial.Take(way->node, way->power);
        ++survey.tasks;
        continue;
      }
      const PowerBook::RackId rack = book.rack_of(way->node);
      const bool node = *by == PowerScope::kNode, cluster = *by == PowerScope::kCluster;
      const std::string& name = ledger_.state().nodes()[way->node].info->name;
      const auto [it, fresh] = refused.try_emplace({*by, node      ? name
                                                         : cluster ? ""
                                                                   : book.rack_name(rack)});
      it->second.line = node ? book.node(way->node) : cluster ? book.cluster() : book.rack(rack);
      if (fresh) it->second.least = way->power;
      it->second.node = way->node;
      ++it->second.nodes;
      break;
    }
  }
  if (survey.tasks >= demand.tasks) return;
  survey.roomy = without_caps >= demand.tasks;
  const uint64_t missing = demand.tasks - survey.tasks;
  size_t left = 8;  // Of a thousand nodes or racks the first are told, and the rest counted.
  uint32_t untold = 0;
  for (const auto& [key, cap] : refused) {
    if (left == 0) {
      untold += cap.nodes;
      continue;
    }
    --left;
    const auto& [scope, name] = key;
    const std::string place = Place(scope, name);
    survey.reasons.push_back(Reason{
        WaitReason::kPowerCap, cap.nodes,
        fmt::format("{} node{} with room, but {} has {} of its power cap of {} leased, and a task "
                    "draws {} at most",
                    cap.nodes, cap.nodes == 1 ? "" : "s", place, FormatPower(cap.line.leased),
                    FormatPower(*cap.line.cap), FormatPower(cap.least))});
    // The tasks that fit draw some of it too.
    const MilliWatt wanted =
        trial.Taken(scope, cap.node) + cap.least * static_cast<MilliWatt>(missing);
    const MilliWatt over = cap.line.leased + wanted - *cap.line.cap;
    if (over <= cap.line.leased)
      survey.remedies.push_back(fmt::format("{} to be freed in {}", FormatPower(over), place));
    survey.remedies.push_back(
        fmt::format("a power cap of {} for {}", FormatPower(cap.line.leased + wanted), place));
  }
  if (untold > 0) {
    survey.reasons.push_back(Reason{WaitReason::kPowerCap, untold,
                                    fmt::format("{} more nodes under other power caps", untold)});
  }
}

}  // namespace allot::scheduler
