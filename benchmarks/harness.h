// What benchmarks of the real programs share: a scratch folder, child processes, keys and
// configuration for a loopback cluster, and what /proc says of a process.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "common/transport/keys.h"

namespace allot::benchmarks {

// Removed with everything in it at the end.
class ScratchFolder {
 public:
  ScratchFolder();
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  pid_t sweeper_ = 0;
  int alive_ = -1;  // closed with us
};

// A child; killed with SIGKILL when this goes, and when our process ends.
class Process {
 public:
  Process(const std::vector<std::string>& command, const std::string& log_file);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  pid_t pid() const { return pid_; }
  void Signal(int signal) const;
  int Wait();  // exit code, or 128 + signal

 private:
  pid_t pid_ = -1;
};

// Programs stand beside this one.
std::string ProgramPath(const std::string& name);

void WriteFile(const std::string& path, const std::string& text);

// Keys, allow list and scheduler.yaml of a loopback cluster with these agents in `folder`.
struct ClusterFiles {
  std::string scheduler_config, scheduler_state, allow_file;
  transport::KeyPair scheduler_keys;
  std::map<std::string, transport::KeyPair> agents;
};
ClusterFiles WriteClusterFiles(const std::string& folder, const std::vector<std::string>& agents,
                               const std::string& extra_scheduler_config = "");
// Config of one agent of it, that offers what `extra` says (YAML lines).
std::string WriteAgentConfig(const std::string& folder, const ClusterFiles& files,
                             const std::string& name, const std::string& scheduler_endpoint,
                             const std::string& extra);

// Waits until a program has written <state_dir>/addresses.yaml; exits with its log's end if it dies
// first.
std::map<std::string, std::string> WaitForAddresses(const std::string& state_dir,
                                                    const Process& process,
                                                    const std::string& log_file);

double CpuSeconds(pid_t pid);  // user + system since its start
double ResidentMiB(pid_t pid);
double Seconds(std::chrono::steady_clock::duration d);

}  // namespace allot::benchmarks
