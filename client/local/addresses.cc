#include "client/local/addresses.h"

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>

#include "client/local/files.h"
#include "client/local/processes.h"

namespace allot::client::local {
namespace {

// The value of a `key: value` line of ours, without its quotes; empty if there is none. These files
// are flat and written by us, and nearly every command reads one before it does anything else.
std::string ValueOf(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (!line.starts_with(key) || !line.substr(key.size()).starts_with(": ")) continue;
    line.remove_prefix(key.size() + 2);
    if (line.size() >= 2 && line.front() == '"' && line.back() == '"')
      line = line.substr(1, line.size() - 2);
    return std::string(line);
  }
  return "";
}

}  // namespace

StatusOr<Addresses> ReadAddresses(const std::string& state_dir) {
  const std::string path = state_dir + "/addresses.yaml";
  if (!Exists(path)) return NotFound("there is no {}", path);
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  Addresses a;
  const std::string pid = ValueOf(text, "pid");
  const auto [end, error] = std::from_chars(pid.data(), pid.data() + pid.size(), a.pid);
  if (error != std::errc() || end != pid.data() + pid.size())
    return InvalidArgument("{} names no process", path);
  a.http = ValueOf(text, "http");
  a.endpoint = ValueOf(text, "endpoint");
  a.public_key = ValueOf(text, "public_key");
  a.gateway_http = ValueOf(text, "gateway_http");
  a.gateway_endpoint = ValueOf(text, "gateway_endpoint");
  return a;
}

std::string LocalApi(const std::string& folder) {
  const auto addresses = ReadAddresses(folder + "/scheduler");
  if (addresses.ok() && !addresses->http.empty()) return addresses->http;
  if (!Exists(folder + "/cluster.yaml") || Exists(folder + "/" + kDownMark)) return "";
  const auto config = ReadFile(folder + "/scheduler.yaml");
  if (!config.ok()) return "";
  const std::string http = ValueOf(*config, "http_listen");
  return http.ends_with(":0") ? "" : http;  // Not chosen yet.
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
