// The requests that have not ended, each in a place that is used again, and their timers.
//
// Places (indices) are stable while a request lives. No clock; one thread.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "common/base/ids.h"
#include "common/base/units.h"
#include "scheduler/router/fleet.h"

namespace allot::router {

struct Request {
  RequestId id;
  Deployment* deployment = nullptr;
  Replica* replica = nullptr;    // in flight on; null while it waits
  DeviceGroup* group = nullptr;  // of the last replica it was forwarded to
  uint32_t flight = 0;           // place in replica->flights
  QueueKey key;                  // keeps its turn when it comes back to the queue
  bool stream = false;
  uint32_t tries = 0;
  uint32_t others = 0;  // in flight on the replica at admission
  Time arrived, forwarded;
  std::optional<Time> first_byte, deadline, timer;
  Duration predicted{};
  std::vector<ReplicaId> tried;  // failed there, or refused
  std::string tenant;
  uint32_t prompt_tokens = 0;    // estimate, then as reported
  uint32_t broke = 0;            // replicas that failed with it in hand: it may be to blame
  int32_t http_status = 0;       // of the answer that ended it
  bool trial = false;            // its replica is on trial with it

  // Bytes are with the client: an answer that is not streamed is held back until it is whole.
  bool started() const { return stream && first_byte.has_value(); }
  bool HasTried(ReplicaId id) const;
};

class RequestTable {
 public:
  uint32_t Add(RequestId id);  // CHECKs that it is new
  std::optional<uint32_t> Find(RequestId id) const;
  Request& at(uint32_t place) { return requests_[place]; }
  void Remove(uint32_t place);  // and its timer

  void SetTimer(uint32_t place, std::optional<Time> at);
  std::optional<Time> NextTimer() const;
  // Whose timer is due first; ties by request id.
  std::optional<uint32_t> Due(Time now) const;

 private:
  std::vector<Request> requests_;
  std::vector<uint32_t> free_;
  absl::flat_hash_map<RequestId, uint32_t> places_;  // looked up only
  std::set<std::pair<Time, RequestId>> timers_;
};

}  // namespace allot::router
