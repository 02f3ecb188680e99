#include "agent/devices/health/monitor.h"

#include <algorithm>

namespace allot::agent {
namespace {

constexpr size_t kCasesMax = 1024;  // far above the devices of a node
constexpr int kPointsPerHold = 32;

}  // namespace

void HealthMonitor::Observed(Duration now, std::string_view vendor,
                             const std::vector<HealthSignal>& signals) {
  for (auto& [device, of_device] : cases_)
    if (of_device.vendor == vendor)
      for (auto& [rule, mark] : of_device.marks) mark.lasting = false;
  for (const HealthSignal& signal : signals) Take(now, vendor, signal);
  // What has passed is forgotten, so that nothing grows.
  for (auto it = cases_.begin(); it != cases_.end();) {
    std::erase_if(it->second.marks, [&](const auto& entry) {
      return !IsActive(now, entry.first.first, entry.second);
    });
    std::erase_if(it->second.growth, [&](const auto& entry) {
      return now - entry.second.points.back().first > 2 * rules_->rows()[entry.first].hold;
    });
    const bool idle = it->second.marks.empty() && it->second.growth.empty();
    it = idle ? cases_.erase(it) : std::next(it);
  }
}

void HealthMonitor::Happened(Duration now, std::string_view vendor, const HealthSignal& event) {
  Take(now, vendor, event);
}

void HealthMonitor::Take(Duration now, std::string_view vendor, const HealthSignal& signal) {
  bool decided = false;
  for (const size_t i : rules_->For(signal.name)) {
    const HealthRule& rule = rules_->rows()[i];
    if (!rule.AppliesTo(vendor, signal.name)) continue;
    double value = signal.value;
    const bool rises = rule.condition.kind == HealthCondition::kRises;
    if (!rises && decided) continue;
    if (!cases_.contains(signal.device) && cases_.size() >= kCasesMax) return;
    if (rises) {
      if (signal.event) continue;
      Case& of_device = cases_[signal.device];
      of_device.vendor = vendor;
      value = GrowthOf(now, rule, value, &of_device.growth[i]);
    }
    if (decided || !rule.condition.Holds(value)) continue;
    decided = true;
    if (rule.action == HealthAction::kIgnore) continue;
    Case& of_device = cases_[signal.device];
    of_device.vendor = vendor;
    std::string reason = rule.ReasonFor(signal);
    Mark& mark = of_device.marks[{i, reason}];
    mark.last = now;
    mark.lasting = !signal.event && !rises;
    mark.reason = std::move(reason);
    // Counted once: the next growth is counted from here.
    if (rises) of_device.growth[i].points = {{now, signal.value}};
  }
}

double HealthMonitor::GrowthOf(Duration now, const HealthRule& rule, double value,
                               Growth* growth) const {
  auto& points = growth->points;
  // A counter that went back was reset, with its driver or its device.
  if (!points.empty() && value < points.back().second) points.clear();
  while (points.size() > 1 && now - points[1].first >= rule.hold) points.erase(points.begin());
  const double before = points.empty() ? value : points.front().second;
  if (points.empty() || now - points.back().first >= rule.hold / kPointsPerHold) {
    points.emplace_back(now, value);
  } else {
    // Between two points: the later reading is the one that can tell of a reset.
    points.back().second = points.size() > 1 ? value : points.back().second;
  }
  return value - before;
}

bool HealthMonitor::IsActive(Duration now, size_t rule, const Mark& mark) const {
  const HealthRule& row = rules_->rows()[rule];
  return row.action == HealthAction::kQuarantine || mark.lasting || now - mark.last < row.hold;
}

void HealthMonitor::Collect(Duration now, std::string_view device, HealthVerdict* verdict) const {
  const auto it = cases_.find(device);
  if (it == cases_.end()) return;
  for (const auto& [key, mark] : it->second.marks) {
    if (!IsActive(now, key.first, mark)) continue;
    verdict->action = std::max(verdict->action, rules_->rows()[key.first].action);
    verdict->reasons.push_back(mark.reason);
  }
}

HealthVerdict HealthMonitor::Judge(Duration now, const Device& device) const {
  HealthVerdict verdict;
  for (const std::string& name : {device.id, device.parent}) {
    if (name.empty()) continue;
    Collect(now, name, &verdict);
    // "0000:17:00.0/gi1/ci0" is a part of "0000:17:00.0".
    if (const size_t slash = name.find('/'); slash != name.npos)
      Collect(now, std::string_view(name).substr(0, slash), &verdict);
  }
  std::sort(verdict.reasons.begin(), verdict.reasons.end());
  verdict.reasons.erase(std::unique(verdict.reasons.begin(), verdict.reasons.end()),
                        verdict.reasons.end());
  return verdict;
}

void HealthMonitor::Apply(Duration now, Device* device) const {
  HealthVerdict verdict = Judge(now, *device);
  // Those that the device came with, from its vendor, stay.
  device->health.insert(device->health.end(), verdict.reasons.begin(), verdict.reasons.end());
  if (device->state != DeviceState::kReady && device->state != DeviceState::kUnhealthy) return;
  if (verdict.action == HealthAction::kDrain) device->state = DeviceState::kDraining;
  if (verdict.action == HealthAction::kQuarantine) device->state = DeviceState::kQuarantined;
}

void HealthMonitor::Clear() { cases_.clear(); }

}  // namespace allot::agent
