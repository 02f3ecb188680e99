// Whose request is handled next, where several wait: fair in time, first between senders, then
// between the connections of one.
//
// Everything of a program happens on one loop, and what a request takes of it is not known before:
// a page of /healthz costs microseconds, a list thousands of times as much. So what each has taken
// is added up, and whoever has taken least goes first (as in the Linux scheduler's CFS, or fair
// queueing by virtual time): many connections, or long ones, buy no more of the loop than one. Who
// has not waited for a while begins where those are that wait, and brings nothing along from then.
//
// Pure; members and groups are their owners', and leave before they go.
#pragma once

#include <cstdint>
#include <set>

namespace allot::http {

class Turns {
 public:
  struct Group;
  struct Member {
    explicit Member(void* w) : who(w) {}
    void* who = nullptr;
    Group* group = nullptr;
    int64_t used = 0;    // nanoseconds, on the scale of its group
    uint64_t since = 0;  // among equals the one that waits longest
    bool waiting = false;
  };
  struct Later {
    bool operator()(const Member* a, const Member* b) const {
      return a->used != b->used ? a->used < b->used : a->since < b->since;
    }
    bool operator()(const Group* a, const Group* b) const;
  };
  struct Group {
    int64_t used = 0, floor = 0;  // floor: where those of it are that wait
    uint64_t since = 0;
    std::set<Member*, Later> waiting;
  };

  bool empty() const { return groups_.empty(); }
  void Wait(Member& member);  // its group is set
  Member* Next();             // waits no longer; null: nobody does
  void Used(Member& member, int64_t nanos);
  void Leave(Member& member);

 private:
  void Take(Member& member);

  std::set<Group*, Later> groups_;  // with members that wait
  int64_t floor_ = 0;
  uint64_t count_ = 0;
};

}  // namespace allot::http
