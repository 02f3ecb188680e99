#include "agent/shell/endpoint_body.h"

#include <vector>

#include "common/json/json.h"

namespace allot::agent {
namespace {

constexpr size_t kTailBytes = 8 << 10;

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// Walks over a JSON text that may be anything. Positions are npos once it makes no sense.
class Walker {
 public:
  explicit Walker(std::string_view text) : text_(text) {}
  size_t SkipBlanks(size_t at) const {
    while (at < text_.size() && IsBlank(text_[at])) ++at;
    return at;
  }
  // After the string that begins at `at`.
  size_t SkipString(size_t at) const {
    for (++at; at < text_.size(); ++at) {
      if (text_[at] == '\\') {
        ++at;
      } else if (text_[at] == '"') {
        return at + 1;
      }
    }
    return std::string_view::npos;
  }
  // After the value that begins at `at`.
  size_t SkipValue(size_t at) const {
    size_t depth = 0;
    while (at < text_.size()) {
      const char c = text_[at];
      if (c == '"') {
        at = SkipString(at);
        if (at == std::string_view::npos) return at;
        if (depth == 0) return at;
        continue;
      }
      if (c == '{' || c == '[') ++depth;
      if (c == '}' || c == ']') {
        if (depth == 0) return at;  // The end of what holds a bare word.
        if (--depth == 0) return at + 1;
      }
      if (depth == 0 && (c == ',' || IsBlank(c))) return at;
      ++at;
    }
    return std::string_view::npos;
  }

 private:
  const std::string_view text_;
};

// What a JSON string says; absent if it is none.
std::optional<std::string> TextOf(std::string_view quoted) {
  json::error_code error;
  const json::value value = json::parse({quoted.data(), quoted.size()}, error);
  if (error || !value.is_string()) return std::nullopt;
  return std::string(value.get_string().data(), value.get_string().size());
}

uint64_t CountOf(const json::object& usage, const char* key, const char* otherwise) {
  for (const char* name : {key, otherwise}) {
    const json::value* value = usage.if_contains(name);
    if (value == nullptr) continue;
    if (value->is_int64() && value->get_int64() >= 0)
      return static_cast<uint64_t>(value->get_int64());
    if (value->is_uint64()) return value->get_uint64();
  }
  return 0;
}

}  // namespace

std::string WithModel(std::string body, std::string_view model) {
  struct Span {
    size_t begin, end;
  };
  std::vector<Span> spans;
  const std::string_view text = body;
  const Walker walker(text);
  constexpr size_t kEnd = std::string_view::npos;
  size_t at = walker.SkipBlanks(0);
  if (at >= text.size() || text[at] != '{') return body;
  at = walker.SkipBlanks(at + 1);
  while (at < text.size() && text[at] == '"') {
    const size_t key_end = walker.SkipString(at);
    if (key_end == kEnd) return body;
    const bool is_model = TextOf(text.substr(at, key_end - at)) == "model";
    at = walker.SkipBlanks(key_end);
    if (at >= text.size() || text[at] != ':') return body;
    const size_t value = walker.SkipBlanks(at + 1);
    const size_t value_end = value < text.size() ? walker.SkipValue(value) : kEnd;
    if (value_end == kEnd || value_end == value) return body;
    if (is_model && text[value] == '"') spans.push_back({value, value_end});
    at = walker.SkipBlanks(value_end);
    if (at >= text.size() || text[at] != ',') break;
    at = walker.SkipBlanks(at + 1);
    if (at >= text.size() || text[at] != '"') return body;
  }
  if (at >= text.size() || text[at] != '}' || walker.SkipBlanks(at + 1) != text.size()) return body;
  const std::string quoted = json::serialize(json::value(json::string(model.data(), model.size())));
  for (auto span = spans.rbegin(); span != spans.rend(); ++span)
    body.replace(span->begin, span->end - span->begin, quoted);
  return body;
}

void UsageReader::Add(std::string_view piece) {
  if (piece.size() >= kTailBytes) {
    tail_.assign(piece.substr(piece.size() - kTailBytes));
    return;
  }
  tail_.append(piece);
  if (tail_.size() > 2 * kTailBytes) tail_.erase(0, tail_.size() - kTailBytes);
}

std::optional<TokenUsage> UsageReader::Find() const {
  constexpr std::string_view kKey = "\"usage\"";
  const Walker walker(tail_);
  for (size_t at = tail_.rfind(kKey); at != std::string::npos;
       at = at == 0 ? std::string::npos : tail_.rfind(kKey, at - 1)) {
    // In the text of an answer the quote would have a backslash before it.
    if (at > 0 && tail_[at - 1] == '\\') continue;
    const size_t colon = walker.SkipBlanks(at + kKey.size());
    if (colon >= tail_.size() || tail_[colon] != ':') continue;
    const size_t value = walker.SkipBlanks(colon + 1);
    if (value >= tail_.size() || tail_[value] != '{') continue;  // null, in all events but the last
    const size_t end = walker.SkipValue(value);
    if (end == std::string_view::npos) continue;
    json::error_code error;
    const json::value usage = json::parse({tail_.data() + value, end - value}, error);
    if (error || !usage.is_object()) continue;
    // The second names are those of OpenAI's newer "responses".
    return TokenUsage{CountOf(usage.get_object(), "prompt_tokens", "input_tokens"),
                      CountOf(usage.get_object(), "completion_tokens", "output_tokens")};
  }
  return std::nullopt;
}

}  // namespace allot::agent
