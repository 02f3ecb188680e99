#include "client/enroll/ask.h"

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "client/interrupts.h"
#include "client/local/files.h"
#include "common/enroll/serve.h"

extern char** environ;

namespace allot::client {
namespace {

constexpr int kLookEveryMs = 50;  // whether somebody has interrupted us

// A program whose standard input and output are ours; it is gone when this is.
class Child {
 public:
  Child() = default;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ > 0) {
      (void)kill(pid_, SIGTERM);
      (void)Wait();
    }
    if (ours_ >= 0) close(ours_);
  }

  Status Start(const std::string& program) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
      return Failed(program, errno);
    ours_ = pair[0];
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pair[1], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, pair[1], STDOUT_FILENO);
    char* argv[] = {const_cast<char*>(program.c_str()), const_cast<char*>(enroll::kFlag), nullptr};
    const int error = posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(pair[1]);
    if (error == 0) return absl::OkStatus();
    pid_ = -1;
    return Failed(program, error);
  }

  // What cannot be written (it has ended) shows in what it says.
  void Tell(const std::string& text) {
    for (size_t done = 0; done < text.size();) {
      const ssize_t n = send(ours_, text.data() + done, text.size() - done, MSG_NOSIGNAL);
      if (n < 0 && errno != EINTR) break;
      if (n > 0) done += static_cast<size_t>(n);
    }
    (void)shutdown(ours_, SHUT_WR);
  }

  // All it says, to the end.
  StatusOr<std::string> Hear() {
    std::string said;
    char buffer[4096];
    while (InterruptedBy() == 0) {
      pollfd one{ours_, POLLIN, 0};
      if (poll(&one, 1, kLookEveryMs) <= 0) continue;
      const ssize_t n = recv(ours_, buffer, sizeof buffer, 0);
      if (n > 0) said.append(buffer, static_cast<size_t>(n));
      // An end with a question that was not read is an error to the kernel, and an end to us.
      if (n == 0 || (n < 0 && errno != EINTR)) return said;
    }
    return absl::CancelledError("interrupted");
  }

  int Wait() {  // its status as of waitpid(2)
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return status;
  }

 private:
  static Status Failed(const std::string& program, int error) {
    return FailedPrecondition("cannot run {}: {}", program, std::strerror(error));
  }

  pid_t pid_ = -1;
  int ours_ = -1;
};

}  // namespace

StatusOr<enroll::Asking> AskThrough(const std::string& program) {
  ASSIGN_OR_RETURN(const std::string path, local::FindProgram(program));
  return [path](const enroll::Question& question) -> StatusOr<enroll::Answer> {
    Child child;
    RETURN_IF_ERROR(child.Start(path));
    child.Tell(enroll::ToText(question));
    ASSIGN_OR_RETURN(const std::string said, child.Hear());
    const int status = child.Wait();
    // Ctrl-C reaches us both, and may reach it first.
    if (InterruptedBy() != 0) return absl::CancelledError("interrupted");
    if (WIFSIGNALED(status))
      return Unavailable("{} {} was ended by signal {}", path, enroll::kFlag, WTERMSIG(status));
    if (WEXITSTATUS(status) != 0 || said.empty())
      return FailedPrecondition(
          "{} {} ended with code {}; it is of another version than this `allot`: install the same",
          path, enroll::kFlag, WEXITSTATUS(status));
    return enroll::ParseAnswer(said);
  };
}

}  // namespace allot::client
