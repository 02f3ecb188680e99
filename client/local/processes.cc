#include "client/local/processes.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>

#include "client/local/files.h"

namespace allot::client::local {
namespace {

namespace fs = std::filesystem;

struct ProcStat {
  char state = '?';
  pid_t parent = 0, group = 0, session = 0;
};

// /proc/PID/stat: the name in parentheses may hold anything, so parse after the last ')'.
bool ReadStat(pid_t pid, ProcStat* out) {
  const StatusOr<std::string> text = ReadFile(fmt::format("/proc/{}/stat", pid));
  if (!text.ok()) return false;
  const size_t end = text->rfind(')');
  if (end == std::string::npos) return false;
  return std::sscanf(text->c_str() + end + 1, " %c %d %d %d", &out->state, &out->parent,
                     &out->group, &out->session) == 4;
}

// Does one of the NUL-separated words begin with `start`?
bool HasWordStarting(const std::string& text, const std::string& start) {
  return text.starts_with(start) || text.find(std::string(1, '\0') + start) != std::string::npos;
}

// Agents give their processes a clean environment, in which these lie in the state folder.
bool IsMarked(const std::string& environment, const std::string& folder) {
  return HasWordStarting(environment, std::string(kMarker) + "=" + folder + '\0') ||
         HasWordStarting(environment, "ALLOT_SCRATCH_DIR=" + folder + "/nodes/") ||
         HasWordStarting(environment, "TMPDIR=" + folder + "/nodes/") ||
         HasWordStarting(environment, "ALLOT_PROGRESS_FILE=" + folder + "/nodes/");
}

// One of our programs that was told of a path inside the folder, like a supervisor of its log:
// found even if somebody cleared its environment.
bool IsProgramOf(pid_t pid, const std::string& folder) {
  std::error_code error;
  const fs::path exe = fs::read_symlink(fmt::format("/proc/{}/exe", pid), error);
  if (error || !exe.filename().string().starts_with("allot-")) return false;
  const StatusOr<std::string> words = ReadFile(fmt::format("/proc/{}/cmdline", pid));
  return words.ok() && HasWordStarting(*words, folder + "/");
}

void SignalAll(const std::vector<ProcessInfo>& processes, int signal) {
  for (const ProcessInfo& p : processes) (void)kill(p.pid, signal);
}

// Until all have ended or `timeout` has passed.
void AwaitEnd(const std::vector<ProcessInfo>& processes, Duration timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  for (const ProcessInfo& p : processes) {
    const int fd = OpenProcess(p.pid);
    if (fd < 0) continue;
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd wait{fd, POLLIN, 0};
    (void)poll(&wait, 1, static_cast<int>(std::max<int64_t>(0, left.count())));
    close(fd);
    (void)waitpid(p.pid, nullptr, WNOHANG);  // Ours to bury only if we started it.
  }
}

}  // namespace

std::vector<std::string> FoldersInUse() {
  constexpr std::string_view kScheduler = "allot-scheduler\n";  // all that fits into comm
  const std::string prefix = std::string(kMarker) + "=";
  std::vector<std::string> folders;
  DIR* const processes = opendir("/proc");
  if (processes == nullptr) return folders;
  while (const dirent* entry = readdir(processes)) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    char path[300], comm[32];
    snprintf(path, sizeof path, "/proc/%s/comm", entry->d_name);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) continue;
    const ssize_t length = read(fd, comm, sizeof comm);
    close(fd);
    if (length <= 0 || std::string_view(comm, static_cast<size_t>(length)) != kScheduler) continue;
    const StatusOr<std::string> environment =
        ReadFile(fmt::format("/proc/{}/environ", entry->d_name));
    if (!environment.ok() || !HasWordStarting(*environment, prefix)) continue;
    size_t at = environment->starts_with(prefix) ? 0 : environment->find('\0' + prefix) + 1;
    at += prefix.size();
    folders.push_back(environment->substr(at, environment->find('\0', at) - at));
  }
  closedir(processes);
  return folders;
}

int OpenProcess(pid_t pid) { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0)); }

bool IsRunning(pid_t pid) {
  ProcStat stat;
  return pid > 0 && ReadStat(pid, &stat) && stat.state != 'Z' && stat.state != 'X';
}

