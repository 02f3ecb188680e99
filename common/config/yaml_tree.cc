// YAML to a tree, through yaml-cpp's events (the only ones that show aliases, and duplicate keys
// before one of them is gone). yaml-cpp throws; nothing it throws leaves this file.
#include <algorithm>
#include <istream>
#include <streambuf>

#include "common/base/text.h"
#include "common/config/tree.h"
#include "yaml-cpp/eventhandler.h"
#include "yaml-cpp/yaml.h"

namespace allot::config {
namespace {

struct Stop {  // Thrown through yaml-cpp to leave a document that is already refused.
  YAML::Mark mark;
  Status status;
};

Place ToPlace(const YAML::Mark& mark) {
  if (mark.is_null()) return {1, 1};
  return {static_cast<uint32_t>(mark.line) + 1, static_cast<uint32_t>(mark.column) + 1};
}

Status ErrorAt(const std::string& file_name, Place at, std::string_view text) {
  return InvalidArgument("{}:{}:{}: {}", file_name, at.line, at.column, text);
}

class Handler : public YAML::EventHandler {
 public:
  explicit Handler(Tree* tree) : builder_(tree) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    CheckNode(mark, "?", anchor);
    if (builder_.wants_key()) {
      Refuse(mark, "a key is missing before the ':'");
    }
    Take(mark, builder_.Scalar({.type = NodeType::kNull, .at = ToPlace(mark)}));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    Refuse(mark, "aliases (*name) are not taken; write the value out");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    CheckNode(mark, tag, anchor);
    if (builder_.wants_key()) {
      builder_.Key(builder_.Keep(value), ToPlace(mark));
      return;
    }
    Take(mark, builder_.Scalar({.type = tag == "!" ? NodeType::kString : NodeType::kPlain,
                                .at = ToPlace(mark),
                                .text = builder_.Keep(value)}));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Begin(NodeType::kList, mark, tag, anchor);
  }
  void OnSequenceEnd() override { builder_.End(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Begin(NodeType::kMap, mark, tag, anchor);
  }
  void OnMapEnd() override { builder_.End(); }
  void OnAnchor(const YAML::Mark& mark, const std::string&) override {
    Refuse(mark, "anchors (&name) are not taken; write the value out");
  }

  bool empty() const { return builder_.empty(); }
  // An empty file is an empty map: what is missing is then said key by key.
  void FillEmpty() {
    (void)builder_.Begin(NodeType::kMap, {1, 1});
    builder_.End();
  }

 private:
  [[noreturn]] static void Refuse(const YAML::Mark& mark, std::string_view text) {
    throw Stop{mark, InvalidArgument("{}", text)};
  }
  static void Take(const YAML::Mark& mark, const Status& status) {
    if (!status.ok()) throw Stop{mark, status};
  }
  static void CheckNode(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (anchor != 0) Refuse(mark, "anchors (&name) are not taken; write the value out");
    if (tag != "?" && tag != "!" && !tag.empty()) {
      Refuse(mark, "tags (!name) are not taken; write the plain value");
    }
  }
  void Begin(NodeType type, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    CheckNode(mark, tag, anchor);
    if (builder_.wants_key()) Refuse(mark, "a key must be a word, not a list or map");
    Take(mark, builder_.Begin(type, ToPlace(mark)));
  }

  TreeBuilder builder_;
};

// yaml-cpp reads a stream; this one reads the text where it lies.
class View : public std::streambuf {
 public:
  explicit View(std::string_view text) {
    char* begin = const_cast<char*>(text.data());  // Only ever read.
    setg(begin, begin, begin + text.size());
  }
};

// First byte YAML does not allow, or npos. yaml-cpp takes 0x04 for the end of the file and would
// cut the document there without a word.
size_t FindControl(std::string_view text) {
  const auto control = [](char c) {
    const auto byte = static_cast<uint8_t>(c);
    return (byte < 0x20 && c != '\t' && c != '\n' && c != '\r') || byte == 0x7F;
  };
  const auto at = std::find_if(text.begin(), text.end(), control);
  return at == text.end() ? std::string_view::npos : static_cast<size_t>(at - text.begin());
}

Place PlaceOf(std::string_view text, size_t offset) {
  const std::string_view before = text.substr(0, offset);
  const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0.
  return {static_cast<uint32_t>(std::count(before.begin(), before.end(), '\n')) + 1,
          static_cast<uint32_t>(offset - line_start) + 1};
}

Status CheckText(std::string_view text, const std::string& file_name) {
  if (text.size() > kDocumentBytesMax) {
    return InvalidArgument("{}: {} bytes; a document may have {} at most", file_name, text.size(),
                           kDocumentBytesMax);
  }
  if (!IsValidUtf8(text)) {
    size_t line = 1;
    for (size_t start = 0; start < text.size(); ++line) {  // A line break ends every character.
      const size_t end = std::min(text.find('\n', start), text.size());
      if (!IsValidUtf8(text.substr(start, end - start))) break;
      start = end + 1;
    }
    return InvalidArgument("{}:{}: not valid UTF-8; save the file as UTF-8", file_name, line);
  }
  if (const size_t at = FindControl(text); at != std::string_view::npos) {
    return ErrorAt(file_name, PlaceOf(text, at),
                   fmt::format("control character 0x{:02x} is not allowed",
                               static_cast<unsigned>(static_cast<uint8_t>(text[at]))));
  }
  return absl::OkStatus();
}

}  // namespace

Status ParseYaml(std::string_view text, const std::string& file_name, Tree* tree) {
  RETURN_IF_ERROR(CheckText(text, file_name));
  try {
    View view(text);
    std::istream stream(&view);
    YAML::Parser parser(stream);
    Handler handler(tree);
    parser.HandleNextDocument(handler);
    if (handler.empty()) {
      handler.FillEmpty();
      return absl::OkStatus();
    }
    Tree second;
    Handler rest(&second);
    if (parser.HandleNextDocument(rest)) {
      const Place at = rest.empty() ? Place{1, 1} : second.root().at;
      return ErrorAt(file_name, at, "a second document starts here; one a file is taken");
    }
  } catch (const Stop& stop) {
    return ErrorAt(file_name, ToPlace(stop.mark), MessageOf(stop.status));
  } catch (const YAML::Exception& e) {
    if (e.mark.is_null()) return InvalidArgument("{}: not valid YAML: {}", file_name, e.msg);
    return ErrorAt(file_name, ToPlace(e.mark), "not valid YAML: " + e.msg);
  } catch (const std::exception& e) {
    return InvalidArgument("{}: not valid YAML: {}", file_name, e.what());
  }
  return absl::OkStatus();
}

}  // namespace allot::config
