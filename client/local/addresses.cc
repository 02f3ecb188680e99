#include "client/local/addresses.h"

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <chrono>

#include "client/local/files.h"
#include "client/local/processes.h"
#include "yaml-cpp/yaml.h"

namespace allot::client::local {
namespace {

std::string Text(const YAML::Node& document, const char* key) {
  const YAML::Node value = document[key];
  return value.IsDefined() && value.IsScalar() ? value.Scalar() : "";
}

}  // namespace

StatusOr<Addresses> ReadAddresses(const std::string& state_dir) {
  const std::string path = state_dir + "/addresses.yaml";
  if (!Exists(path)) return NotFound("there is no {}", path);
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  try {
    const YAML::Node document = YAML::Load(text);
    if (!document.IsMap()) return InvalidArgument("{} is not a map", path);
    Addresses a;
    a.pid = document["pid"].as<pid_t>(0);
    a.http = Text(document, "http");
    a.endpoint = Text(document, "endpoint");
    a.public_key = Text(document, "public_key");
    a.gateway_http = Text(document, "gateway_http");
    a.gateway_endpoint = Text(document, "gateway_endpoint");
    return a;
  } catch (const YAML::Exception& e) {
    return InvalidArgument("{}: {}", path, e.what());
  }
}

StatusOr<Addresses> WaitForAddresses(const std::string& state_dir, pid_t pid, Duration timeout,
                                     const std::function<bool()>& interrupted) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  const int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  const int process = OpenProcess(pid);
  if (watch >= 0)
    inotify_add_watch(watch, state_dir.c_str(), IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE);
  StatusOr<Addresses> result =
      DeadlineExceeded("{} is not ready after {}", state_dir, FormatDuration(timeout));
  while (true) {
    // An older file may still stand there from before a crash: its pid tells.
    StatusOr<Addresses> found = ReadAddresses(state_dir);
    if (found.ok() && found->pid == pid) {
      result = std::move(found);
      break;
    }
    if (interrupted && interrupted()) {
      result = absl::CancelledError("interrupted");
      break;
    }
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) break;
    pollfd fds[2] = {{watch, POLLIN, 0}, {process, POLLIN, 0}};
    // A cap on each wait: inotify may be exhausted on a busy machine, then this is a slow poll.
    const int wait = static_cast<int>(std::min<int64_t>(left.count(), watch >= 0 ? 1000 : 50));
    (void)poll(fds, 2, wait);
    if (process < 0 || (fds[1].revents & POLLIN) != 0) {
      result = FailedPrecondition("process {} ended before it was ready", pid);
      break;
    }
    char events[4096];
    while (watch >= 0 && read(watch, events, sizeof(events)) > 0) {
    }
  }
  if (watch >= 0) close(watch);
  if (process >= 0) close(process);
  return result;
}

}  // namespace allot::client::local
