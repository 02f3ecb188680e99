// Two parts in one program, each run as a task: a victim that has all that somebody could want, and
// an attacker that tries to get it. README.md tells how the two meet.
//
//   attacker victim              leaves secrets everywhere a task can, says where, and waits
//   attacker attack [NAME…]      tries every row of kAttempts, or those, a line each: "NAME refused
//                                WHY" or "NAME done"; what it needs is in its environment
//   attacker attack_outside      the same as no task: without what only makes sense for one
//   attacker list                the names
//   attacker memory BYTES        touches so much memory
//   attacker fill WAY            its scratch folder: tmp, scratch, removed (a file without a name),
//   files attacker uid                 prints its effective user id (a set-user-id copy of it is
//   tried)
//
// An attempt is "done" when it has got what it is after, and only then. Each runs in a process of
// its own, so that none is helped or hindered by the one before.
#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <grp.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

extern char** environ;

namespace {

constexpr char kSecret[] = "the-secret-of-tenant-a";

std::string Env(const char* name) {
  const char* value = getenv(name);
  return value == nullptr ? "" : value;
}
pid_t Pid(const char* name) { return std::atoi(Env(name).c_str()); }
int Number(const char* name) { return std::atoi(Env(name).c_str()); }
std::string Proc(const char* who, const char* file) { return "/proc/" + Env(who) + "/" + file; }

bool Put(const std::string& path, const std::string& text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  const bool whole = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  close(fd);
  return whole;
}

// ---- attempts: true when done; else errno says why not -----------------------------------------

bool CanRead(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return false;
  char byte = 0;
  const bool got = read(fd, &byte, 1) == 1;
  close(fd);
  return got;
}
bool CanWrite(const std::string& path) {  // without changing anything
  const int fd = open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd >= 0) close(fd);
  return fd >= 0;
}
bool CanMake(const std::string& path) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  close(fd);
  unlink(path.c_str());
  return true;
}
bool CanList(const std::string& path) {
  DIR* folder = opendir(path.c_str());
  if (folder == nullptr) return false;
  closedir(folder);
  return true;
}
bool Signals(pid_t who, int signal) { return kill(who, signal) == 0; }
bool Traces(pid_t who, int how) {
  if (ptrace(static_cast<__ptrace_request>(how), who, nullptr, nullptr) != 0) return false;
  ptrace(PTRACE_DETACH, who, nullptr, nullptr);
  return true;
}
bool Throws(pid_t who) {  // a signal through a descriptor of the process
  const auto fd = static_cast<int>(syscall(SYS_pidfd_open, who, 0));
  if (fd < 0) return false;
  return syscall(SYS_pidfd_send_signal, fd, SIGTERM, nullptr, 0) == 0;
}
bool Connects(const std::string& host_port, int* fd) {
  const size_t colon = host_port.rfind(':');
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(std::atoi(host_port.c_str() + colon + 1)));
  inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
  *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return connect(*fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
}
// The status of an answer of the scheduler's API; 0: none.
int Asks(const std::string& request) {
  int fd = -1;
  if (!Connects(Env("SCHEDULER_HTTP"), &fd)) return 0;
  if (write(fd, request.data(), request.size()) < 0) return 0;
  char text[64] = "";
  const ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  return size > 12 ? std::atoi(text + 9) : 0;
}
bool IsAnswered(const std::string& method, const std::string& path, const std::string& token) {
  std::string request =
      method + " " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n";
  if (!token.empty()) request += "Authorization: Bearer " + token + "\r\n";
  const int status = Asks(request + "\r\n");
  errno = EACCES;
  return status >= 200 && status < 300;
}
// Speaks ZMTP 3.0 without a key: the greeting of the NULL mechanism, then READY. Done when the
// scheduler says READY too.
bool SpeaksWithoutAKey() {
  int fd = -1;
  if (!Connects(Env("SCHEDULER_ENDPOINT"), &fd)) return false;
  char greeting[64] = {
      static_cast<char>(0xff), 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 0, 'N', 'U', 'L', 'L'};
  const char ready[] = "\4\x1d\5READY\13Socket-Type\0\0\0\6DEALER";
  if (write(fd, greeting, sizeof greeting) != sizeof greeting) return false;
  (void)!write(fd, ready, sizeof ready - 1);
  std::string heard;
  char piece[512];
  for (ssize_t size; (size = read(fd, piece, sizeof piece)) > 0;)
    heard.append(piece, static_cast<size_t>(size));  // until it hangs up on us
  errno = EACCES;
  return heard.find("READY") != std::string::npos;
}
// The folders of our own cgroups, as far as they are mounted where they usually are.
std::vector<std::string> OwnCgroups() {
  std::vector<std::string> folders;
  std::ifstream in("/proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    std::string controller = line.substr(first + 1, second - first - 1);
    if (controller.starts_with("name=")) continue;
    const std::string path = line.substr(second + 1);
    for (const std::string& mount :
         {"/sys/fs/cgroup/" + controller,
          std::string(controller.empty() ? "/sys/fs/cgroup/unified" : "")})
      if (!mount.empty() && access((mount + path).c_str(), F_OK) == 0)
        folders.push_back(mount + path);
  }
  return folders;
}
bool WritesInCgroups(const std::vector<std::string>& below, const std::string& text) {
  for (const std::string& folder : OwnCgroups())
    for (const std::string& file : below) {
      const int fd = open((folder + "/" + file).c_str(), O_WRONLY | O_CLOEXEC);
      if (fd >= 0 && write(fd, text.data(), text.size()) > 0) return true;
    }
  return false;
}
bool Gets(int capability) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  data[capability / 32].effective = data[capability / 32].permitted = 1u << (capability % 32);
  return syscall(SYS_capset, &header, data) == 0;
}
uint64_t Capabilities(const std::string& which) {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(which)) return strtoull(line.c_str() + which.size(), nullptr, 16);
  return ~uint64_t{0};
}
bool RunsAsRoot(const std::string& program) {
  int ends[2];
  if (pipe(ends) != 0) return false;
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], 1);
    execl(program.c_str(), program.c_str(), "uid", nullptr);
    _exit(127);
  }
  close(ends[1]);
  char text[16] = "";
  const ssize_t size = read(ends[0], text, sizeof text - 1);
  waitpid(child, nullptr, 0);
  errno = EPERM;
  return size > 0 && std::atoi(text) == 0 && text[0] == '0';
}
// Processes at once, of which none does anything; all are gone afterwards.
bool Forks(int wanted) {
  std::vector<pid_t> children;
  int failed = 0;
  while (static_cast<int>(children.size()) < wanted && failed == 0) {
    const pid_t child = fork();
    if (child == 0) {
      pause();
      _exit(0);
    }
    if (child < 0) failed = errno;
    if (child > 0) children.push_back(child);
  }
  for (const pid_t child : children) kill(child, SIGKILL);
  for (const pid_t child : children) waitpid(child, nullptr, 0);
  errno = failed;
  return failed == 0;
}
bool Peeks() {  // into the victim's memory
  char text[sizeof kSecret] = "";
  iovec here{text, sizeof text};
  iovec there{reinterpret_cast<void*>(strtoull(Env("VICTIM_ADDRESS").c_str(), nullptr, 0)),
              sizeof text};
  return process_vm_readv(Pid("VICTIM_PID"), &here, 1, &there, 1, 0) > 0;
}
bool TakesDescriptor(pid_t who) {
  const auto fd = static_cast<int>(syscall(SYS_pidfd_open, who, 0));
  return fd >= 0 && syscall(SYS_pidfd_getfd, fd, 1, 0) >= 0;
}
bool Links(const std::string& to, bool hard) {
  const std::string here = Env("ALLOT_SCRATCH_DIR") + "/link";
  const bool made = hard ? linkat(AT_FDCWD, to.c_str(), AT_FDCWD, here.c_str(), 0) == 0
                         : symlink(to.c_str(), here.c_str()) == 0;
  const bool done = made && CanRead(here);
  const int error = errno;
  unlink(here.c_str());
  errno = error;
  return done;
}
bool Enters(const std::string& space) {
  const int fd = open(space.c_str(), O_RDONLY | O_CLOEXEC);
  return fd >= 0 && setns(fd, 0) == 0;
}
bool MovesProcessor(pid_t who) {
  cpu_set_t all;
  return sched_getaffinity(who, sizeof all, &all) == 0 &&
         sched_setaffinity(who, sizeof all, &all) == 0;
}
bool Limits(pid_t who) {
  rlimit limit{};
  return prlimit(who, RLIMIT_NOFILE, nullptr, &limit) == 0;
}
bool HasForeignDescriptors() {
  for (int fd = 3; fd < 1024; ++fd)
    if (fcntl(fd, F_GETFD) >= 0) {
      struct stat info {};
      fstat(fd, &info);
      return true;
    }
  errno = EBADF;
  return false;
}
bool HasForeignEnvironment() {
  for (char** each = environ; *each != nullptr; ++each)
    if (strstr(*each, "SECRET_OF_THE_AGENT") != nullptr) return true;
  errno = ENOENT;
  return false;
}
bool ReadsSessionKey() {
  const long key =
      syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", "allot-test-secret", 0);
  char text[16];
  return key >= 0 && syscall(SYS_keyctl, KEYCTL_READ, key, text, sizeof text) > 0;
}
bool DumpsCore() {
  rlimit core{};
  getrlimit(RLIMIT_CORE, &core);
  errno = EPERM;
  return core.rlim_max != 0;
}
bool Reads(const std::string& folder, const char* file) { return CanRead(folder + "/" + file); }

