#include "common/config/tree.h"

#include <algorithm>

namespace allot::config {

Status TreeBuilder::Begin(NodeType type, Place at) {
  if (open_.size() >= kDepthMax) {
    return InvalidArgument("nested deeper than {} levels", kDepthMax);
  }
  RETURN_IF_ERROR(Add({.type = type, .at = at}));
  const auto index = static_cast<uint32_t>(tree_->nodes_.size() - 1);
  open_.push_back({index, kNoNode, type == NodeType::kMap});
  return absl::OkStatus();
}

Status TreeBuilder::Add(Node node) {
  std::vector<Node>& nodes = tree_->nodes_;
  if (nodes.size() >= kNodesMax) return InvalidArgument("more than {} values", kNodesMax);
  const auto index = static_cast<uint32_t>(nodes.size());
  if (!open_.empty()) {
    Open& parent = open_.back();
    if (parent.is_map) {
      node.key = key_;
      node.key_at = key_at_;
      has_key_ = false;
    }
    (parent.last_child == kNoNode ? nodes[parent.node].first_child
                                  : nodes[parent.last_child].next) = index;
    parent.last_child = index;
    ++nodes[parent.node].children;
  }
  nodes.push_back(node);
  return absl::OkStatus();
}

Place PlaceOf(const Tree& tree, std::string_view path) {
  const Node* here = &tree.root();
  while (!path.empty()) {
    const Node* next = tree.child(*here);
    if (path.starts_with('[')) {
      size_t index = 0;
      for (path.remove_prefix(1); !path.empty() && path[0] != ']'; path.remove_prefix(1)) {
        index = index * 10 + static_cast<size_t>(path[0] - '0');
      }
      path.remove_prefix(std::min<size_t>(path.size(), 1));
      while (next != nullptr && index-- > 0) next = tree.next(*next);
    } else {
      if (path.starts_with('.')) path.remove_prefix(1);
      const std::string_view key = path.substr(0, path.find_first_of(".["));
      path.remove_prefix(key.size());
      while (next != nullptr && next->key != key) next = tree.next(*next);
    }
    if (next == nullptr) break;
    here = next;
  }
  return here->at;
}

}  // namespace allot::config
