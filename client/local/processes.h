// Processes of a local cluster: starting them detached, finding every one of them again
// (tasks and model servers included), stopping them all.
//
// A program of the cluster has kMarker=FOLDER in its environment, a task or replica has paths of
// its node's state folder in its own, and a supervisor has one in its arguments. So whatever the
// cluster ran is found even when all its parents are gone.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/base/units.h"

namespace allot::client::local {

inline constexpr char kMarker[] = "ALLOT_LOCAL_CLUSTER";

// A file descriptor that becomes readable when the process ends (a pidfd); -1 if it has ended.
int OpenProcess(pid_t pid);
bool IsRunning(pid_t pid);  // zombies are not

struct Spawn {
  std::string program;            // absolute
  std::vector<std::string> args;  // without the program's name
  std::string log_file;           // standard output and error are appended to it
  std::string marker;             // the cluster's folder
};
// In a session of its own, so that it outlives the terminal. Fails if exec does.
StatusOr<pid_t> Start(const Spawn& spawn);

struct ProcessInfo {
  pid_t pid = 0;
  std::string program;  // base name of the executable, as far as it can be told
};
// Every process of this user that belongs to the cluster in `folder` (absolute), but not us.
std::vector<ProcessInfo> FindProcesses(const std::string& folder);

// Of every local cluster whose scheduler runs and may be looked at. Cheap: it is called by
// commands.
std::vector<std::string> FoldersInUse();

// SIGTERM to all, SIGKILL to those that remain after `grace`, until none is left. Returns how
// many there were.
int StopProcesses(const std::string& folder, Duration grace);

}  // namespace allot::client::local