constexpr int kNotInItself = 1;  // only makes sense as a task: its sandbox is what is tried

// Abstract sockets have no owner and no mode: whoever is on the node may connect to one that
// listens.
bool ConnectsAbstractly() {
  std::ifstream sockets("/proc/net/unix");
  bool done = false;
  for (std::string line; std::getline(sockets, line);) {
    const size_t at = line.find('@');
    if (at == line.npos) continue;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const size_t size = line.copy(address.sun_path, sizeof address.sun_path, at);
    address.sun_path[0] = '\0';
    for (const int type : {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM}) {
      const int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
      ucred peer{};
      socklen_t peer_size = sizeof peer;
      if (connect(fd, reinterpret_cast<sockaddr*>(&address),
                  static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + size)) == 0 &&
          getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_size) == 0)
        done |= peer.pid > 0 && (peer.pid == Pid("AGENT_PID") || peer.pid == Pid("SCHEDULER_PID") ||
                                 peer.pid == Pid("SUPERVISOR_PID"));
      close(fd);
    }
  }
  errno = ECONNREFUSED;
  return done;
}

// Has a name that one of ours is about to want: one that counts on from a name that is in use.
bool TakesNextNames() {
  std::ifstream sockets("/proc/net/unix");
  for (std::string line; std::getline(sockets, line);) {
    const size_t at = line.find("@allot");
    if (at == line.npos) continue;
    const std::string name = line.substr(at + 1);
    const size_t digits = name.find_last_not_of("0123456789") + 1;
    // Sixteen digits at the end, of ten or of sixteen kinds, were drawn by lot.
    const size_t last = name.rfind('.');
    if (digits == name.size() || (last != name.npos && name.size() - last - 1 == 16)) continue;
    const std::string next =
        name.substr(0, digits) + std::to_string(std::stoull(name.substr(digits)) + 1);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    next.copy(address.sun_path + 1, sizeof address.sun_path - 1);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, reinterpret_cast<sockaddr*>(&address),
             static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + next.size())) == 0)
      return true;
  }
  errno = EADDRINUSE;
  return false;
}

