// Judges devices by the signals of their vendors: pure, no clock, no I/O.
//
// Readings come and go while a device is used; its state must not flap with them, because each
// change makes the agent register anew. So a verdict stays for the hold of its rule after the last
// reading that supports it, a reading that is missing because its vendor is late changes nothing,
// and a quarantine stays until Clear.
//
// `now` is any clock that only goes forward. One thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/devices/health/rules.h"
#include "common/model/device.h"

namespace allot::agent {

struct HealthVerdict {
  HealthAction action = HealthAction::kIgnore;
  std::vector<std::string> reasons;  // sorted, each once
  bool operator==(const HealthVerdict&) const = default;
};

class HealthMonitor {
 public:
  explicit HealthMonitor(std::shared_ptr<const HealthRules> rules) : rules_(std::move(rules)) {}

  // Everything a vendor reads now: a level of this vendor's that is not in it has ended.
  void Observed(Duration now, std::string_view vendor, const std::vector<HealthSignal>& signals);
  // One event from elsewhere (the kernel log); changes nothing else.
  void Happened(Duration now, std::string_view vendor, const HealthSignal& event);

  // By its own signals and those of what it is a part or a share of.
  HealthVerdict Judge(Duration now, const Device& device) const;
  // Judges and writes it into the device: its reasons, and kDraining or kQuarantined in place of
  // kReady or kUnhealthy. What has no driver or is not ours to use stays what it is.
  void Apply(Duration now, Device* device) const;

  // An operator says that all is well: what is still read is judged again.
  void Clear();

 private:
  struct Mark {
    Duration last{};       // when the condition was last seen to hold
    bool lasting = false;  // a level for which it holds still
    std::string reason;
  };
  struct Growth {  // readings of a counter, oldest first, none much older than the rule's hold
    std::vector<std::pair<Duration, double>> points;
  };
  struct Case {  // of one device
    std::string vendor;
    std::map<std::pair<size_t, std::string>, Mark> marks;  // by rule and reason
    std::map<size_t, Growth> growth;                       // by rule
  };
  void Take(Duration now, std::string_view vendor, const HealthSignal& signal);
  double GrowthOf(Duration now, const HealthRule& rule, double value, Growth* growth) const;
  bool IsActive(Duration now, size_t rule, const Mark& mark) const;
  void Collect(Duration now, std::string_view device, HealthVerdict* verdict) const;

  const std::shared_ptr<const HealthRules> rules_;
  std::map<std::string, Case, std::less<>> cases_;
};

}  // namespace allot::agent
