// What a YAML file and a JSON body have in common: a small tree of values with their places.
//
// Filled by one of two parsers (yaml_tree.cc, json_tree.cc), read by the binder. Strings are views
// into the text or into the tree's own storage, so the text must outlive the tree. Internal to
// common/config.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace allot::config {

inline constexpr size_t kDocumentBytesMax = 4 << 20;
inline constexpr size_t kDepthMax = 64;
inline constexpr size_t kNodesMax = 200'000;

struct Place {  // From 1; line 0: unknown (JSON).
  uint32_t line = 0, column = 0;
};

enum class NodeType : uint8_t {
  kNull,
  kBool,      // JSON only, as are the three kinds of number
  kInteger,   // whole, fits int64
  kUnsigned,  // whole, above int64
  kReal,
  kString,  // quoted
  kPlain,   // YAML: unquoted; what it is depends on the field it is meant for
  kList,
  kMap,
};

inline constexpr uint32_t kNoNode = UINT32_MAX;

struct Node {
  NodeType type = NodeType::kNull;
  std::string_view key;  // where the parent is a map
  Place key_at, at;
  std::string_view text;  // kString, kPlain
  bool truth = false;
  int64_t integer = 0;
  uint64_t whole = 0;
  double real = 0;
  uint32_t first_child = kNoNode, next = kNoNode, children = 0;
};

class Tree {
 public:
  Tree() { nodes_.reserve(64); }
  const Node& root() const { return nodes_.front(); }
  const Node* child(const Node& node) const { return At(node.first_child); }
  const Node* next(const Node& node) const { return At(node.next); }

 private:
  friend class TreeBuilder;
  const Node* At(uint32_t i) const { return i == kNoNode ? nullptr : &nodes_[i]; }
  std::vector<Node> nodes_;
  std::deque<std::string> strings_;
};

// Adds nodes in document order. Errors name no place; the caller knows it.
class TreeBuilder {
 public:
  explicit TreeBuilder(Tree* tree) : tree_(tree) {}
  bool wants_key() const { return !open_.empty() && open_.back().is_map && !has_key_; }
  bool empty() const { return tree_->nodes_.empty(); }
  std::string_view Keep(std::string text) { return tree_->strings_.emplace_back(std::move(text)); }
  void Key(std::string_view key, Place at) {
    has_key_ = true;
    key_ = key;
    key_at_ = at;
  }
  Status Scalar(Node node) { return Add(node); }
  Status Begin(NodeType type, Place at);
  void End() { open_.pop_back(); }

 private:
  struct Open {
    uint32_t node, last_child;
    bool is_map;
  };
  Status Add(Node node);

  Tree* tree_;
  std::vector<Open> open_;
  bool has_key_ = false;
  std::string_view key_;
  Place key_at_;
};

// Where the key at `path` ("peers[1].public_key") stands, or the nearest one above it that is
// there.
Place PlaceOf(const Tree& tree, std::string_view path);

// Both check size and encoding first. An error's message starts with its place, which starts with
// `name`.
Status ParseYaml(std::string_view text, const std::string& name, Tree* tree);
Status ParseJson(std::string_view text, Tree* tree, const std::string& name = "body");

}  // namespace allot::config
