// What these tests share: a folder that goes away, and histories made by driving the real core at
// random from a seed.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/base/rng.h"
#include "scheduler/core/core.h"

namespace allot::scheduler::testing {

class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

NodeInfo MakeNode(const std::string& name, uint32_t gpus);
JobSpec MakeJob(uint32_t tasks, uint32_t gpus);

// A life with one record of each kind, which folds; no field of them has its default.
std::vector<Record> OneOfEachKind();

// Jobs, deployments, policies, agents that come, work, fail and fall silent; every record the core
// gave is kept.
class RandomHistory {
 public:
  explicit RandomHistory(uint64_t seed);
  void Turns(int count);
  const std::vector<Record>& records() const { return records_; }
  const ClusterState& state() const { return core_.state(); }

 private:
  struct Agent {
    uint64_t registration = 0;
    Epoch epoch;
    std::vector<TaskKey> tasks;
    std::vector<ReplicaId> replicas;
  };
  void Feed(const Event& event);
  void Hear(const std::string& node, const SchedulerMessage& message);
  void Register(const std::string& node);
  void Work(const std::string& node);
  void Submit();
  void Turn();

  Rng rng_;
  Time now_ = FromMicros(1'700'000'000'000'000);
  Core core_;
  std::map<std::string, Agent> agents_;
  std::vector<Record> records_;
};

}  // namespace allot::scheduler::testing