struct Attempt {
  const char* name;
  int kind;
  std::function<bool()> tries;
};

std::string Scratch(const char* file) { return Env("VICTIM_SCRATCH") + "/" + file; }
std::string State(const char* file) { return Env("AGENT_STATE") + "/" + file; }

const std::vector<Attempt>& Attempts() {
  static const std::vector<Attempt> kAttempts = {
      // its processes
      {"environ", 0, [] { return CanRead(Proc("VICTIM_PID", "environ")); }},
      {"mem", 0, [] { return CanWrite(Proc("VICTIM_PID", "mem")); }},
      {"maps", 0, [] { return CanRead(Proc("VICTIM_PID", "maps")); }},
      {"fd", 0, [] { return CanList(Proc("VICTIM_PID", "fd")); }},
      {"root", 0, [] { return CanList(Proc("VICTIM_PID", "root/")); }},
      {"cwd", 0, [] { return CanList(Proc("VICTIM_PID", "cwd/")); }},
      {"auxv", 0, [] { return CanRead(Proc("VICTIM_PID", "auxv")); }},
      {"oom_score", 0, [] { return CanWrite(Proc("VICTIM_PID", "oom_score_adj")); }},
      {"clear_refs", 0, [] { return CanWrite(Proc("VICTIM_PID", "clear_refs")); }},
      {"peek", 0, Peeks},
      {"getfd", 0, [] { return TakesDescriptor(Pid("VICTIM_PID")); }},
      {"ptrace_attach", 0, [] { return Traces(Pid("VICTIM_PID"), PTRACE_ATTACH); }},
      {"ptrace_seize", 0, [] { return Traces(Pid("VICTIM_PID"), PTRACE_SEIZE); }},
      {"kill", 0, [] { return Signals(Pid("VICTIM_PID"), SIGKILL); }},
      {"stop", 0, [] { return Signals(Pid("VICTIM_PID"), SIGSTOP); }},
      {"kill_group", 0, [] { return Signals(-Pid("VICTIM_PID"), SIGKILL); }},
      {"pidfd_signal", 0, [] { return Throws(Pid("VICTIM_PID")); }},
      // Reaches whoever it may; the victim would die of it, which the test looks at.
      {"kill_all", 0,
       [] {
         kill(-1, SIGUSR1);
         errno = EPERM;
         return false;
       }},
      {"prlimit", 0, [] { return Limits(Pid("VICTIM_PID")); }},
      {"renice", 0,
       [] { return setpriority(PRIO_PROCESS, static_cast<id_t>(Pid("VICTIM_PID")), 19) == 0; }},
      {"affinity", 0, [] { return MovesProcessor(Pid("VICTIM_PID")); }},
      // its files
      {"scratch_read", 0, [] { return CanRead(Scratch("secret")); }},
      {"scratch_list", 0, [] { return CanList(Scratch("")); }},
      {"scratch_write", 0, [] { return CanWrite(Scratch("secret")); }},
      {"scratch_fill", 0, [] { return CanMake(Scratch("more")); }},
      {"scratch_fifo", 0,
       [] { return mkfifo(Scratch(".allot-preemption-notice").c_str(), 0666) == 0; }},
      {"scratch_rename", 0,
       [] { return rename(Env("VICTIM_SCRATCH").c_str(), State("scratch/mine").c_str()) == 0; }},
      {"scratch_remove", 0, [] { return unlink(Scratch("secret").c_str()) == 0; }},
      {"dot_dot", 0,
       [] { return CanRead(Env("ALLOT_SCRATCH_DIR") + "/../" + Env("VICTIM_ID") + "/secret"); }},
      {"symlink", 0, [] { return Links(Scratch("secret"), false); }},
      {"hard_link", 0, [] { return Links(Scratch("secret"), true); }},
      {"progress", 0, [] { return CanMake(Scratch(".allot-progress")); }},
      {"checkpoint_read", 0, [] { return CanRead(Env("VICTIM_CHECKPOINT") + "/secret"); }},
      {"checkpoint_write", 0, [] { return CanMake(Env("VICTIM_CHECKPOINT") + "/mine"); }},
      {"home_read", 0, [] { return CanList(Env("VICTIM_HOME")); }},
      {"home_write", 0, [] { return CanMake(Env("VICTIM_HOME") + "/.bashrc"); }},
      {"log_read", 0, [] { return CanRead(Env("VICTIM_LOG")); }},
      {"log_write", 0, [] { return CanWrite(Env("VICTIM_LOG")); }},
      {"tmp_read", 0,
       [] { return CanRead("/tmp/secret-of-a") || CanRead("/var/tmp/secret-of-a"); }},
      {"shm_read", 0, [] { return CanRead("/dev/shm/" + Env("VICTIM_SHM")); }},
      {"shm_remove", 0, [] { return unlink(("/dev/shm/" + Env("VICTIM_SHM")).c_str()) == 0; }},
      {"sysv_shm", 0,
       [] { return shmat(Number("VICTIM_SHMID"), nullptr, 0) != reinterpret_cast<void*>(-1); }},
      {"sysv_shm_remove", 0, [] { return shmctl(Number("VICTIM_SHMID"), IPC_RMID, nullptr) == 0; }},
      {"sysv_msg", 0,
       [] {
         char text[64];
         return msgrcv(Number("VICTIM_MSGID"), text, 8, 0, IPC_NOWAIT | MSG_NOERROR) >= 0;
       }},
      {"sysv_sem", 0, [] { return semctl(Number("VICTIM_SEMID"), 0, SETVAL, 7) == 0; }},
      // those who look after it
      {"supervisor_kill", 0, [] { return Signals(Pid("SUPERVISOR_PID"), SIGKILL); }},
      {"supervisor_stop", 0, [] { return Signals(Pid("SUPERVISOR_PID"), SIGSTOP); }},
      {"supervisor_queue", 0,
       [] { return sigqueue(Pid("SUPERVISOR_PID"), 40, sigval{SIGKILL}) == 0; }},
      {"supervisor_ptrace", 0, [] { return Traces(Pid("SUPERVISOR_PID"), PTRACE_SEIZE); }},
      {"supervisor_record", 0, [] { return CanList(Proc("SUPERVISOR_PID", "fd")); }},
      {"own_supervisor_stop", kNotInItself,
       [] { return Signals(Pid("OWN_SUPERVISOR_PID"), SIGSTOP); }},
      {"agent_kill", 0, [] { return Signals(Pid("AGENT_PID"), SIGKILL); }},
      {"agent_ptrace", 0, [] { return Traces(Pid("AGENT_PID"), PTRACE_SEIZE); }},
      {"agent_environ", 0, [] { return CanRead(Proc("AGENT_PID", "environ")); }},
      {"agent_mem", 0, [] { return CanRead(Proc("AGENT_PID", "mem")); }},
      {"agent_key", 0, [] { return CanRead(Env("AGENT_KEY")); }},
      {"agent_state_list", 0, [] { return CanList(State("")); }},
      {"agent_state_write", 0, [] { return CanMake(State("mine")); }},
      {"agent_instance", 0, [] { return CanRead(State("instance")); }},
      {"agent_users", 0, [] { return CanRead(State("users")); }},
      {"agent_records", 0,
       [] {
         return CanList(State("processes")) || CanRead(State("processes/") + Env("VICTIM_ID"));
       }},
      {"agent_logs", 0, [] { return CanList(State("logs")); }},
      {"agent_scratches", 0, [] { return CanList(State("scratch")); }},
      {"agent_record_forge", 0, [] { return CanMake(State("processes/job-99.0.1")); }},
      {"agent_namespace", 0, [] { return Enters(Proc("AGENT_PID", "ns/mnt")); }},
      {"scheduler_kill", 0, [] { return Signals(Pid("SCHEDULER_PID"), SIGKILL); }},
      {"scheduler_ptrace", 0, [] { return Traces(Pid("SCHEDULER_PID"), PTRACE_SEIZE); }},
      {"scheduler_key", 0, [] { return CanRead(Env("SCHEDULER_KEY")); }},
      {"scheduler_tokens", 0, [] { return CanRead(Env("SCHEDULER_TOKENS")); }},
      {"scheduler_store", 0,
       [] {
         return Reads(Env("SCHEDULER_STATE"), "scheduler.db") ||
                Reads(Env("SCHEDULER_STATE"), "scheduler.db-wal");
       }},
      {"scheduler_port", 0, SpeaksWithoutAKey},
      {"abstract_sockets", 0, ConnectsAbstractly},
      {"abstract_names", 0, TakesNextNames},
      {"api_no_token", 0, [] { return IsAnswered("GET", "/v1/jobs", ""); }},
      {"api_cancel", 0,
       [] { return IsAnswered("DELETE", "/v1/jobs/" + Env("VICTIM_JOB"), Env("OWN_TOKEN")); }},
      // more than it was given
      {"setuid", 0, [] { return setresuid(0, 0, 0) == 0; }},
      {"setgid", 0, [] { return setresgid(0, 0, 0) == 0; }},
      {"setgroups", 0,
       [] {
         const gid_t root = 0;
         return setgroups(1, &root) == 0;
       }},
      {"setuid_of_victim", 0,
       [] {
         const auto uid = static_cast<uid_t>(Number("VICTIM_UID"));
         return setresuid(uid, uid, uid) == 0;
       }},
      {"setuid_program", kNotInItself, [] { return RunsAsRoot(Env("SETUID_PROGRAM")); }},
      {"capability", 0, [] { return Gets(CAP_SYS_PTRACE); }},
      {"capability_bounding", kNotInItself,
       [] {
         errno = EPERM;
         return Capabilities("CapBnd:") != 0;
       }},
      {"capability_ambient", 0,
       [] { return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0) == 0; }},
      {"new_privileges", kNotInItself,
       [] {
         errno = EPERM;
         return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1;
       }},
      {"mount", 0, [] { return mount("none", "/mnt", "tmpfs", 0, nullptr) == 0; }},
      {"umount", 0, [] { return umount2("/proc", MNT_DETACH) == 0; }},
      {"unshare", 0, [] { return unshare(CLONE_NEWNS) == 0; }},
      {"chroot", 0, [] { return chroot("/tmp") == 0; }},
      {"mknod", 0,
       [] {
         const std::string path = Env("ALLOT_SCRATCH_DIR") + "/mem";
         return mknod(path.c_str(), S_IFCHR | 0666, makedev(1, 1)) == 0;
       }},
      {"dev_mem", 0, [] { return CanRead("/dev/mem") || CanRead("/proc/kcore"); }},
      {"dev_kmsg", 0, [] { return CanWrite("/dev/kmsg"); }},
      {"disk", 0,
       [] { return CanRead("/dev/vda") || CanRead("/dev/sda") || CanRead("/dev/nvme0n1"); }},
      {"raw_socket", 0, [] { return socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) >= 0; }},
      {"packet_socket", 0, [] { return socket(AF_PACKET, SOCK_RAW, 0) >= 0; }},
      {"low_port", 0,
       [] {
         sockaddr_in at{};
         at.sin_family = AF_INET;
         at.sin_port = htons(1);
         at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
         const int fd = socket(AF_INET, SOCK_STREAM, 0);
         return Number("LOW_PORTS_CLOSED") == 1
                    ? bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0
                    : (errno = EACCES, false);
       }},
      {"reboot", 0, [] { return reboot(RB_DISABLE_CAD) == 0; }},
      {"module", 0, [] { return syscall(SYS_init_module, "", 0, "") == 0; }},
      {"hostname", 0,
       [] {
         char name[256];
         gethostname(name, sizeof name);
         return sethostname(name, strlen(name)) == 0;
       }},
      {"clock", 0,
       [] {
         timex change{};
         change.modes = ADJ_TICK;
         change.tick = 10'000;
         return adjtimex(&change) >= 0;
       }},
      {"nice", 0, [] { return setpriority(PRIO_PROCESS, 0, -5) == 0; }},
      {"real_time", 0,
       [] {
         sched_param param{.sched_priority = 1};
         return sched_setscheduler(0, SCHED_FIFO, &param) == 0;
       }},
      {"spared_by_oom", 0,
       [] {
         const int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
         return fd >= 0 && write(fd, "-1000", 5) == 5;
       }},
      {"sysctl", 0, [] { return CanWrite("/proc/sys/kernel/core_pattern"); }},
      {"etc", 0, [] { return CanWrite("/etc/passwd") || CanMake("/etc/ld.so.preload.new"); }},
      {"shadow", 0, [] { return CanRead("/etc/shadow"); }},
      {"crontab", 0,
       [] { return CanMake("/etc/cron.d/mine") || CanMake("/var/spool/cron/crontabs/mine"); }},
      {"core_dump", kNotInItself, DumpsCore},
      {"descriptors", kNotInItself, HasForeignDescriptors},
      {"agents_environment", kNotInItself, HasForeignEnvironment},
      {"session_key", kNotInItself, ReadsSessionKey},
      {"cgroup_leave", 0,
       [] {
         return WritesInCgroups({"../cgroup.procs", "../../cgroup.procs", "cgroup.procs"}, "0");
       }},
      {"cgroup_raise", 0,
       [] {
         return WritesInCgroups(
             {"memory.limit_in_bytes", "memory.max", "pids.max", "devices.allow"}, "max");
       }},
      {"fork_bomb", kNotInItself, [] { return Forks(Number("PIDS") + 10); }},
  };
  return kAttempts;
}

