// What a process finds in its environment. Pure functions; README.md lists the variables.
//
// Three layers, the later wins: a small clean base (never the agent's own environment), what the
// job or deployment says, and what only the agent can know (rank, devices, ports).
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "agent/core/events.h"

namespace allot::agent {

using Environment = std::map<std::string, std::string>;

struct EnvironmentBase {
  std::vector<Device> devices;      // of the node
  std::vector<DeviceGroup> groups;  // of the node
  // Variables by which vendors show devices to a process. Each is set for every process, to
  // nothing where it leased no such device: a task without a GPU must not find one.
  std::vector<std::string> visible_variables = {"CUDA_VISIBLE_DEVICES"};
  // What the runtimes want for several devices in one process, over what each device says; no
  // vendor is known here (agent/devices/parts.h, JoinSet). `leased` in the order of the lease.
  std::function<Environment(const std::vector<const Device*>& leased,
                            const std::vector<DeviceGroup>& groups)>
      join;
  std::string path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  // By device, of those that are endpoints with a token: where it is.
  std::map<std::string, std::string> endpoint_token_files;
  std::string home = "/";
  std::string node_name;
  // What makes collectives use the network by which peers reach the node; jobs may say otherwise.
  Environment network;
};

// Files the agent and the process share, absolute paths.
struct ProcessFiles {
  std::string scratch;         // TMPDIR
  std::string checkpoint_dir;  // tasks only
  std::string progress_file, preemption_notice_file;
  // Of the person it runs as; empty: the base's home, and nothing is said of the others.
  std::string home, user, shell;
  std::map<std::string, std::string> endpoint_token_files;  // where that person can read them
};
// Set for every process to ProcessFiles::scratch, which no other process ever has: strays.h.
inline constexpr const char* kScratchVariable = "ALLOT_SCRATCH_DIR";
inline constexpr const char* kProgressFile = ".allot-progress";
inline constexpr const char* kPreemptionNoticeFile = ".allot-preemption-notice";

Environment TaskEnvironment(const EnvironmentBase& base, const TaskKey& key,
                            const TaskLaunch& launch, const ProcessFiles& files);
Environment ReplicaEnvironment(const EnvironmentBase& base, ReplicaId id,
                               const ReplicaLaunch& launch, uint16_t port,
                               const ProcessFiles& files);
std::vector<std::string> ToStrings(const Environment& environment);  // "NAME=value", ordered

// argv with every "{port}" replaced.
std::vector<std::string> ReplacePort(const std::vector<std::string>& argv, uint16_t port);

}  // namespace allot::agent
