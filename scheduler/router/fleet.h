// What the router knows of deployments, replicas and nodes: the last route table joined with
// soft state (requests in flight, links, latency estimates) that outlives it.
//
// A replica or deployment that left the table stays here until its last request has ended.
// No clock, no I/O; one thread. Pointers stay valid until Sweep.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "common/model/messages.h"
#include "policies/api/routing_policy.h"
#include "scheduler/router/conduct.h"
#include "scheduler/router/latency_model.h"

namespace allot::router {

struct Deployment;

// Replicas of one deployment that share an estimate: same device model, as many of them, and
// emulated or not alike.
struct DeviceGroup {
  std::string device_model;
  uint32_t device_count = 1;
  bool emulated = false;
  DeviceKind kind = DeviceKind::kGpu;
  LatencyEstimate estimate;
  PaceLog<64> paces;                  // of the last answers of all its replicas
  Prediction prediction;              // scratch of the decision under way, prior filled in
  bool far_outside = false;           // scratch
  const struct Slot* best = nullptr;  // scratch
  int64_t cost_nanos_left = 0;        // less than a micro-dollar, for the next request
  int64_t energy_nanos_left = 0;      // less than a millijoule, likewise
};

struct NodeLink {
  bool linked = false;
  std::vector<struct Replica*> replicas;  // listed ones, by id
};

struct Replica {
  RouteReplica facts;
  Deployment* deployment = nullptr;
  DeviceGroup* group = nullptr;
  bool listed = true;             // in the last table
  uint32_t slot = 0;              // in deployment->slots, if listed
  std::vector<uint32_t> flights;  // requests in flight, by their place in the request table
  Conduct conduct;
  PaceLog<16> paces;  // of its last answers
};

// What a decision looks at, in one row of memory per replica.
struct Slot {
  uint32_t in_flight = 0, concurrency = 1;
  bool ready = false, linked = false;
  DeviceGroup* group = nullptr;
  PriceRate price;
  double nanos_per_microsecond = 0;  // of one of its places: price ÷ concurrency
  Replica* replica = nullptr;
  bool available() const { return ready && linked; }
  bool has_room() const { return available() && in_flight < concurrency; }
};

// Place in a deployment's queue: higher priority first, then who came first.
struct QueueKey {
  int32_t priority = 0;
  uint64_t sequence = 0;
  bool operator<(const QueueKey& other) const {
    return priority != other.priority ? priority > other.priority : sequence < other.sequence;
  }
};

struct Deployment {
  std::string name, model;
  Objective objective;
  uint32_t queue_max = 64;
  Duration queue_timeout{};
  bool listed = true;
  std::vector<Slot> slots;  // listed replicas, by id
  std::vector<std::unique_ptr<DeviceGroup>> groups;
  std::map<QueueKey, uint32_t> queue;  // place in the request table
  std::string shadowed_by;             // an older deployment serves its model; empty: none
  uint32_t in_flight = 0;
  uint32_t available = 0;  // slots that are ready and linked
  // Since when none is available, or since the deployment is known; nullopt while one is.
  std::optional<Time> without_since;
  double retries_left = 100;  // see On(RequestArrived) in core.cc
  // All that are available are out: they are used all the same, as if none was.
  bool panic = false;  // scratch
  policies::RouteMemory memory;
};

class Fleet {
 public:
  // Rows that contradict an earlier one (a name or id twice, a replica that changed hands) are
  // passed over: tables come from outside.
  //
  // Of several deployments of one model the oldest serves it, whatever their names; one whose age
  // is not known is older than any, and among such the one with the oldest replica. The others are
  // shadowed: they are kept, and take over when it goes.
  void Take(Time now, std::shared_ptr<const RouteTable> table);
  // Forgets what left the table and has no request any more; `gone` hears of the replicas.
  void Sweep(const std::function<void(const Replica&)>& gone);
  // Those on the node with requests in flight, listed or not, by id.
  std::vector<Replica*> BusyOn(const std::string& node);

  void SetLinked(Time now, const std::string& node, bool linked);
  void SetInFlight(Replica& replica);  // after a change of its flights

  const RouteTable& table() const { return *table_; }
  Deployment* FindModel(const std::string& model);
  const Deployment* FindModel(const std::string& model) const;
  Deployment* FindDeployment(const std::string& name);
  const Deployment* FindDeployment(const std::string& name) const;
  Replica* FindReplica(ReplicaId id);
  const Replica* FindReplica(ReplicaId id) const;
  std::map<std::string, std::unique_ptr<Deployment>>& deployments() { return deployments_; }

 private:
  void TakeDeployment(Time now, const RouteDeployment& row);
  void ChooseServing();
  void TakeReplica(Deployment& deployment, const RouteReplica& row);
  DeviceGroup* GroupOf(Deployment& deployment, const RouteReplica& row);

  std::shared_ptr<const RouteTable> table_ = std::make_shared<RouteTable>();
  std::map<std::string, std::unique_ptr<Deployment>> deployments_;
  std::map<ReplicaId, std::unique_ptr<Replica>> replicas_;
  absl::flat_hash_map<std::string, Deployment*> models_;  // looked up only
  std::map<std::string, NodeLink> nodes_;
};

// How seldom the best of its peers fails. Without any other it is no use to put one out.
Conduct::Share BestPeerOf(const Replica& replica);
// The same of Conduct::declines(), {0, 0} while one has not answered often enough to tell, and {1, 1}
// where there is none to compare with: none available, or out itself.
Conduct::Share LeastDeclinedBy(const Replica& replica);

// Nano-dollars of holding one place of a replica for `time`; of a fleet's, which has one at least.
int64_t HeldCostNanos(const RouteReplica& facts, Duration time);
// Nanojoules of it, if the lease draws what it draws at most.
int64_t HeldEnergyNanos(const RouteReplica& facts, Duration time);
constexpr int64_t kNanosPerMilliJoule = 1'000'000;

}  // namespace allot::router
