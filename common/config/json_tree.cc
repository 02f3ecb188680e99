// JSON to a tree, through Boost.JSON's parser events: its values keep the last of two equal keys
// without a word, and building them would cost twice.
#include <algorithm>

#include "common/base/text.h"
#include "common/config/tree.h"
#include "common/json/json.h"

#include <boost/json/basic_parser_impl.hpp>

namespace allot::config {
namespace {

class Handler {
 public:
  static constexpr std::size_t max_object_size = std::size_t(-1);
  static constexpr std::size_t max_array_size = std::size_t(-1);
  static constexpr std::size_t max_key_size = std::size_t(-1);
  static constexpr std::size_t max_string_size = std::size_t(-1);

  Handler(Tree* tree, std::string_view document) : builder_(tree), document_(document) {}
  Status status;  // Why parsing was stopped, if by us.

  using Error = json::error_code;
  bool on_document_begin(Error&) { return true; }
  bool on_document_end(Error&) { return true; }
  bool on_object_begin(Error& e) { return Take(builder_.Begin(NodeType::kMap, {}), e); }
  bool on_object_end(std::size_t, Error&) { return End(); }
  bool on_array_begin(Error& e) { return Take(builder_.Begin(NodeType::kList, {}), e); }
  bool on_array_end(std::size_t, Error&) { return End(); }
  bool on_key_part(json::string_view s, std::size_t, Error&) { return Part(s); }
  bool on_key(json::string_view s, std::size_t, Error&) {
    builder_.Key(Text(s), {});
    return true;
  }
  bool on_string_part(json::string_view s, std::size_t, Error&) { return Part(s); }
  bool on_string(json::string_view s, std::size_t, Error& e) {
    return Scalar({.type = NodeType::kString, .text = Text(s)}, e);
  }
  bool on_number_part(json::string_view, Error&) { return true; }
  bool on_int64(int64_t i, json::string_view, Error& e) {
    return Scalar({.type = NodeType::kInteger, .integer = i}, e);
  }
  bool on_uint64(uint64_t u, json::string_view, Error& e) {
    return Scalar({.type = NodeType::kUnsigned, .whole = u}, e);
  }
  bool on_double(double d, json::string_view, Error& e) {
    return Scalar({.type = NodeType::kReal, .real = d}, e);
  }
  bool on_bool(bool b, Error& e) { return Scalar({.type = NodeType::kBool, .truth = b}, e); }
  bool on_null(Error& e) { return Scalar({.type = NodeType::kNull}, e); }
  bool on_comment_part(json::string_view, Error&) { return true; }
  bool on_comment(json::string_view, Error&) { return true; }

 private:
  bool Take(const Status& result, Error& e) {
    if (result.ok()) return true;
    status = result;
    e = json::error::too_deep;  // Any error stops the parser; ours says why.
    return false;
  }
  bool Scalar(const Node& node, Error& e) { return Take(builder_.Scalar(node), e); }
  bool End() {
    builder_.End();
    return true;
  }
  bool Part(json::string_view s) {
    parts_.append(s.data(), s.size());
    return true;
  }
  // The whole text whose last piece is `s`: a view into the document where it lies there.
  std::string_view Text(json::string_view s) {
    const bool within =
        s.data() >= document_.data() && s.data() + s.size() <= document_.data() + document_.size();
    if (parts_.empty() && within) return {s.data(), s.size()};
    parts_.append(s.data(), s.size());
    return builder_.Keep(std::exchange(parts_, {}));
  }

  TreeBuilder builder_;
  std::string_view document_;
  std::string parts_;
};

}  // namespace

Status ParseJson(std::string_view text, Tree* tree, const std::string& name) {
  if (text.size() > kDocumentBytesMax) {
    return InvalidArgument("{}: {} bytes; a document may have {} at most", name, text.size(),
                           kDocumentBytesMax);
  }
  if (!IsValidUtf8(text)) return InvalidArgument("{}: not valid UTF-8", name);
  json::parse_options options;
  options.max_depth = kDepthMax + 2;  // The builder's own check comes first and says so better.
  json::basic_parser<Handler> parser(options, tree, text);
  json::error_code error;
  size_t read = parser.write_some(false, text.data(), text.size(), error);
  if (!error) {
    const size_t more = text.find_first_not_of(" \t\r\n", read);
    if (more == std::string_view::npos) return absl::OkStatus();
    read = more;
    error = json::error::extra_data;
  }
  if (!parser.handler().status.ok()) {
    return InvalidArgument("{}: {}", name, MessageOf(parser.handler().status));
  }
  const std::string_view before = text.substr(0, read);
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const auto column = before.size() - (before.rfind('\n') + 1) + 1;
  return InvalidArgument("{}:{}:{}: not valid JSON: {}", name, line, column,
                         text.find_first_not_of(" \t\r\n") == std::string_view::npos
                             ? fmt::format("the {} is empty", name == "body" ? name : "file")
                             : error.message());
}

}  // namespace allot::config