int Attack(bool as_task, const std::vector<std::string>& only) {
  std::signal(SIGUSR1, SIG_IGN);  // of kill_all
  if (as_task) setenv("OWN_SUPERVISOR_PID", std::to_string(getppid()).c_str(), 1);
  for (const Attempt& attempt : Attempts()) {
    if (!as_task && attempt.kind == kNotInItself) continue;
    if (!only.empty() && std::find(only.begin(), only.end(), attempt.name) == only.end()) continue;
    std::cout << std::flush;
    const pid_t child = fork();
    if (child == 0) {
      alarm(60);
      errno = 0;
      const bool done = attempt.tries();
      _exit(done ? 0 : errno == 0 ? 255 : errno);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
      std::cout << attempt.name << " done\n";
    } else if (WIFEXITED(status)) {
      const int error = WEXITSTATUS(status);
      std::cout << attempt.name << " refused "
                << (error == 255 ? "without a word" : strerror(error)) << "\n";
    } else {
      std::cout << attempt.name << " died " << WTERMSIG(status) << "\n";
    }
  }
  std::cout << "attempts " << Attempts().size() << std::endl;
  return 0;
}

int Victim() {
  static char secret[sizeof kSecret];
  memcpy(secret, kSecret, sizeof secret);
  const std::string scratch = Env("ALLOT_SCRATCH_DIR"), checkpoint = Env("ALLOT_CHECKPOINT_DIR");
  const std::string shm = "allot-victim-" + std::to_string(getpid());
  bool put = Put(scratch + "/secret", kSecret) && Put(checkpoint + "/secret", kSecret) &&
             Put("/tmp/secret-of-a", kSecret) && Put("/dev/shm/" + shm, kSecret) &&
             Put(Env("HOME") + "/secret", kSecret);
  const int shmid = shmget(IPC_PRIVATE, 4096, 0600), semid = semget(IPC_PRIVATE, 1, 0600),
            msgid = msgget(IPC_PRIVATE, 0600);
  struct {
    long type;
    char text[8];
  } message{1, "secret"};
  put = put && shmid >= 0 && semid >= 0 && msgid >= 0 &&
        msgsnd(msgid, &message, sizeof message.text, 0) == 0;
  if (!put) {
    perror("the victim cannot keep its secrets");
    return 1;
  }
  std::cout << "VICTIM_PID=" << getpid() << "\nSUPERVISOR_PID=" << getppid()
            << "\nVICTIM_UID=" << getuid() << "\nVICTIM_GID=" << getgid()
            << "\nVICTIM_SCRATCH=" << scratch << "\nVICTIM_CHECKPOINT=" << checkpoint
            << "\nVICTIM_HOME=" << Env("HOME") << "\nVICTIM_USER=" << Env("USER")
            << "\nVICTIM_SHM=" << shm << "\nVICTIM_SHMID=" << shmid << "\nVICTIM_SEMID=" << semid
            << "\nVICTIM_MSGID=" << msgid << "\nVICTIM_ADDRESS=" << static_cast<void*>(secret)
            << "\nREADY=1" << std::endl;
  sigset_t end;
  sigemptyset(&end);
  sigaddset(&end, SIGTERM);
  sigprocmask(SIG_BLOCK, &end, nullptr);
  int signal = 0;
  sigwait(&end, &signal);
  unlink(("/dev/shm/" + shm).c_str());
  shmctl(shmid, IPC_RMID, nullptr);
  semctl(semid, 0, IPC_RMID);
  msgctl(msgid, IPC_RMID, nullptr);
  return strcmp(secret, kSecret) == 0 ? 0 : 1;
}

