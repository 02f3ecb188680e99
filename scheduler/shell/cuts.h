// Which gateways do not reach which nodes, and which nodes cannot come at all. Soft, and for people
// only: nothing is decided by it. Pure; loop thread.
//
// The scheduler sees gateways and nodes, each over its own link, and never what is between them. A
// cut there shows in a gateway's answers alone, so gateways tell who is linked to them. A node just
// registered has not dialled anybody yet: it counts as not reached when it has been missing for a
// while.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/base/units.h"

namespace allot::scheduler {

struct Unreached {
  std::string gateway, node;
  std::string why;  // as far as the gateway knows; may be empty
};

class Cuts {
 public:
  static constexpr Duration kLinkingMax = std::chrono::seconds(8);

  // What a gateway says of itself. Before its first word, nothing is known.
  void Told(const std::string& gateway, std::set<std::string> linked,
            std::map<std::string, std::string> why) {
    View& view = views_[gateway];
    view.linked = std::move(linked);
    view.why = std::move(why);
  }
  void Forget(const std::string& gateway) { views_.erase(gateway); }

  // Looks at the nodes that are registered now. Returns what has become true since the last time,
  // for the log; `healed` gets what no longer is.
  std::vector<Unreached> Look(Time now, const std::vector<std::string>& nodes,
                              std::vector<Unreached>* healed) {
    std::vector<Unreached> news;
    for (auto& [gateway, view] : views_) {
      std::map<std::string, Missing> missing;
      for (const std::string& node : nodes) {
        if (view.linked.contains(node)) continue;
        const auto before = view.missing.find(node);
        Missing& now_missing = missing[node];
        now_missing = before == view.missing.end() ? Missing{now, false} : before->second;
        if (now_missing.said || now - now_missing.since < kLinkingMax) continue;
        now_missing.said = true;
        news.push_back({gateway, node, view.WhyOf(node)});
      }
      for (const auto& [node, gone] : view.missing)
        if (gone.said && !missing.contains(node)) healed->push_back({gateway, node, ""});
      view.missing = std::move(missing);
    }
    return news;
  }

  // How many nodes are linked to it; absent: it never said.
  std::optional<size_t> LinkedTo(const std::string& gateway) const {
    const auto it = views_.find(gateway);
    return it == views_.end() ? std::nullopt : std::optional(it->second.linked.size());
  }
  // Ordered by gateway, then node.
  std::vector<Unreached> All() const {
    std::vector<Unreached> all;
    for (const auto& [gateway, view] : views_)
      for (const auto& [node, missing] : view.missing)
        if (missing.said) all.push_back({gateway, node, view.WhyOf(node)});
    return all;
  }
  // Gateways that do not reach `node`.
  std::vector<std::string> WhoMisses(const std::string& node) const {
    std::vector<std::string> who;
    for (const auto& [gateway, view] : views_) {
      const auto it = view.missing.find(node);
      if (it != view.missing.end() && it->second.said) who.push_back(gateway);
    }
    return who;
  }

 private:
  struct Missing {
    Time since;
    bool said = false;  // for longer than linking takes
  };
  struct View {
    std::set<std::string> linked;
    std::map<std::string, std::string> why;
    std::map<std::string, Missing> missing;
    std::string WhyOf(const std::string& node) const {
      const auto it = why.find(node);
      return it == why.end() ? "" : it->second;
    }
  };
  std::map<std::string, View> views_;  // by gateway
};

}  // namespace allot::scheduler
