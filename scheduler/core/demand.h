// What a gang or a replica needs, with its device requests resolved to classes.
#pragma once

#include <vector>

#include "common/model/job.h"
#include "scheduler/core/device_classes.h"

namespace allot::scheduler {

// One way to satisfy the demand: `count` accelerators of one class per task, all tasks of a gang on
// those of one vendor; or (count 0) the
// processor share of a node whose processors are of one of the classes.
struct DemandOption {
  uint32_t alternative = 0;  // position in Demand::devices
  uint32_t count = 0;
  double worth = 1.0;
  bool joined = false;           // the devices of a task are in one fabric
  std::vector<ClassId> classes;  // rising
};

struct Demand {
  uint32_t tasks = 1;
  Resources resources;  // per task
  std::vector<DeviceRequest> devices;
  bool leases = false;  // of tasks: NodeInfo::task_leases
  Bytes scratch = 0;    // of a task, within NodeInfo::scratch_max

  // Filled by Resolve.
  std::vector<DemandOption> options;
  uint32_t classes_seen = 0;  // resolved against that many

  static Demand Of(const JobSpec& spec) {
    return {spec.tasks,
            spec.resources,
            spec.devices,
            spec.at_most_one,
            spec.scratch_max.value_or(0),
            {},
            0};
  }
  // The same, not resolved.
  Demand Asked() const { return {tasks, resources, devices, leases, scratch, {}, 0}; }
  // Equal as to what was asked.
  bool Same(const Demand& o) const {
    return tasks == o.tasks && resources == o.resources && devices == o.devices &&
           leases == o.leases && scratch == o.scratch;
  }
};

// Does the request mean processor share when it meets a processor of this class? Only if it says
// so (kind) or names the model: "vendor: amd" alone means an accelerator.
bool MeansProcessor(const DeviceRequest& request);

// Brings `demand.options` up to date with the classes known. Cheap when there is nothing new.
void Resolve(const DeviceClasses& classes, Demand& demand);

}  // namespace allot::scheduler
