// What a node is, as its agent tells it at registration.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/model/device.h"

namespace allot {

struct NodeInfo {
  std::string name;      // bound to the node's key; [a-z0-9.-], at most 63 characters
  std::string instance;  // made once per state folder: tells a reinstalled machine from a restarted agent
  std::string boot_id;   // of the running kernel; another one: nothing that ran before is there
                         // any more. Empty where the agent cannot tell
  std::string address;   // where peers of a gang reach this node
  std::string metrics_address;  // host:port of the agent's /metrics; empty if it has none
  std::string version;
  MilliCpu cpus = 0;     // processor share offered to tasks: the cores of its CPU devices
  Bytes memory = 0;      // memory offered to tasks
  std::vector<Device> devices;  // at most DeviceSet::kMax
  std::vector<DeviceGroup> groups;
  std::vector<std::string> losses;    // what the host does not let us keep apart, for people
  std::vector<std::string> warnings;  // what discovery saw and could not use, for people
  // Why it can start nothing now, for people: "disk: 12 MiB left in /var/lib/allotrope". Empty: it
  // can. What runs on it runs on.
  std::vector<std::string> unfit;
  std::map<std::string, std::string> labels;
  std::string seen_address;      // whence its connection comes, as the scheduler sees it; empty: unknown
  // It ends tasks whose lease is not renewed: it may be given those that need one (LeaseTerms).
  bool task_leases = false;
  // What a task may have of scratch there at most; absent: no limit, or not told.
  std::optional<Bytes> scratch_max;
  bool address_derived = false;  // `address` was found by the agent, nobody has written it down
  bool operator==(const NodeInfo&) const = default;
};

}  // namespace allot