StatusOr<pid_t> Start(const Spawn& spawn) {
  std::vector<char*> argv = {const_cast<char*>(spawn.program.c_str())};
  for (const std::string& arg : spawn.args) argv.push_back(const_cast<char*>(arg.c_str()));
  argv.push_back(nullptr);
  const std::string marker = std::string(kMarker) + "=" + spawn.marker;
  std::vector<char*> environment;
  const std::string prefix = std::string(kMarker) + "=";
  for (char** e = environ; *e != nullptr; ++e)
    if (std::strncmp(*e, prefix.c_str(), prefix.size()) != 0) environment.push_back(*e);
  environment.push_back(const_cast<char*>(marker.c_str()));
  environment.push_back(nullptr);

  const int log = open(spawn.log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (log < 0)
    return FailedPrecondition("cannot write {}: {}", spawn.log_file, std::strerror(errno));
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  int failed[2];  // Carries errno of a failed exec; closed by a good one.
  if (pipe2(failed, O_CLOEXEC) != 0) {
    close(log);
    close(null);
    return FailedPrecondition("cannot make a pipe: {}", std::strerror(errno));
  }
  const pid_t pid = fork();
  if (pid == 0) {
    setsid();
    dup2(null, STDIN_FILENO);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execve(spawn.program.c_str(), argv.data(), environment.data());
    const int error = errno;
    (void)!write(failed[1], &error, sizeof(error));
    _exit(127);
  }
  const int fork_error = errno;
  close(log);
  close(null);
  close(failed[1]);
  int error = pid < 0 ? fork_error : 0;
  if (pid > 0) {  // Also through a signal: until it has exec'd it does not have the marker.
    ssize_t size;
    do size = read(failed[0], &error, sizeof(error));
    while (size < 0 && errno == EINTR);
    if (size <= 0) error = 0;
  }
  close(failed[0]);
  if (error == 0) return pid;
  if (pid > 0) waitpid(pid, nullptr, 0);
  return FailedPrecondition("cannot start {}: {}", spawn.program, std::strerror(error));
}

std::vector<ProcessInfo> FindProcesses(const std::string& folder) {
  std::map<pid_t, ProcStat> all;
  std::set<pid_t> ours;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename().string();
    pid_t pid = 0;
    const auto [end, bad] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (bad != std::errc() || end != name.data() + name.size()) continue;
    ProcStat stat;
    if (!ReadStat(pid, &stat) || stat.state == 'Z' || stat.state == 'X') continue;
    all[pid] = stat;
    const StatusOr<std::string> environment = ReadFile(fmt::format("/proc/{}/environ", pid));
    if (environment.ok() && IsMarked(*environment, folder)) ours.insert(pid);
    if (IsProgramOf(pid, folder)) ours.insert(pid);
  }
  // A task may have changed its environment: children of ours are ours, and so is who sits in a
  // session that one of ours leads.
  for (bool grew = true; grew;) {
    grew = false;
    for (const auto& [pid, stat] : all)
      if (ours.count(pid) == 0 && (ours.count(stat.parent) != 0 || ours.count(stat.session) != 0))
        grew |= ours.insert(pid).second;
  }
  // The command that looks may itself run under a task of the cluster; it and those above it stay.
  for (pid_t pid = getpid(); pid > 1 && all.count(pid) != 0; pid = all[pid].parent) ours.erase(pid);
  std::vector<ProcessInfo> out;
  for (const pid_t pid : ours) {
    const fs::path exe = fs::read_symlink(fmt::format("/proc/{}/exe", pid), error);
    out.push_back({pid, exe.filename().string()});
  }
  return out;
}

int StopProcesses(const std::string& folder, Duration grace) {
  std::vector<ProcessInfo> left = FindProcesses(folder);
  const int count = static_cast<int>(left.size());
  if (count == 0) return 0;
  SignalAll(left, SIGTERM);
  SignalAll(left, SIGCONT);  // A stopped process takes no SIGTERM.
  AwaitEnd(left, grace);
  // A process may have been born while we looked, so look until nothing is found.
  for (int round = 0; round < 50 && !(left = FindProcesses(folder)).empty(); ++round) {
    SignalAll(left, SIGKILL);
    AwaitEnd(left, std::chrono::milliseconds(500));
  }
  return count;
}

}  // namespace allot::client::local
