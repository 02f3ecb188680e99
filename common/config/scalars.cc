#include "common/config/scalars.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "common/base/printable.h"
#include "common/base/text.h"
#include "common/base/units.h"
#include "common/config/bind.h"

namespace allot::config {
namespace {

Status CheckRange(const std::string& shown, double value, double low, double high, Unit unit) {
  if (value >= low && value <= high) return absl::OkStatus();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (high == kInfinity) {
    return InvalidArgument("is {}; it must be at least {}", shown, FormatUnit(unit, low));
  }
  if (low == -kInfinity) {
    return InvalidArgument("is {}; it must be at most {}", shown, FormatUnit(unit, high));
  }
  return InvalidArgument("is {}; it must be between {} and {}", shown, FormatUnit(unit, low),
                         FormatUnit(unit, high));
}

Status CheckRule(const std::string& shown, double value, const Rule& rule, double low,
                 double high) {
  if (rule.has_min()) low = std::max(low, rule.min());
  if (rule.has_max()) high = std::min(high, rule.max());
  return CheckRange(shown, value, low, high, rule.unit());
}

StatusOr<int64_t> ParseUnit(Unit unit, std::string_view text) {
  switch (unit) {
    case UNIT_DURATION:
      return ParseDurationMicros(text);
    case UNIT_BYTES:
      return ParseBytes(text);
    case UNIT_CPUS:
      return ParseMilliCpus(text);
    default:
      return 0;
  }
}

Status CheckUnit(std::string_view text, const Rule& rule) {
  ASSIGN_OR_RETURN(const int64_t value, ParseUnit(rule.unit(), text));
  // Quantities of these units are never negative, so a bound of 0 is not worth a word.
  const bool low = rule.has_min() && rule.min() > 0;
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  return CheckRange(std::string(text), static_cast<double>(value), low ? rule.min() : -kInfinity,
                    rule.has_max() ? rule.max() : kInfinity, rule.unit());
}

// The word of the list that was meant; capitals are nobody's point.
StatusOr<std::string> CheckWord(std::string_view text, const Rule& rule) {
  const auto& words = rule.one_of();
  const auto same = [text](const std::string& word) {
    return std::equal(word.begin(), word.end(), text.begin(), text.end(), [](char a, char b) {
      return std::tolower(static_cast<unsigned char>(a)) ==
             std::tolower(static_cast<unsigned char>(b));
    });
  };
  if (const auto it = std::find_if(words.begin(), words.end(), same); it != words.end()) return *it;
  const std::vector<std::string> known(words.begin(), words.end());
  const std::string near = DidYouMean(text, known);
  return InvalidArgument("is {}; {}{}", ShownText(text),
                         near.empty() ? "" : fmt::format("did you mean \"{}\"? ", near),
                         fmt::format("it is one of {}", fmt::join(known, ", ")));
}

// The number a scalar holds, if it is one. YAML: decimal digits, with sign, point and exponent.
std::optional<double> RealOf(const Node& node) {
  switch (node.type) {
    case NodeType::kInteger:
      return static_cast<double>(node.integer);
    case NodeType::kUnsigned:
      return static_cast<double>(node.whole);
    case NodeType::kReal:
      return node.real;
    case NodeType::kPlain:
      break;
    default:
      return std::nullopt;
  }
  std::string_view text = node.text;
  if (text.starts_with('+')) text.remove_prefix(1);
  if (text.find_first_not_of("0123456789+-.eE") != std::string_view::npos) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<int64_t> IntegerOf(const Node& node) {
  if (node.type == NodeType::kInteger) return node.integer;
  if (node.type == NodeType::kPlain) {
    std::string_view text = node.text;
    if (text.starts_with('+')) text.remove_prefix(1);
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size()) return value;
  }
  // 4.0 and 1e3 are whole numbers too, as long as a double holds them exactly.
  const std::optional<double> real = RealOf(node);
  if (real && *real == std::floor(*real) && std::abs(*real) < 9e15) {
    return static_cast<int64_t>(*real);
  }
  return std::nullopt;
}

// 010 is 8 to some readers of YAML and 10 to others.
bool LeadingZero(const Node& node) {
  if (node.type != NodeType::kPlain) return false;
  std::string_view text = node.text;
  text.remove_prefix(std::min(text.find_first_not_of("+-"), text.size()));
  return text.size() > 1 && text[0] == '0' && text[1] >= '0' && text[1] <= '9';
}

}  // namespace

std::string ShownText(std::string_view text) { return fmt::format("\"{}\"", allot::Shown(text)); }

std::string FormatUnit(Unit unit, double value) {
  const auto whole = static_cast<int64_t>(value);
  switch (unit) {
    case UNIT_DURATION:
      return FormatDuration(Duration(whole));
    case UNIT_BYTES:
      return FormatBytes(whole);
    case UNIT_CPUS:
      return fmt::format("{}", value / 1000);
    default:
      break;
  }
  // Whole numbers in full: "10000000", not "1e+07".
  if (value == std::floor(value) && std::abs(value) < 1e15) return fmt::format("{}", whole);
  return fmt::format("{}", value);
}

std::string Shown(const Node& node) {
  switch (node.type) {
    case NodeType::kNull:
      return "empty";
    case NodeType::kBool:
      return node.truth ? "true" : "false";
    case NodeType::kInteger:
      return fmt::format("{}", node.integer);
    case NodeType::kUnsigned:
      return fmt::format("{}", node.whole);
    case NodeType::kReal:
      return fmt::format("{}", node.real);
    case NodeType::kString:
      return ShownText(node.text);
    case NodeType::kPlain:
      return RealOf(node) ? std::string(node.text) : ShownText(node.text);
    case NodeType::kList:
      return "a list";
    case NodeType::kMap:
      return "a map";
  }
  return "";
}

StatusOr<std::string> StringValue(const Node& node, const Rule& rule, bool item) {
  std::string text;
  if (node.type == NodeType::kString || node.type == NodeType::kPlain) {
    text = node.text;
  } else if (rule.unit() != UNIT_NONE && RealOf(node)) {
    text = Shown(node);  // JSON: "cpus": 2
  } else if (RealOf(node) || node.type == NodeType::kBool) {
    return InvalidArgument("is {}; a string is wanted, write it in quotes", Shown(node));
  } else {
    return InvalidArgument("is {}; a string is wanted", Shown(node));
  }
  if (text.find('\0') != std::string::npos) return InvalidArgument("holds a NUL character");
  if (!IsValidUtf8(text)) return InvalidArgument("is not valid UTF-8");
  if (!item && rule.required() && text.empty())
    return InvalidArgument("is empty; it needs a value");
  if (!item && rule.length_max() != 0 && text.size() > rule.length_max()) {
    return InvalidArgument("has {} bytes; at most {} are taken", text.size(), rule.length_max());
  }
  if (rule.unit() != UNIT_NONE) RETURN_IF_ERROR(CheckUnit(text, rule));
  if (rule.one_of_size() > 0) {
    ASSIGN_OR_RETURN(text, CheckWord(text, rule));
  }
  if (rule.name() && !IsName(text)) {
    return InvalidArgument("is {}; {}", ShownText(text), kNameHelp);
  }
  if (rule.label_value() && !IsLabelValue(text)) {
    return InvalidArgument("is {}; {}", ShownText(text), kLabelValueHelp);
  }
  return text;
}

StatusOr<bool> BoolValue(const Node& node) {
  if (node.type == NodeType::kBool) return node.truth;
  if (node.type == NodeType::kPlain) {
    static constexpr std::array<std::string_view, 11> kTrue = {
        "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y"};
    static constexpr std::array<std::string_view, 11> kFalse = {
        "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", "n", "N"};
    if (std::find(kTrue.begin(), kTrue.end(), node.text) != kTrue.end()) return true;
    if (std::find(kFalse.begin(), kFalse.end(), node.text) != kFalse.end()) return false;
  }
  return InvalidArgument("is {}; write true or false", Shown(node));
}

StatusOr<int64_t> IntegerValue(const Node& node, const Rule& rule, int64_t low, int64_t high) {
  const std::optional<double> real = RealOf(node);
  if (!real) return InvalidArgument("is {}; a whole number is wanted", Shown(node));
  if (LeadingZero(node)) {
    return InvalidArgument("is {}; write it without the leading 0", Shown(node));
  }
  const std::optional<int64_t> value = IntegerOf(node);
  // Too large for us is out of range; with a fraction it is the wrong type.
  if (!value && *real == std::floor(*real)) {
    RETURN_IF_ERROR(
        CheckRule(Shown(node), *real, rule, static_cast<double>(low), static_cast<double>(high)));
  }
  if (!value) return InvalidArgument("is {}; a whole number is wanted", Shown(node));
  RETURN_IF_ERROR(CheckRule(Shown(node), static_cast<double>(*value), rule,
                            static_cast<double>(low), static_cast<double>(high)));
  return *value;
}

StatusOr<double> RealValue(const Node& node, const Rule& rule) {
  const std::optional<double> value = RealOf(node);
  if (!value || !std::isfinite(*value)) {
    return InvalidArgument("is {}; a number is wanted", Shown(node));
  }
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  RETURN_IF_ERROR(CheckRule(Shown(node), *value, rule, -kInfinity, kInfinity));
  return *value;
}

}  // namespace allot::config
