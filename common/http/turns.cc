#include "common/http/turns.h"

#include <algorithm>

namespace allot::http {

bool Turns::Later::operator()(const Group* a, const Group* b) const {
  return a->used != b->used ? a->used < b->used : a->since < b->since;
}

void Turns::Wait(Member& member) {
  if (member.waiting) return;
  Group& group = *member.group;
  member.waiting = true;
  member.used = std::max(member.used, group.floor);
  member.since = ++count_;
  if (group.waiting.empty()) {
    group.used = std::max(group.used, floor_);
    group.since = ++count_;
    groups_.insert(&group);
  }
  group.waiting.insert(&member);
}

void Turns::Take(Member& member) {
  Group& group = *member.group;
  group.waiting.erase(&member);
  member.waiting = false;
  if (group.waiting.empty()) groups_.erase(&group);
}

Turns::Member* Turns::Next() {
  if (groups_.empty()) return nullptr;
  Group& group = **groups_.begin();
  Member& member = **group.waiting.begin();
  floor_ = std::max(floor_, group.used);
  group.floor = std::max(group.floor, member.used);
  Take(member);
  return &member;
}

void Turns::Used(Member& member, int64_t nanos) {
  Group& group = *member.group;
  if (member.waiting) group.waiting.erase(&member);
  member.used += nanos;
  if (member.waiting) group.waiting.insert(&member);
  const bool waits = !group.waiting.empty();
  if (waits) groups_.erase(&group);
  group.used += nanos;
  if (waits) groups_.insert(&group);
}

void Turns::Leave(Member& member) {
  if (member.waiting) Take(member);
}

}  // namespace allot::http
