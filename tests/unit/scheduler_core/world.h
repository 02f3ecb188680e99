// A scheduler core with agents that obey, for tests: every step folds the records a second time and
// checks that both states agree and that the invariants hold.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "scheduler/core/core.h"
#include "scheduler/core/describe.h"

namespace allot::scheduler {

// One device of the tests: "h200", "a100", "groq", "tpu", "inf2", "trn1" or "xeon".
Device MakeDevice(const std::string& word, uint32_t number);

// The devices of a word, in groups of `size` (0: all of them in one).
struct FabricShape {
  std::string kind, word;
  uint32_t size = 0;
  std::string shape;
};

struct NodeShape {
  std::string name;
  std::vector<std::pair<uint32_t, std::string>> devices;  // {8, "h200"}
  MilliCpu cpus = 64'000;
  Bytes memory = 512 * kGiB;
  std::string instance = "i1";
  std::string boot_id = "";
  std::vector<FabricShape> fabrics;
  uint32_t numa_nodes = 0;  // the devices of a word are dealt out to so many, in order; 0: unknown
  std::optional<Isolation> isolation;  // of the accelerators
  std::optional<PriceRate> price;      // of each accelerator, by contract
  std::string rack = "";
  std::vector<std::string> unfit = {};      // why it can start nothing
  std::vector<std::string> unhealthy = {};  // ids of devices that do not do
  std::string seen = {};  // its connection comes from there, and it has found its address itself
  bool leases = true;     // its agent ends tasks whose lease is not renewed
  bool powered = false;   // devices say what they draw: h200 700 W, a100 400, groq 300, xeon 320
};
NodeInfo MakeInfo(const NodeShape& shape);

// Prices of the tests: h200 $4, a100 $2, groq $1, an xeon core $0.05 an hour.
Policy TestPolicy();

class World {
 public:
  explicit World(CoreOptions options = {}, Policy policy = TestPolicy());

  // Steps the core (again while it says more); returns what came out, accumulated.
  Effects Step(const Event& event);
  // Time passes, and the core gets each tick that it asks for.
  Effects Advance(Duration time);
  // Time passes in one go: the scheduler was stopped.
  Effects Stall(Duration time) {
    now_ += time;
    return Step(ClockTicked{});
  }
  void PassTime(Duration time) { now_ += time; }

  // As another build may have written it; the core hears of it with the next Crash.
  void Wrote(const Record& record) {
    fold_.Apply(record);
    journal_.push_back(record);
  }
  // A new core from the records so far (Restarted is the caller's).
  void Crash();
  // Likewise from the first `records` of them: the store of that moment is put back.
  void Restore(size_t records);

  Effects Register(const NodeShape& shape, std::vector<TaskStatus> tasks = {},
                   std::vector<ReplicaStatus> replicas = {});
  Effects Submit(JobSpec spec, std::string key = "", std::string user = "ann");
  Effects Report(const std::string& node, TaskStatus status, std::optional<Epoch> epoch = {});
  Effects Report(const std::string& node, ReplicaStatus status);
  Effects Beat(const std::string& node);

  Core& core() { return *core_; }
  const ClusterState& state() const { return core_->state(); }
  Time now() const { return now_; }
  Epoch EpochOf(const std::string& node) const { return state().FindNode(node)->epoch; }
  JobId last_job() const { return state().last_job(); }
  const JobState& job(JobId id) const { return *state().FindJob(id); }
  const std::vector<Record>& journal() const { return journal_; }
  const std::map<std::string, NodeShape>& shapes() const { return shapes_; }

 private:
  const CoreOptions options_;
  Time now_ = FromMicros(1'000'000'000);
  std::unique_ptr<Core> core_;
  std::vector<Record> journal_;
  ClusterState fold_;
  std::map<std::string, NodeShape> shapes_;
  std::map<std::string, uint64_t> registrations_;
};

// The key of a task in its job's present attempt.
TaskKey KeyOf(const ClusterState& state, JobId job, uint32_t rank);
TaskStatus Running(TaskKey key, int64_t pid = 100);
TaskStatus Exited(TaskKey key, int32_t code = 0, int32_t signal = 0, std::string message = "");

}  // namespace allot::scheduler
