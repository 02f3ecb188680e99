#include "scheduler/router/request_table.h"

#include <algorithm>

#include "common/base/check.h"

namespace allot::router {

bool Request::HasTried(ReplicaId id) const {
  return !tried.empty() && std::find(tried.begin(), tried.end(), id) != tried.end();
}

uint32_t RequestTable::Add(RequestId id) {
  uint32_t place = 0;
  if (free_.empty()) {
    place = static_cast<uint32_t>(requests_.size());
    requests_.emplace_back();
  } else {
    place = free_.back();
    free_.pop_back();
  }
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
  std::vector<ReplicaId> tried = std::move(requests_[place].tried);
  tried.clear();
  requests_[place] = Request();
  requests_[place].tried = std::move(tried);
  free_.push_back(place);
}

void RequestTable::SetTimer(uint32_t place, std::optional<Time> at) {
  Request& request = requests_[place];
  if (request.timer == at) return;
  if (request.timer.has_value()) timers_.erase({*request.timer, request.id});
  if (at.has_value()) timers_.emplace(*at, request.id);
  request.timer = at;
}

std::optional<Time> RequestTable::NextTimer() const {
  if (timers_.empty()) return std::nullopt;
  return timers_.begin()->first;
}

std::optional<uint32_t> RequestTable::TakeDue(Time now) {
  if (timers_.empty() || timers_.begin()->first > now) return std::nullopt;
  const RequestId id = timers_.begin()->second;
  timers_.erase(timers_.begin());
  const uint32_t place = *Find(id);
  requests_[place].timer = std::nullopt;
  return place;
}

}  // namespace allot::router
