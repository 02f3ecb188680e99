#include "common/http/lookup.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>

extern char** environ;

namespace allot::http {
namespace {

bool IsAddress(const std::string& host) {
  unsigned char bytes[16];
  const std::string plain = host.substr(0, host.find('%'));  // fe80::1%eth0
  return inet_pton(AF_INET, host.c_str(), bytes) == 1 ||
         inet_pton(AF_INET6, plain.c_str(), bytes) == 1;
}

// What `getent ahosts HOST` prints, or nothing.
std::string AskMachine(const std::string& host) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return "";
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  const char* argv[] = {"getent", "ahosts", host.c_str(), nullptr};
  pid_t pid = 0;
  const int error =
      posix_spawnp(&pid, argv[0], &actions, nullptr, const_cast<char**>(argv), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  std::string said;
  if (error == 0) {
    char buffer[4096];
    for (ssize_t n = 1; n != 0;) {
      n = read(ends[0], buffer, sizeof buffer);
      if (n > 0) said.append(buffer, static_cast<size_t>(n));
      if (n < 0 && errno != EINTR) break;
    }
    while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  close(ends[0]);
  return said;
}

}  // namespace

StatusOr<std::vector<std::string>> Lookup(const std::string& host) {
  if (IsAddress(host)) return std::vector<std::string>{host};
  if (host == "localhost") return std::vector<std::string>{"127.0.0.1", "::1"};
  std::vector<std::string> found;
  // What begins with a dash would be an option, and is no host.
  // ADDRESS STREAM NAME, then the same for other kinds of sockets.
  std::istringstream lines(host.starts_with('-') ? "" : AskMachine(host));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string address, kind;
    words >> address >> kind;
    if (kind == "STREAM" && IsAddress(address)) found.push_back(std::move(address));
  }
  if (found.empty()) return NotFound("no machine of the name {} is known here", host);
  return found;
}

}  // namespace allot::http
