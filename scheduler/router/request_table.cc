#include "scheduler/router/request_table.h"

#include <algorithm>

#include "common/base/check.h"

namespace allot::router {

bool Request::HasTried(ReplicaId id) const {
  return std::find(tried.begin(), tried.end(), id) != tried.end();
}

uint32_t RequestTable::Add(RequestId id) {
  if (free_.empty()) {
    free_.push_back(static_cast<uint32_t>(requests_.size()));
    requests_.emplace_back();
  }
  const uint32_t place = free_.back();
  free_.pop_back();
  const bool fresh = places_.try_emplace(id, place).second;
  CHECK(fresh);
  requests_[place].id = id;
  return place;
}

std::optional<uint32_t> RequestTable::Find(RequestId id) const {
  const auto found = places_.find(id);
  if (found == places_.end()) return std::nullopt;
  return found->second;
}

void RequestTable::Remove(uint32_t place) {
  SetTimer(place, std::nullopt);
  places_.erase(requests_[place].id);
  requests_[place] = Request();
  free_.push_back(place);
}

void RequestTable::SetTimer(uint32_t place, std::optional<Time> at) {
  Request& request = requests_[place];
  if (request.timer.has_value()) timers_.erase({*request.timer, request.id});
  if (at.has_value()) timers_.emplace(*at, request.id);
  request.timer = at;
}

std::optional<Time> RequestTable::NextTimer() const {
  if (timers_.empty()) return std::nullopt;
  return timers_.begin()->first;
}

std::optional<uint32_t> RequestTable::Due(Time now) const {
  if (NextTimer().value_or(kTimeMax) > now) return std::nullopt;
  return Find(timers_.begin()->second);
}

}  // namespace allot::router