// Fills its own folders by `way` until somebody ends it.
int FillUp(const std::string& way) {
  const std::string folder = way == "tmp" ? "/tmp" : Env("ALLOT_SCRATCH_DIR");
  const std::string block(1 << 16, 'x');
  std::cout << "filling" << std::endl;
  int held = -1;
  for (uint64_t i = 0; i < 1'000'000; ++i) {
    const std::string path = folder + "/fill-" + std::to_string(way == "removed" ? 0 : i);
    if (held < 0 || way != "removed")
      held = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (held < 0) return 1;
    if (way == "files") {
      close(held);
      continue;
    }
    // So much that a slow second of whoever measures costs the disk little.
    if (i < 2'000 && write(held, block.data(), block.size()) < 0) return 1;
    if (way == "removed") {
      unlink(path.c_str());
    } else {
      close(held);
    }
    if (i >= 2'000) pause();
  }
  pause();
  return 0;
}

int Memory(size_t bytes) {
  std::vector<char> all(bytes);
  for (size_t at = 0; at < all.size(); at += 4096) all[at] = 1;
  std::cout << "got it all" << std::endl;
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "victim") return Victim();
  const std::vector<std::string> rest(argv + std::min(argc, 2), argv + argc);
  if (what == "attack") return Attack(true, rest);
  if (what == "attack_outside") return Attack(false, rest);
  if (what == "list") {
    for (const Attempt& attempt : Attempts()) std::cout << attempt.name << "\n";
    return 0;
  }
  if (what == "fill" && argc > 2) return FillUp(argv[2]);
  if (what == "memory" && argc > 2) return Memory(strtoull(argv[2], nullptr, 10));
  if (what == "uid") return printf("%u\n", geteuid()) > 0 ? 0 : 1;
  std::cerr << "attacker victim | attack | attack_outside | list | memory BYTES | fill WAY | uid\n";
  return 2;
}
