#include "agent/devices/health/rules.h"

#include <algorithm>
#include <set>

#include "agent/devices/host/parse.h"
#include "common/base/printable.h"

namespace allot::agent {
namespace {

constexpr size_t kColumns = 6;
constexpr int64_t kCodeMax = 1'000'000;
constexpr size_t kCodesMax = 10'000;  // all ranges of a row together: each is a label value

bool IsWord(std::string_view text) {
  return !text.empty() && text.size() <= 64 &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") == text.npos;
}

// "10m", "1.5s", "0s"; nothing else, and no sign.
std::optional<Duration> ParseHold(std::string_view text) {
  struct Unit {
    std::string_view suffix;
    double micros;
  };
  for (const Unit unit :
       {Unit{"ms", 1e3}, Unit{"s", 1e6}, Unit{"m", 60e6}, Unit{"h", 3600e6}, Unit{"d", 86400e6}}) {
    if (!text.ends_with(unit.suffix)) continue;
    const auto number = ParseDecimal(text.substr(0, text.size() - unit.suffix.size()));
    if (!number || *number < 0 || *number * unit.micros > 366 * 86400e6) continue;
    return Duration(static_cast<int64_t>(*number * unit.micros));
  }
  return std::nullopt;
}

std::optional<HealthAction> ParseAction(std::string_view text) {
  if (text == "ignore") return HealthAction::kIgnore;
  if (text == "warn") return HealthAction::kWarn;
  if (text == "drain") return HealthAction::kDrain;
  if (text == "quarantine") return HealthAction::kQuarantine;
  return std::nullopt;
}

std::optional<std::vector<std::pair<int64_t, int64_t>>> ParseCodes(std::string_view text) {
  std::vector<std::pair<int64_t, int64_t>> codes;
  size_t count = 0;
  for (const std::string_view part : Split(text, ',')) {
    const size_t dash = part.find('-');
    const auto from = ParseUnsigned(part.substr(0, dash));
    const auto to = dash == part.npos ? from : ParseUnsigned(part.substr(dash + 1));
    if (!from || !to || *to < *from || *to > static_cast<uint64_t>(kCodeMax)) return std::nullopt;
    count += *to - *from + 1;
    if (count > kCodesMax) return std::nullopt;
    codes.emplace_back(static_cast<int64_t>(*from), static_cast<int64_t>(*to));
  }
  return codes;
}

std::optional<HealthCondition> ParseCondition(std::string_view text) {
  HealthCondition condition;
  if (text == "any") return condition;
  const size_t blank = text.find(' ');
  if (blank == text.npos) return std::nullopt;
  const std::string_view word = text.substr(0, blank), rest = Trim(text.substr(blank));
  if (word == "in") {
    auto codes = ParseCodes(rest);
    if (!codes) return std::nullopt;
    condition.kind = HealthCondition::kIn;
    condition.codes = *std::move(codes);
    return condition;
  }
  const auto number = ParseDecimal(rest);
  if (!number) return std::nullopt;
  condition.number = *number;
  if (word == ">") {
    condition.kind = HealthCondition::kAbove;
  } else if (word == ">=") {
    condition.kind = HealthCondition::kAtLeast;
  } else if (word == "<") {
    condition.kind = HealthCondition::kBelow;
  } else if (word == "<=") {
    condition.kind = HealthCondition::kAtMost;
  } else if (word == "=") {
    condition.kind = HealthCondition::kEqual;
  } else if (word == "!=") {
    condition.kind = HealthCondition::kNotEqual;
  } else if (word == "rises" && *number > 0) {
    condition.kind = HealthCondition::kRises;
  } else {
    return std::nullopt;
  }
  return condition;
}

}  // namespace

bool HealthCondition::Holds(double value) const {
  switch (kind) {
    case kAbove:
      return value > number;
    case kAtLeast:
    case kRises:
      return value >= number;
    case kBelow:
      return value < number;
    case kAtMost:
      return value <= number;
    case kEqual:
      return value == number;
    case kNotEqual:
      return value != number;
    case kIn:
      return std::any_of(codes.begin(), codes.end(), [&](const auto& range) {
        return value >= static_cast<double>(range.first) &&
               value <= static_cast<double>(range.second);
      });
    case kAny:
      return true;
  }
  return false;
}

std::string HealthRule::ReasonFor(const HealthSignal& cause) const {
  if (condition.kind == HealthCondition::kIn)
    return fmt::format("{}_{}", signal, static_cast<int64_t>(cause.value));
  const bool unlisted = cause.event && condition.kind == HealthCondition::kAny;
  return unlisted ? signal + "_other" : signal;
}

void HealthRules::Add(HealthRule rule) {
  by_signal_[rule.signal].push_back(rows_.size());
  rows_.push_back(std::move(rule));
}

StatusOr<HealthRules> HealthRules::Parse(std::string_view tsv, const std::string& file_name) {
  HealthRules rules;
  size_t number = 0;
  while (!tsv.empty()) {
    const size_t end = std::min(tsv.find('\n'), tsv.size());
    const std::string_view line = Trim(tsv.substr(0, end));
    tsv.remove_prefix(std::min(end + 1, tsv.size()));
    ++number;
    if (line.empty() || line.starts_with('#')) continue;
    const std::vector<std::string_view> cells = Split(line, '\t');
    const auto wrong = [&](std::string_view what, std::string_view is, std::string_view must) {
      return InvalidArgument("{}:{}: {} is \"{}\"; it must be {}", file_name, number, what,
                             Shown(is), must);
    };
    if (cells.size() != kColumns)
      return InvalidArgument(
          "{}:{}: {} columns; there must be {}, with tabs between: vendor, signal, condition, "
          "action, hold, source",
          file_name, number, cells.size(), kColumns);
    HealthRule rule;
    rule.vendor = cells[0];
    rule.signal = cells[1];
    if (rule.vendor != "*" && !IsWord(rule.vendor))
      return wrong("vendor", cells[0], "the key of a vendor (nvidia, amd, aws, …) or *");
    if (!IsWord(rule.signal)) return wrong("signal", cells[1], "a name like ecc_uncorrected");
    auto condition = ParseCondition(cells[2]);
    if (!condition)
      return wrong(
          "condition", cells[2],
          "a comparison (>= 1), a list of codes (in 48,62-64), a growth (rises 10) or any");
    rule.condition = *std::move(condition);
    const auto action = ParseAction(cells[3]);
    if (!action) return wrong("action", cells[3], "ignore, warn, drain or quarantine");
    rule.action = *action;
    const auto hold = ParseHold(cells[4]);
    if (hold) rule.hold = *hold;
    // A growth needs the time it is counted over; what stays for ever has no use for one else.
    const bool rises = rule.condition.kind == HealthCondition::kRises;
    if (rises && (!hold || *hold == Duration{}))
      return wrong("hold", cells[4], "a duration above 0: the time over which growth is counted");
    if (!rises && !hold && cells[4] != "-")
      return wrong("hold", cells[4], "a duration like 10m, or - for none");
    if (cells[5].empty())
      return InvalidArgument("{}:{}: source is empty; say where the rule comes from", file_name,
                             number);
    rule.source = cells[5];
    rules.Add(std::move(rule));
  }
  return rules;
}

HealthRules HealthRules::Joined(const HealthRules& first, const HealthRules& then) {
  HealthRules joined = first;
  for (const HealthRule& rule : then.rows_) joined.Add(rule);
  return joined;
}

const std::vector<size_t>& HealthRules::For(std::string_view signal) const {
  static const std::vector<size_t> kNone;
  const auto it = by_signal_.find(signal);
  return it == by_signal_.end() ? kNone : it->second;
}

std::vector<std::string> HealthRules::Reasons() const {
  std::set<std::string> reasons;
  for (const HealthRule& rule : rows_) {
    if (rule.action == HealthAction::kIgnore) continue;
    for (const auto& [from, to] : rule.condition.codes)
      for (int64_t code = from; code <= to; ++code)
        reasons.insert(rule.ReasonFor({.value = static_cast<double>(code), .event = true}));
    if (rule.condition.kind == HealthCondition::kIn) continue;
    reasons.insert(rule.ReasonFor({.event = false}));
    if (rule.condition.kind == HealthCondition::kAny)
      reasons.insert(rule.ReasonFor({.event = true}));
  }
  return {reasons.begin(), reasons.end()};
}

}  // namespace allot::agent
