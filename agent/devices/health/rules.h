// The table of health rules (rules.tsv, compiled in; `devices.health_rules_file` puts rows before
// it): what a signal means for its device, with the source of each row.
//
// Columns: vendor (key of its folder, or *), signal, condition, action, hold, source. Conditions:
//   > >= < <= = != NUMBER    of a level
//   in 48,62-64              code of an event
//   rises N                  a counter has grown by N or more within the hold
//   any                      whatever it is
// Of all rows for a signal the first whose condition holds decides. So a row before the built-in
// ones overrules them, also with the action `ignore`.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/devices/health/signal.h"
#include "common/base/status.h"
#include "common/base/units.h"

namespace allot::agent {

// From least to most. kWarn: shown, no more. kDrain: no new work until the cause and its hold are
// gone. kQuarantine: no new work until the agent restarts or an operator clears it.
enum class HealthAction : uint8_t { kIgnore, kWarn, kDrain, kQuarantine };

struct HealthCondition {
  enum Kind : uint8_t { kAbove, kAtLeast, kBelow, kAtMost, kEqual, kNotEqual, kIn, kRises, kAny };
  Kind kind = kAny;
  double number = 0;
  std::vector<std::pair<int64_t, int64_t>> codes;  // kIn: from, to

  // Of a reading, or of the growth of a counter (kRises).
  bool Holds(double value) const;
};

struct HealthRule {
  std::string vendor;  // "*": any
  std::string signal;
  HealthCondition condition;
  HealthAction action = HealthAction::kWarn;
  Duration hold{};  // how long the action stays after the signal is gone; 0 for kQuarantine
  std::string source;

  bool AppliesTo(std::string_view of_vendor, std::string_view name) const {
    return signal == name && (vendor == "*" || vendor == of_vendor);
  }
  // As Device::health has it: the signal, with the code where a list of codes decides ("xid_79"),
  // and "xid_other" for events that only `any` caught.
  std::string ReasonFor(const HealthSignal& cause) const;
};

class HealthRules {
 public:
  static std::shared_ptr<const HealthRules> BuiltIn();
  // Errors carry file:line.
  static StatusOr<HealthRules> Parse(std::string_view tsv, const std::string& file_name);
  // The rows of `first`, then those of `then`.
  static HealthRules Joined(const HealthRules& first, const HealthRules& then);

  const std::vector<HealthRule>& rows() const { return rows_; }
  // Of the rows for this signal, their positions in order.
  const std::vector<size_t>& For(std::string_view signal) const;
  // Every reason that these rules can give, sorted: the closed list of the metric's label.
  std::vector<std::string> Reasons() const;

 private:
  void Add(HealthRule rule);
  std::vector<HealthRule> rows_;
  std::map<std::string, std::vector<size_t>, std::less<>> by_signal_;
};

}  // namespace allot::agent
