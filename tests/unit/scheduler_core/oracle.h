// What has room where, worked out from the facts by trying everything: written without the index,
// the search or the queue, so that these can be judged by it. For devices that nothing joins.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "scheduler/core/cluster_state.h"

namespace allot::scheduler {

class Oracle {
 public:
  explicit Oracle(const ClusterState& state);

  // Could all tasks of it be placed now, whatever else waits? Under caps on power it tells of
  // single tasks only (see capped).
  bool Fits(const JobSpec& job) const;
  // Could one more replica of the group?
  bool Fits(const DeploymentSpec& deployment, uint32_t group) const;
  bool capped() const { return policy_.power != PowerCaps{}; }

 private:
  struct Free {
    bool takes_work = false;
    MilliCpu cpus = 0;
    Bytes memory = 0;
    std::vector<bool> devices;  // by position: in service, and leased by nobody
    MilliWatt power = 0;        // leased
  };
  void Subtract(const TaskPlacement& placement, const Resources& resources);
  bool TakesWork(const NodeState& node) const;
  // Ways to give a task what the request asks for: a class of accelerators and how many of them are
  // free, or the processors (count 0).
  struct Way {
    std::string vendor = "";  // of accelerators
    uint32_t free = 0, count = 0;
    MilliWatt power = 0;
  };
  std::vector<Way> WaysOn(size_t node, const DeviceRequest* request, bool accelerators,
                          const Resources& each) const;
  uint64_t TasksOn(size_t node, const std::vector<Way>& ways, const Resources& each) const;
  bool Allows(size_t node, MilliWatt power) const;

  const ClusterState& state_;
  const Policy& policy_;
  std::vector<Free> free_;
};

}  // namespace allot::scheduler
