#include "gateway/body_scan.h"

#include <charconv>
#include <cmath>
#include <vector>

#include "common/base/status.h"
#include "common/http/text.h"
#include "common/json/json.h"

namespace allot::gateway {
namespace {

constexpr double kTokensMax = 10'000'000;
constexpr size_t kTokenBytes = 4;  // of text, about

// Whose values are looked at; content and text in messages.
constexpr std::string_view kNames[] = {
    "prompt", "messages", "model", "stream", "max_tokens", "max_completion_tokens",
    "content", "text"};

// Is it that name, written with escapes? Without a copy: a body may be nothing but such names.
bool Spells(std::string_view raw, std::string_view name) {
  for (const char c : name) {
    if (raw.empty()) return false;
    if (raw[0] != '\\') {
      if (raw[0] != c) return false;
      raw.remove_prefix(1);
      continue;
    }
    // No other escape means a letter or an underscore.
    if (raw.size() < 6 || raw[1] != 'u') return false;
    unsigned code = 0;
    const auto [end, wrong] = std::from_chars(raw.data() + 2, raw.data() + 6, code, 16);
    if (wrong != std::errc() || end != raw.data() + 6 || code != static_cast<unsigned char>(c))
      return false;
    raw.remove_prefix(6);
  }
  return raw.empty();
}

// "mod\u0065l" is "model" to the server. Of other names with escapes nothing is wanted.
std::string_view NameOf(std::string_view raw) {
  if (raw.find('\\') == std::string_view::npos) return raw;
  for (const std::string_view name : kNames)
    if (Spells(raw, name)) return name;
  return {};
}

class Scanner {
 public:
  Scanner(std::string_view body, BodyFacts* facts) : body_(body), facts_(*facts) {}

  bool Run(std::string* why) {
    if (body_.starts_with("\xEF\xBB\xBF")) at_ = 3;
    const bool good = Document();
    if (model_) facts_.model = Unescaped(*model_);
    if (!good) *why = fmt::format("{} at byte {}", problem_, at_);
    return good;
  }

 private:
  bool Problem(std::string_view what) {
    problem_ = what;
    return false;
  }
  bool AtEnd() const { return at_ >= body_.size(); }
  void SkipSpace() {
    while (!AtEnd() &&
           (body_[at_] == ' ' || body_[at_] == '\n' || body_[at_] == '\r' || body_[at_] == '\t'))
      ++at_;
  }
  bool Take(char c) {
    SkipSpace();
    if (AtEnd() || body_[at_] != c) return false;
    ++at_;
    return true;
  }

  bool Document() {
    SkipSpace();
    if (AtEnd() || body_[at_] != '{') return Problem("it must be an object, which begins");
    do {
      if (!Step()) return false;
    } while (!objects_.empty());
    SkipSpace();
    return AtEnd() || Problem("something follows the object");
  }

  // One value, or the beginning of one, and all the ends that follow it.
  bool Step() {
    const bool in_object = !objects_.empty() && objects_.back();
    if (in_object) {
      if (Take('}')) return Close();
      if (!Key()) return false;
    } else if (!objects_.empty() && Take(']')) {
      return Close();
    }
    SkipSpace();
    if (AtEnd()) return Problem("it breaks off");
    const char c = body_[at_];
    if (c == '{' || c == '[') {
      ++at_;
      objects_.push_back(c == '{');
      return true;
    }
    if (c == '"' ? !Text(in_object) : !Word(in_object)) return false;
    return Next();
  }

  bool Close() {
    objects_.pop_back();
    return objects_.empty() || Next();
  }

  // After a value: a comma, or the end of what holds it (which Step sees).
  bool Next() {
    if (Take(',')) return true;
    SkipSpace();
    if (AtEnd()) return Problem("it breaks off");
    return body_[at_] == (objects_.back() ? '}' : ']') || Problem("a comma is missing");
  }

  bool Key() {
    SkipSpace();
    std::string_view raw;
    if (AtEnd() || body_[at_] != '"' || !Quoted(&raw)) return Problem("a name is missing");
    key_ = NameOf(raw);
    if (objects_.size() == 1) {
      in_prompt_ = key_ == "prompt";
      in_messages_ = key_ == "messages";
      if (key_ == "model") model_.reset();
    }
    return Take(':') || Problem("a colon is missing");
  }

  bool Quoted(std::string_view* raw) {
    const size_t begin = ++at_;
    for (; at_ < body_.size(); ++at_) {
      if (body_[at_] == '\\') {
        ++at_;
      } else if (body_[at_] == '"') {
        *raw = body_.substr(begin, at_++ - begin);
        return true;
      }
    }
    at_ = body_.size();
    return false;
  }

  static std::optional<std::string> Unescaped(std::string_view raw) {
    boost::system::error_code failed;
    const std::string text = fmt::format("\"{}\"", raw);
    const json::value value = json::parse(text, failed);
    if (failed || !value.is_string()) return std::nullopt;
    return std::string(value.get_string());
  }

  bool Text(bool in_object) {
    std::string_view raw;
    if (!Quoted(&raw)) return Problem("a text does not end");
    if (in_prompt_ || (in_messages_ && in_object && (key_ == "content" || key_ == "text")))
      facts_.text_bytes += raw.size();
    if (objects_.size() != 1) return true;
    if (key_ == "model") model_ = raw;
    if (key_ == "stream") facts_.stream = MeansYes(raw);
    return true;
  }

  // A number, or one of the words.
  bool Word(bool in_object) {
    const size_t begin = at_;
    while (!AtEnd() && IsWord(body_[at_])) ++at_;
    const std::string_view word = body_.substr(begin, at_ - begin);
    double number = 0;
    const auto [end, wrong] = std::from_chars(word.data(), word.data() + word.size(), number);
    const bool is_number =
        !word.empty() && wrong != std::errc::invalid_argument && end == word.data() + word.size();
    if (!is_number && word != "true" && word != "false" && word != "null")
      return Problem("this is no value");
    if (in_prompt_ && is_number) facts_.text_bytes += kTokenBytes;
    if (objects_.size() != 1 || !in_object) return true;
    if (key_ == "stream") facts_.stream = word == "true" || (is_number && number != 0);
    if (key_ == "max_tokens" || key_ == "max_completion_tokens") {
      const bool known = is_number && number >= 0 && number <= kTokensMax &&
                         number == std::floor(number) && wrong == std::errc();
      if (known || word != "null")
        facts_.output_tokens_max = known ? static_cast<uint32_t>(number) : 0;
    }
    return true;
  }

  static bool IsWord(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '+' || c == '.';
  }
  static bool MeansYes(std::string_view text) {
    for (const std::string_view yes : {"true", "1", "on", "yes", "y", "t"})
      if (http::EqualsIgnoreCase(text, yes)) return true;
    return false;
  }

  const std::string_view body_;
  BodyFacts& facts_;
  size_t at_ = 0;
  std::vector<bool> objects_;  // what is open: objects, or else lists
  std::string_view key_;       // the last one
  std::optional<std::string_view> model_;  // the last one, as it is written
  bool in_prompt_ = false, in_messages_ = false;  // of the outermost object
  std::string_view problem_;
};

}  // namespace

bool ScanBody(std::string_view body, BodyFacts* facts, std::string* why) {
  return Scanner(body, facts).Run(why);
}

}  // namespace allot::gateway
