// Nodes by what they have free: for each device class, buckets of nodes by the number of free
// accelerators of the class, or by whole free cores for a class of processors.
//
// Derived from ClusterState and kept up to date by Ledger; a search walks buckets, never all nodes.
// Only open nodes (alive, not draining, fit, not quarantined, not on trial already) are in buckets.
// Row i is the node with id i + 1.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "scheduler/core/cluster_state.h"
#include "scheduler/core/demand.h"
#include "scheduler/core/device_classes.h"
#include "scheduler/core/node_set.h"
#include "scheduler/core/power.h"
#include "scheduler/core/topology.h"

namespace allot::scheduler {

class PlacementIndex {
 public:
  // Buckets of processors end here: nodes with more free cores share the last one.
  static constexpr uint32_t kCoresMax = 256;

  // The accelerators of one class on one node.
  struct Part {
    ClassId device_class = 0;
    DeviceSet all;       // in whatever state
    uint32_t total = 0;  // ready ones
    uint32_t free = 0;
    // What one draws at most. Those of a class on a node count alike, as the hungriest does: which
    // of them a task gets is decided after its power was.
    MilliWatt power_max = 0;  // as the agent says; 0: unknown
    MilliWatt power = 0;      // as it counts: see PowerOf in common/model/policy.h
  };
  // What a node has, whoever uses it.
  struct Totals {
    ClassId cpu_class = 0;
    MilliCpu cpus_total = 0;
    Bytes memory_total = 0;
    MilliWatt cpu_power_max = 0, cpu_power = 0;  // of all processors, as above
    MilliCpu cpu_whole = 1;                      // the share that draws so much
    uint32_t processors = 0;                     // CPU devices
    bool leases = false;                         // NodeInfo::task_leases
    std::optional<Bytes> scratch_max;            // NodeInfo::scratch_max
    int64_t weight = 0;  // of all accelerators, by which memory is shared: see WeightOf
    absl::InlinedVector<Part, 2> parts;
    bool Same(const Totals& o) const;
    // What is there or not, whatever is free.
    bool HasScratch(const Demand& demand) const {
      return !scratch_max || demand.scratch <= *scratch_max;
    }
    bool Suits(const Demand& demand) const {
      return (leases || !demand.leases) && HasScratch(demand);
    }
    const Part* Find(ClassId c) const {
      for (const Part& part : parts) {
        if (part.device_class == c) return &part;
      }
      return nullptr;
    }
  };
  // All a search looks at, side by side in memory.
  struct Row : Totals {
    bool open = false;
    // The node as a whole, and devices, that fail jobs: better elsewhere, and best where the fewest
    // jobs say so.
    uint32_t suspicion = 0;          // of the node: how many; 0: none
    uint32_t devices_suspicion = 0;  // the most of any of its suspects
    DeviceSet suspects;
    bool arranged = false;    // which of its accelerators a task gets matters: has a Topology
    bool restricted = false;  // and some sets may not be used
    uint32_t cpu_bucket = 0;
    MilliCpu cpus_free = 0;
    Bytes memory_free = 0;
    DeviceSet devices_free;
    PriceRate price;  // of all accelerators and cores
    // Of what is leased here by replicas, which do not end as jobs do.
    MilliCpu cpus_lasting = 0;
    Bytes memory_lasting = 0;
    DeviceSet devices_lasting;
  };

  explicit PlacementIndex(DeviceClasses& classes) : classes_(classes) {}

  // The node's info is new: interns its devices. Implies Refresh.
  void Describe(const NodeState& node, bool on_trial = false);
  // What the node has free, or whether it is open, may have changed. `on_trial`: it is on probation
  // and has its one job.
  void Refresh(const NodeState& node, bool on_trial = false);
  // What replicas lease of the node (their power comes with NodeState).
  void SetLasting(NodeId node, const Resources& leased, const DeviceSet& devices);
  // A preference for searches, nothing more: a suspect takes work when nothing else has room.
  void SetSuspects(NodeId node, uint32_t whole, const DeviceSet& devices, uint32_t of_devices);
  void ForgetSuspects();
  // Prices of classes have changed, and what their devices count with.
  void Reprice();
  void SetCaps(const PowerCaps& caps) {
    power_.SetCaps(caps);
    ++capacity_version_;
  }

