#include "common/config/tree.h"

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

}  // namespace allot::config
