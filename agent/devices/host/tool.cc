#include "agent/devices/host/tool.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace allot::agent {
namespace {

using Clock = std::chrono::steady_clock;

// The child, in a process group of its own; ended with all it started when this goes away.
class Child {
 public:
  ~Child() {
    if (pid_ > 0) {
      kill(-pid_, SIGKILL);
      (void)Wait();
    }
    if (output_ >= 0) close(output_);
  }

  // errno of posix_spawnp, 0 on success.
  int Start(const std::vector<std::string>& command) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return errno;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    std::vector<char*> arguments;
    for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    const int error =
        posix_spawnp(&pid_, arguments[0], &actions, &attributes, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    close(ends[1]);
    if (error != 0) {
      close(ends[0]);
      pid_ = -1;
      return error;
    }
    output_ = ends[0];
    return 0;
  }

  int output() const { return output_; }

  int Wait() {
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return status;
  }

  // Its exit status if it ends in time.
  std::optional<int> WaitUntil(Clock::time_point deadline) {
    for (;;) {
      int status = 0;
      const pid_t ended = waitpid(pid_, &status, WNOHANG);
      if (ended == pid_ || (ended < 0 && errno != EINTR)) {
        kill(-pid_, SIGKILL);  // What it left behind.
        pid_ = -1;
        return status;
      }
      if (Clock::now() >= deadline) return std::nullopt;
      // It has closed its output, so it is about to end.
      poll(nullptr, 0, 1);
    }
  }

 private:
  pid_t pid_ = -1;
  int output_ = -1;
};

StatusOr<std::string> Run(const std::vector<std::string>& command, const ToolLimits& limits) {
  const Clock::time_point deadline = Clock::now() + limits.deadline;
  Child child;
  if (const int error = child.Start(command); error != 0) {
    if (error == ENOENT) return NotFound("no {} in PATH", command[0]);
    return Unavailable("{} cannot be started: {}", command[0], strerror(error));
  }
  std::string output;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    pollfd ready{child.output(), POLLIN, 0};
    const int polled = poll(&ready, 1, static_cast<int>(std::max<int64_t>(0, left.count())));
    if (polled < 0 && errno == EINTR) continue;
    if (polled <= 0)
      return DeadlineExceeded("{} has not answered for {} ms and was ended; going on without it",
                              command[0], limits.deadline.count());
    char piece[4096];
    const ssize_t got = read(child.output(), piece, sizeof piece);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    output.append(piece, static_cast<size_t>(got));
    if (output.size() > limits.output_max)
      return ResourceExhausted("{} wrote more than {} bytes and was ended; going on without it",
                               command[0], limits.output_max);
  }
  const std::optional<int> status = child.WaitUntil(deadline);
  if (!status)
    return DeadlineExceeded("{} has closed its output but not ended in {} ms; going on without it",
                            command[0], limits.deadline.count());
  // What a shell, or a wrapper of the vendor's, says of a program that is not there.
  if (WIFEXITED(*status) && WEXITSTATUS(*status) == 127 && output.empty())
    return NotFound("no {} in PATH", command[0]);
  if (!WIFEXITED(*status) || WEXITSTATUS(*status) != 0)
    return Unavailable("{} failed with {}; going on without it", command[0],
                       WIFEXITED(*status) ? fmt::format("exit status {}", WEXITSTATUS(*status))
                                          : fmt::format("signal {}", WTERMSIG(*status)));
  return output;
}

}  // namespace

StatusOr<std::string> RunTool(const Host& host, const std::vector<std::string>& command,
                              const std::string& sample, const ToolLimits& limits) {
  if (host.live()) return Run(command, limits);
  if (!host.tools()) return NotFound("{}: no tools on a recorded machine", command[0]);
  if (const std::string program = host.root() + "/cli/" + command[0];
      host.programs() && access(program.c_str(), X_OK) == 0) {
    std::vector<std::string> of_tree = command;
    of_tree[0] = program;
    return Run(of_tree, {.deadline = *host.programs(), .output_max = limits.output_max});
  }
  auto recorded = host.Read("/cli/" + sample);
  if (!recorded) return NotFound("{} was not recorded: no cli/{}", command[0], sample);
  return *std::move(recorded);
}

}  // namespace allot::agent
