// A state folder in a temporary place and agents that come and go on it.
#pragma once

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>

#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>

#include "agent/runtime/environment.h"
#include "agent/runtime/process_runtime.h"

namespace allot::agent {

class TemporaryFolder {
 public:
  explicit TemporaryFolder(
      const std::filesystem::path& place = std::filesystem::temp_directory_path()) {
    std::string pattern = place / "allot-test-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline std::string ReadText(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

inline void WriteText(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}

// One life of an agent's runtime: destroying it is what kill -9 of the agent is to a process.
class Life {
 public:
  explicit Life(const std::string& path, ProcessRuntime::Options options = {},
                const std::string& supervisor = ALLOT_SUPERVISOR) {
    auto folder = StateFolder::Open(path);
    EXPECT_TRUE(folder.ok()) << folder.status();
    folder_ = *std::move(folder);
    scan_ = folder_->ScanProcesses();
    ProcessHandlers handlers;
    handlers.running = [this](const ProcessId& id, int64_t pid, Time) { pids[id] = pid; };
    handlers.exited = [this](const ProcessId& id, const TaskExit& exit) {
      EXPECT_FALSE(exits.contains(id)) << "the exit of " << id << " was told twice";
      exits[id] = exit;
    };
    auto runtime = ProcessRuntime::Create(loop, *folder_, supervisor, handlers, options);
    EXPECT_TRUE(runtime.ok()) << runtime.status();
    runtime_ = *std::move(runtime);
  }

  ProcessSpec Spec(const TaskKey& key, std::vector<std::string> argv) {
    StartTask start;
    start.key = key;
    start.launch.command = argv;
    start.launch.world_size = key.task.index + 1;
    ProcessSpec spec;
    spec.id = ProcessOf(key);
    spec.launch.what = start;
    spec.argv = std::move(argv);
    spec.environment = {"PATH=/usr/bin:/bin"};
    return spec;
  }
  ProcessId Run(const TaskKey& key, std::vector<std::string> argv) {
    const ProcessSpec spec = Spec(key, std::move(argv));
    const Status status = runtime_->Spawn(spec);
    EXPECT_TRUE(status.ok()) << status;
    return spec.id;
  }
  ProcessId Shell(const TaskKey& key, const std::string& script) {
    return Run(key, {"/bin/sh", "-c", script});
  }

  // Runs the loop until the condition holds; the bound is for a broken test only.
  bool Until(const std::function<bool()>& condition) {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!condition()) {
      loop.restart();
      loop.run_one_for(std::chrono::milliseconds(10));
      if (std::chrono::steady_clock::now() > give_up) return false;
    }
    return true;
  }
  TaskExit ExitOf(const ProcessId& id) {
    EXPECT_TRUE(Until([&] { return exits.contains(id); })) << id << " did not end";
    return exits[id];
  }
  int64_t PidOf(const ProcessId& id) {
    EXPECT_TRUE(Until([&] { return pids.contains(id); })) << id << " did not start";
    return pids[id];
  }
  ProcessRecord RecordOf(const ProcessId& id) {
    auto record = ParseRecord(ReadText(folder_->RecordOf(id)));
    EXPECT_TRUE(record.ok()) << record.status();
    return record.ok() ? *std::move(record) : ProcessRecord{};
  }
  // Once the process runs.
  pid_t SupervisorOf(const ProcessId& id) {
    PidOf(id);
    EXPECT_TRUE(Until([&] { return RecordOf(id).running.has_value(); }));
    return static_cast<pid_t>(RecordOf(id).running->supervisor_pid);
  }
  std::string LogText(const ProcessId& id) { return ReadText(folder_->LogOf(id)); }

  ProcessRuntime& runtime() { return *runtime_; }
  StateFolder& folder() { return *folder_; }
  const StateFolder::Scan& scan() const { return scan_; }

  boost::asio::io_context loop;
  std::map<ProcessId, int64_t> pids;
  std::map<ProcessId, TaskExit> exits;

 private:
  std::unique_ptr<StateFolder> folder_;
  StateFolder::Scan scan_;
  std::unique_ptr<ProcessRuntime> runtime_;
};

// Ends what a failed test has left running: a supervisor that is killed takes its process along.
inline void EndAll(const std::string& state_dir) {
  std::error_code error;
  for (std::filesystem::directory_iterator it(state_dir + "/processes", error), end;
       !error && it != end; it.increment(error)) {
    const auto record = ParseRecord(ReadText(it->path()));
    if (record.ok() && record->running && !record->exit && record->running->supervisor_pid > 1)
      kill(static_cast<pid_t>(record->running->supervisor_pid), SIGKILL);
  }
}

inline TaskKey Key(uint64_t job, uint32_t rank = 0, uint32_t attempt = 1) {
  return TaskKey{{JobId(job), rank}, Attempt(attempt)};
}

// False once the process is gone or only its zombie is left.
inline bool Runs(int64_t pid) {
  const std::string stat = ReadText("/proc/" + std::to_string(pid) + "/stat");
  const size_t end = stat.rfind(')');
  return end != std::string::npos && end + 2 < stat.size() && stat[end + 2] != 'Z' &&
         stat[end + 2] != 'X';
}

}  // namespace allot::agent
