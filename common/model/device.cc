#include "common/model/device.h"

namespace allot {

std::string_view ToString(DeviceKind kind) {
  switch (kind) {
    case DeviceKind::kGpu:
      return "GPU";
    case DeviceKind::kCpu:
      return "CPU";
    case DeviceKind::kAsic:
      return "ASIC";
  }
  return "unknown";
}

std::optional<DeviceKind> ParseDeviceKind(std::string_view text) {
  for (DeviceKind kind : {DeviceKind::kGpu, DeviceKind::kCpu, DeviceKind::kAsic}) {
    if (text == ToString(kind)) return kind;
  }
  return std::nullopt;
}

std::string_view ToString(DeviceState state) {
  switch (state) {
    case DeviceState::kReady:
      return "ready";
    case DeviceState::kUnhealthy:
      return "unhealthy";
    case DeviceState::kNoDriver:
      return "no_driver";
    case DeviceState::kReserved:
      return "reserved";
    case DeviceState::kUnsupported:
      return "unsupported";
    case DeviceState::kDraining:
      return "draining";
    case DeviceState::kQuarantined:
      return "quarantined";
  }
  return "unknown";
}

std::string_view ToString(Isolation isolation) {
  switch (isolation) {
    case Isolation::kShared:
      return "shared";
    case Isolation::kNone:
      return "none";
    case Isolation::kMemory:
      return "memory";
    case Isolation::kHard:
      return "hard";
  }
  return "unknown";
}

std::optional<Isolation> ParseIsolation(std::string_view text) {
  for (Isolation isolation :
       {Isolation::kShared, Isolation::kNone, Isolation::kMemory, Isolation::kHard}) {
    if (text == ToString(isolation)) return isolation;
  }
  return std::nullopt;
}

// Only the last star ever needs to be tried again: whatever an earlier one took more would leave
// less for this one. So the cost is at most |pattern| * |text|, not exponential.
bool GlobMatch(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0;
  size_t star = std::string_view::npos, star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p, ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool Matches(const DeviceRequest& request, const Device& device) {
  if (request.kind && *request.kind != device.kind) return false;
  if (!request.vendor.empty() && request.vendor != device.vendor) return false;
  if (!request.model.empty() && !GlobMatch(request.model, device.model)) return false;
  // A device of unknown memory cannot promise any.
  if (request.min_memory && (!device.memory || *device.memory < *request.min_memory)) return false;
  if (request.isolation && device.isolation < *request.isolation) return false;
  return true;
}

}  // namespace allot
