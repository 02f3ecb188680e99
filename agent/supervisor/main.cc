// allot-supervisor: runs one process, outlives the agent, writes down how the process ended.
//
// See protocol.h for what the agent hands over. It speaks to the kernel only: it is started once
// per task, and its start is what a short task pays. After the process has ended nothing of it
// is left: its process group is killed, and, being a child subreaper, the supervisor also finds
// and kills descendants that left the group.
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>

#include "agent/supervisor/log_pipe.h"
#include "agent/supervisor/protocol.h"
#include "agent/supervisor/setup.h"
#include "agent/supervisor/sys.h"

// The compiler may call these even where no C library is.
extern "C" {
void* memset(void* to, int value, size_t size) {
  for (volatile char* p = static_cast<char*>(to); size-- > 0; ++p) *p = static_cast<char>(value);
  return to;
}
void* memcpy(void* to, const void* from, size_t size) {
  auto* in = static_cast<const char*>(from);
  for (volatile char* p = static_cast<char*>(to); size-- > 0; ++p, ++in) *p = *in;
  return to;
}
}

namespace {

using namespace allot::supervisor;

using SignalMask = uint64_t;  // the kernel's sigset_t
constexpr SignalMask Bit(int signal) { return SignalMask{1} << (signal - 1); }

constexpr int kLeftoverRounds = 1000;  // of 10 ms: how long killed descendants get to be gone
constexpr int kPathMax = 4096;

int64_t NowMicros() {
  timespec now{};
  sys::Call(SYS_clock_gettime, CLOCK_REALTIME, sys::Word(&now));
  return static_cast<int64_t>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1'000;
}

// One line of the record; goes out in one write, so a reader sees it whole or without its end.
class Line {
 public:
  Line& Add(const char* text) {
    while (*text != '\0' && size_ < kLineMax - 1) text_[size_++] = *text++;
    return *this;
  }
  Line& Add(int64_t number) {
    char digits[24];
    int at = sizeof digits - 1;
    digits[at] = '\0';
    const bool negative = number < 0;
    uint64_t rest = negative ? -static_cast<uint64_t>(number) : static_cast<uint64_t>(number);
    do digits[--at] = static_cast<char>('0' + rest % 10);
    while ((rest /= 10) != 0);
    if (negative) digits[--at] = '-';
    return Add(" ").Add(digits + at);
  }
  // False if the disk does not take it.
  bool Append() {
    text_[size_] = '\n';
    long written;
    do written = sys::Call(SYS_write, kRecordFd, sys::Word(text_), size_ + 1);
    while (written == -EINTR);
    return written == size_ + 1;
  }

 private:
  char text_[kLineMax];
  int size_ = 0;
};

uint64_t ParseNumber(const char* text) {
  uint64_t value = 0;
  for (; *text >= '0' && *text <= '9'; ++text)
    value = value * 10 + static_cast<uint64_t>(*text - '0');
  return value;
}

// The n-th of the numbers with colons between; 0 if there are fewer.
uint64_t Part(const char* numbers, int n) {
  for (; n > 0; --n) {
    while (*numbers != '\0' && *numbers != ':') ++numbers;
    if (*numbers == ':') ++numbers;
  }
  return ParseNumber(numbers);
}

// The agent has raised its own limit; what it starts gets the usual one, which select() bears.
void LimitFiles(uint64_t files) {
  struct {
    uint64_t soft, hard;
  } limit{};
  if (files == 0 || sys::Call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, sys::Word(&limit)) < 0 ||
      files > limit.hard)
    return;
  limit.soft = files;
  sys::Call(SYS_prlimit64, 0, RLIMIT_NOFILE, sys::Word(&limit), 0);
}

[[noreturn]] void Fail(const char* step, long negative_errno, const char* what = "") {
  Line line;
  line.Add("failed ").Add(step).Add(-negative_errno).Add(NowMicros());
  if (*what != '\0') line.Add(" ").Add(what);
  line.Append();
  sys::Exit(0);
}

// ---- the child's side ---------------------------------------------------------------------------

const char* PathOf(char** environment) {
  for (; *environment != nullptr; ++environment) {
    const char* at = *environment;
    for (const char* name = "PATH="; *name != '\0' && *at == *name; ++name) ++at;
    if (at == *environment + 5) return at;
  }
  return "/usr/local/bin:/usr/bin:/bin";
}

// What of an exec's ENOENT is not the program's own absence: protocol.h, `interpreter`.
struct Refusal {
  volatile long error = 0;         // of exec or before; the child writes it into our memory
  const char* step = "command";    // what failed
  volatile bool found = false;     // the program is there, what it asks to be run by is not
  volatile bool carriage = false;  // and its name ends in a carriage return
  char interpreter[kLineMax / 2] = "";
};