  uint32_t node_count() const { return static_cast<uint32_t>(rows_.size()); }
  const Row& row(uint32_t i) const { return rows_[i]; }
  // How many tasks of the option find accelerators of their own among `set`, which are of one class
  // on the node. Option::count is not 0.
  uint32_t Room(uint32_t i, const DeviceSet& set, const DemandOption& option) const;
  // Those of one of them: the Room of what is left is one less. Empty iff there is none.
  DeviceSet Pick(uint32_t i, const DeviceSet& set, const DemandOption& option) const;
  // Buckets of a class; bucket b holds nodes with b free devices (or cores). May be empty.
  const std::vector<NodeSet>& Buckets(ClassId c) const;
  // Every node ever seen with the class, open or not.
  const NodeSet& Members(ClassId c) const;

  const PowerBook& power() const { return power_; }
  // The memory of a task or replica there: what is asked, or its share. Of a node with accelerators
  // three quarters go with those and a quarter with its processors, of another all with these: so
  // shares never add up to more than there is, and work on processors always finds some.
  Bytes MemoryOf(const Row& row, const Resources& each, ClassId c, uint32_t count) const;

  // What a lease on the node draws at most: `count` devices of the class (0: none) and a share of
  // its processors.
  MilliWatt PowerOf(uint32_t node, ClassId c, uint32_t count, MilliCpu cpus) const;
  // No lease of it on any node draws less at most.
  MilliWatt LeastPower(ClassId c, uint32_t count, MilliCpu cpus) const;

  // Could one task of it run on some node ever registered, were that node empty?
  bool EverPossible(const Demand& demand) const;
  // Could the whole gang run on the open nodes, had all jobs ended? Beside replicas, and within
  // what the caps on power leave besides them: those do not end by themselves.
  bool PossibleWhenEmpty(const Demand& demand) const;

  // Would the whole gang fit on what is free now, if only jobs gave their power back?
  bool WaitsForPowerAlone(const Demand& demand) const;

  // What has gained something is told to two readers, each at its own pace, so that neither clears
  // what the other has not seen: the planner asks for classes (rising), the deployments for nodes.
  std::vector<ClassId> TakeGrown();
  bool AnyGrown() const { return !grown_.empty(); }
  void MarkAllGrown();  // classes only: deployments are told of new policies anyway
  std::vector<uint32_t> TakeGrownNodes();
  // Has the cluster's cap, which had refused somebody, gained room since the last call? Then every
  // node may have room for what it refused; classes are marked, nodes are not.
  bool TakeClusterFreed() { return std::exchange(cluster_freed_, false); }
  // Changes whenever a node's totals or openness do, or what replicas lease.
  uint64_t capacity_version() const { return capacity_version_; }

 private:
  Totals Sketch(const NodeState& node);
  PriceRate PriceOf(const Totals& row) const;
  void Leave(uint32_t i);
  void Enter(uint32_t i);
  void MarkGrown(uint32_t i);
  void MarkClassGrown(ClassId c);
  void TakePower(Totals& row);
  void WakeRefused();
  // How many tasks a node takes whose devices have room for `by_devices`: empty, with nothing but
  // its replicas, or of what is free of it now.
  enum class Of : uint8_t { kEmpty, kWithoutJobs, kFree };
  uint64_t TasksOn(const Row& row, Of what, uint64_t by_devices, const Demand& demand, ClassId c,
                   uint32_t count) const;
  // How many tasks of the option, at most those of the gang, find accelerators of the class there.
  uint64_t TasksByDevices(uint32_t i, ClassId c, Of what, const Demand& demand,
                          const DemandOption& option) const;
  // Does the gang fit within the caps if all jobs gave their power back, on nodes without jobs or
  // on what is free of them now?
  bool FitsCaps(const Demand& demand, const DemandOption& option, Of what) const;
  std::vector<NodeSet>& MutableBuckets(ClassId c);

  DeviceClasses& classes_;
  std::vector<Row> rows_;
  std::vector<std::unique_ptr<const Topology>> topologies_;  // of rows; null where not arranged
  std::vector<DeviceSet> in_service_;                        // of rows: NodeState::accelerators
  std::vector<std::vector<NodeSet>> buckets_;                // by class
  std::vector<NodeSet> members_;                             // by class
  std::vector<ClassId> grown_;
  std::vector<bool> is_grown_;
  std::vector<uint32_t> grown_nodes_;
  std::vector<bool> is_grown_node_;
  uint64_t capacity_version_ = 1;
  PowerBook power_;
  bool cluster_freed_ = false;
  // What draws least of a class, over the nodes described since Reprice: accelerators by
  // themselves, processors as a rate.
  struct Least {
    bool known = false;
    MilliWatt power = 0;
    MilliCpu whole = 1;
  };
  void NoteLeast(ClassId c, MilliWatt power, MilliCpu whole);
  std::vector<Least> least_;  // by class
};

}  // namespace allot::scheduler