// The program could not be run for want of something, and yet it is there: what does it want?
void LookInside(const char* path, Refusal* refusal) {
  if (sys::Call(SYS_faccessat, AT_FDCWD, sys::Word(path), 0 /* F_OK */) != 0) return;
  refusal->found = true;
  // A pipe in its place must not hold us.
  const long fd =
      sys::Call(SYS_openat, AT_FDCWD, sys::Word(path), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return;
  char text[256];
  const long size = sys::Call(SYS_read, fd, sys::Word(text), sizeof text);
  sys::Call(SYS_close, fd);
  if (size < 3 || text[0] != '#' || text[1] != '!') return;
  long at = 2, end = 2;
  while (end < size && text[end] != '\n') ++end;
  refusal->carriage = end < size && text[end - 1] == '\r';
  while (at < end && (text[at] == ' ' || text[at] == '\t')) ++at;
  // One word, printable: it is shown to people.
  size_t used = 0;
  for (; at < end && text[at] > ' ' && text[at] < 127; ++at)
    if (used + 1 < sizeof refusal->interpreter) refusal->interpreter[used++] = text[at];
  refusal->interpreter[used] = '\0';
}

// execvp without the shell it falls back to: commands are argument vectors, never a shell line.
long Execute(char** argv, char** environment, Refusal* refusal) {
  const char* name = argv[0];
  bool has_slash = false;
  size_t name_size = 0;
  for (; name[name_size] != '\0'; ++name_size) has_slash |= name[name_size] == '/';
  if (name_size == 0) return -ENOENT;
  if (has_slash) {
    const long result =
        sys::Call(SYS_execve, sys::Word(name), sys::Word(argv), sys::Word(environment));
    if (result == -ENOENT) LookInside(name, refusal);
    return result;
  }

  static char full[kPathMax];
  long error = -ENOENT;
  for (const char* path = PathOf(environment);;) {
    size_t size = 0;
    while (path[size] != '\0' && path[size] != ':') ++size;
    if (size + name_size + 2 <= sizeof full) {
      memcpy(full, path, size);
      size_t at = size;
      if (at > 0) full[at++] = '/';
      memcpy(full + at, name, name_size + 1);
      const long result =
          sys::Call(SYS_execve, sys::Word(full), sys::Word(argv), sys::Word(environment));
      // As a shell does: go on past what is missing, remember that something was not permitted.
      if (result == -ENOENT) LookInside(full, refusal);
      if (refusal->found) return result;
      if (result == -EACCES)
        error = result;
      else if (result != -ENOENT && result != -ENOTDIR)
        return result;
    }
    if (path[size] == '\0') return error;
    path += size + 1;
  }
}

struct Launch {
  char** argv;
  char** environment;
  const char* work_dir;
  Setup setup;
  Refusal refusal;
};

int RunChild(void* argument) {
  auto* launch = static_cast<Launch*>(argument);
  sys::Call(SYS_setpgid, 0, 0);
  Refusal& refusal = launch->refusal;
  refusal.error = Prepare(launch->setup, launch->work_dir, &refusal.step);
  if (refusal.error < 0) sys::Exit(127);
  const SignalMask none = 0;
  sys::Call(SYS_rt_sigprocmask, SIG_SETMASK, sys::Word(&none), 0, sizeof none);
  refusal.error = Execute(launch->argv, launch->environment, &refusal);
  sys::Exit(127);
}

// ---- the supervisor's side ----------------------------------------------------------------------

long Wait(long pid, int* status, int options) {
  return sys::Call(SYS_wait4, pid, sys::Word(status), options, 0);
}

// By when the process is to be gone, and what is done about it. Without one nothing ever is due.
//
// Not more than a timer and a number: whoever may say that the lease goes on is the agent, and what
// becomes of it does not matter here. Stopped, killed, cut off: nothing is said, and the time
// comes.
class Lease {
 public:
  // -errno.
  long Begin(const Setup& setup) {
    const char* words = setup.Find("lease=");
    if (words == nullptr) return 0;
    until_ = TakeNumber(&words);
    grace_ = TakeNumber(&words);
    timer_ = sys::Call(SYS_timerfd_create, CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    return timer_ < 0 ? timer_ : Arm(until_);
  }
  int fd() const { return static_cast<int>(timer_); }
  // When it was over, and the process was told to end; 0: neither.
  int64_t told_at() const { return told_at_; }
  void Renew(uint64_t until) {
    if (timer_ < 0 || told_ || until <= until_) return;
    until_ = until;
    Arm(until_);
  }
  // After what was said by now has been read. The times count from the lease's end, not from when
  // that was noticed.
  void Look(long pid) {
    if (timer_ < 0) return;
    const uint64_t now = BootNanos();
    if (!told_ && now >= until_) {
      told_ = true;
      sys::Call(SYS_kill, -pid, SIGTERM);
      told_at_ = NowMicros();  // Not written down now: a disk may take its time.
      Arm(until_ + grace_);
    }
    if (told_ && now >= until_ + grace_) {
      sys::Call(SYS_kill, -pid, SIGKILL);
      // One that is traced, or hides in a call that does not return, is killed again.
      Arm(now + 1'000'000'000);
    }
  }

 private:
  long Arm(uint64_t at) {
    itimerspec when{};
    when.it_value.tv_sec = static_cast<time_t>(at / 1'000'000'000);
    when.it_value.tv_nsec = static_cast<long>(at % 1'000'000'000) | 1;  // 0 would disarm it
    return sys::Call(SYS_timerfd_settime, timer_, TFD_TIMER_ABSTIME, sys::Word(&when), 0);
  }

  long timer_ = -1;
  uint64_t until_ = 0, grace_ = 0;
  bool told_ = false;
  int64_t told_at_ = 0;
};

void PassOn(const signalfd_siginfo& info, long pid, Lease* lease) {
  const int signal = static_cast<int>(info.ssi_signo);
  if (signal == SIGTERM || signal == SIGINT) sys::Call(SYS_kill, -pid, signal);
  if (signal == kLeaseSignal && info.ssi_code == SI_QUEUE) lease->Renew(info.ssi_ptr);
  if (signal != kForwardSignal || info.ssi_code != SI_QUEUE) return;
  const int forwarded = info.ssi_int;
  if (forwarded > 0 && forwarded <= 64) sys::Call(SYS_kill, -pid, forwarded);
}

// Waits until the process has ended and leaves it a zombie, so that its pid and group id cannot
// be given to a stranger before the group is killed. Passes signals on meanwhile, and its output.
void WaitForEnd(long pid, long signals, LogPipe* log, Lease* lease) {
  for (;;) {
    for (;;) {  // SIGCHLD is not counted: look at every child that has something to say.
      siginfo_t child;
      child.si_pid = 0;
      const long result =
          sys::Call(SYS_waitid, P_ALL, 0, sys::Word(&child), WEXITED | WNOHANG | WNOWAIT);
      if (result < 0 || child.si_pid == 0) break;
      if (child.si_pid == pid) return;
      // An orphan we inherited as subreaper. The process itself may stand behind it in the list.
      Wait(child.si_pid, nullptr, 0);
    }
    pollfd ready[3] = {{static_cast<int>(signals), POLLIN, 0},
                       {log->ended() ? -1 : log->fd(), POLLIN, 0},
                       {lease->fd(), POLLIN, 0}};
    sys::Call(SYS_ppoll, sys::Word(ready), 3, 0, 0, sizeof(SignalMask));
    log->Pump();
    signalfd_siginfo info;
    while (sys::Call(SYS_read, signals, sys::Word(&info), sizeof info) == sizeof info)
      PassOn(info, pid, lease);
    lease->Look(pid);
  }
}

void KillChildren() {
  char path[kLineMax] = "/proc/thread-self/children";
  const long fd = sys::Call(SYS_openat, AT_FDCWD, sys::Word(path), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  static char text[4096];
  const long size = sys::Call(SYS_read, fd, sys::Word(text), sizeof text - 1);
  sys::Call(SYS_close, fd);
  if (size <= 0) return;
  text[size] = '\0';
  // Each number is followed by a space; one that was cut off is met again in the next round.
  for (const char* at = text; *at != '\0';) {
    const char* end = at;
    while (*end >= '0' && *end <= '9') ++end;
    if (*end != ' ') break;
    if (const uint64_t pid = ParseNumber(at); pid > 1)
      sys::Call(SYS_kill, static_cast<long>(pid), SIGKILL);
    at = end + 1;
  }
}

// False if something of the process refuses to die (a driver call that does not return).
bool KillLeftovers() {
  const SignalMask child = Bit(SIGCHLD);
  for (int round = 0; round < kLeftoverRounds; ++round) {
    long reaped;
    while ((reaped = Wait(-1, nullptr, WNOHANG)) > 0) {
    }
    if (reaped < 0) return true;  // ECHILD: nobody is left.
    KillChildren();               // Their own children come to us next.
    const timespec pause{0, 10'000'000};
    sys::Call(SYS_rt_sigtimedwait, sys::Word(&child), 0, sys::Word(&pause), sizeof child);
  }
  return false;
}

int Supervise(int argc, char** argv, char** environment) {
  // What comes before the working folder, which is absolute: protocol.h, SETUP.
  Setup setup;
  const bool has_setup = argc > 4 && argv[4][0] == '+';
  const bool strict = has_setup && argv[4][1] == '+';
  if (has_setup) setup = {argv + 5, static_cast<int>(ParseNumber(argv[4] + (strict ? 2 : 1)))};
  const int start = kArgvStart + (has_setup ? 1 + setup.count : 0);
  if (argc <= start || setup.count < 0) {
    static const char usage[] =
        "allot-supervisor is started by allot-agent, once for each process it runs.\n";
    sys::Call(SYS_write, 2, sys::Word(usage), sizeof usage - 1);
    return 2;
  }
  const int last_fd = Part(argv[2], 2) == 1 ? kCgroupFd : kRecordFd;
  sys::Call(SYS_close_range, last_fd + 1, ~0U, 0);
  for (int fd = kReportFd; fd <= last_fd; ++fd) sys::Call(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC);
  sys::Call(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1);
  // Without it the next agent would take the process for one that never ran.
  if (!Line().Add("starting").Append()) return 1;

  if (strict && !setup.AllKnown()) Fail("setup", -EINVAL);
  LogPipe log(Part(argv[2], 3), Part(argv[2], 4));
  if (const long error = log.Open(argv[3]); error < 0) Fail("log", error);
  if (const char* user = setup.Find("user=")) {
    const auto uid = static_cast<long>(TakeNumber(&user));
    const auto gid = static_cast<long>(TakeNumber(&user));
    if (const long error = log.GiveWriting(uid, gid); error < 0) Fail("log", error);
  }
  const SignalMask wanted =
      Bit(SIGCHLD) | Bit(SIGTERM) | Bit(SIGINT) | Bit(kForwardSignal) | Bit(kLeaseSignal);
  const long signals =
      sys::Call(SYS_signalfd4, -1, sys::Word(&wanted), sizeof wanted, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signals < 0) Fail("log", signals);
  Lease lease;
  if (const long error = lease.Begin(setup); error < 0) Fail("lease", error);
  sys::Call(SYS_chdir, sys::Word("/"));

  LimitFiles(Part(argv[2], 1));
  alignas(16) static char stack[8192];
  Launch launch{argv + start, environment, argv[start - 1], setup, {}};
  const int64_t started = NowMicros();
  const long pid =
      sys::Spawn(RunChild, &launch, stack, sizeof stack, last_fd == kCgroupFd ? kCgroupFd : -1);
  log.LeaveWriting();
  if (pid < 0) Fail(last_fd == kCgroupFd ? "cgroup" : "command", pid);
  if (last_fd == kCgroupFd) sys::Call(SYS_close, kCgroupFd);
  const Refusal& refusal = launch.refusal;
  if (refusal.found)
    Fail(refusal.carriage ? "crlf" : "interpreter", refusal.error, refusal.interpreter);
  if (refusal.error != 0) {
    const char* user = setup.Find("user=");
    Fail(refusal.step, refusal.error, user == nullptr ? "" : user);
  }

  if (!Line().Add("running").Add(sys::Call(SYS_getpid)).Add(pid).Add(started).Append()) {
    // Nobody would find it again.
    sys::Call(SYS_kill, -pid, SIGKILL);
    KillLeftovers();
    Fail("log", -EIO);
  }
  // All signals are blocked, so a pipe without a reader is an error here and not our death.
  const Report report{ParseNumber(argv[2]), pid, started};
  sys::Call(SYS_write, kReportFd, sys::Word(&report), sizeof report);

  WaitForEnd(pid, signals, &log, &lease);
  sys::Call(SYS_kill, -pid, SIGKILL);
  int status = 0;
  Wait(pid, &status, 0);
  const bool clean = KillLeftovers();
  while (log.Pump()) {  // What they wrote before; nobody is left to write on, or they do not die.
  }
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  const int64_t finished = NowMicros();
  if (lease.told_at() != 0) Line().Add("lease").Add(lease.told_at()).Append();
  Line line;
  line.Add("exit").Add(code).Add(signal).Add(started).Add(finished).Add(clean ? 1 : 0);
  if (line.Append()) return 0;
  // The disk has lost what it gave us. The agent that started us hears it all the same.
  const Report end{ParseNumber(argv[2]), EndOf(code, signal, clean), finished};
  sys::Call(SYS_write, kReportFd, sys::Word(&end), sizeof end);
  return 0;
}

}  // namespace

#if defined(__x86_64__)
extern "C" [[noreturn]] __attribute__((used)) void AllotStart(long* stack) {
  const int argc = static_cast<int>(stack[0]);
  auto** argv = reinterpret_cast<char**>(stack + 1);
  sys::Exit(Supervise(argc, argv, argv + argc + 1));
}
#else
int main(int argc, char** argv, char** environment) { return Supervise(argc, argv, environment); }
#endif
