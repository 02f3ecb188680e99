// What the process's side does between its birth and its exec: joins cgroups, gets a /tmp of its
// own, its limits, and becomes who it runs as. protocol.h tells the words.
//
// Everything is done by the child, after vfork and with the supervisor's memory: system calls
// change the child alone, and from its change of user to its exec the kernel lets nobody but root
// look into that memory. What cannot be done ends the start: nothing runs with more than it should.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "agent/supervisor/sys.h"

namespace allot::supervisor {

// The rest of `word` if it begins with `name` (which ends in '='); else null.
inline const char* ValueOf(const char* word, const char* name) {
  while (*name != '\0')
    if (*word++ != *name++) return nullptr;
  return word;
}

// Takes a decimal number and what separates it from the next.
inline uint64_t TakeNumber(const char** text) {
  uint64_t value = 0;
  for (; **text >= '0' && **text <= '9'; ++*text)
    value = value * 10 + static_cast<uint64_t>(**text - '0');
  if (**text == ':') ++*text;
  return value;
}

struct Setup {
  char** words = nullptr;
  int count = 0;

  const char* Find(const char* name) const {
    for (int i = 0; i < count; ++i)
      if (const char* value = ValueOf(words[i], name)) return value;
    return nullptr;
  }
  bool changes_user() const { return Find("user=") != nullptr; }
  // Of words that must all be known.
  bool AllKnown() const {
    static const char* const names[] = {"user=", "groups=", "capabilities=", "umask=",  "limit=",
                                        "tmp=",  "hide=",   "join=",         "folder=", "lease="};
    for (int i = 0; i < count; ++i) {
      bool known = false;
      for (const char* name : names) known |= ValueOf(words[i], name) != nullptr;
      if (!known) return false;
    }
    return true;
  }
};

inline long JoinCgroup(const char* procs) {
  const long fd = sys::Call(SYS_openat, AT_FDCWD, sys::Word(procs), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return fd;
  const long written = sys::Call(SYS_write, fd, sys::Word("0"), 1);
  sys::Call(SYS_close, fd);
  return written < 0 ? written : 0;
}

// Mounts of its own: those of the host come in, none goes out.
inline long OwnMounts() {
  if (const long error = sys::Call(SYS_unshare, CLONE_NEWNS); error < 0) return error;
  return sys::Call(SYS_mount, sys::Word("none"), sys::Word("/"), 0, MS_REC | MS_SLAVE, 0);
}

inline long OwnTmp(const char* folder) {
  static const char* const places[] = {"/tmp", "/var/tmp"};
  for (const char* place : places) {
    const long error = sys::Call(SYS_mount, sys::Word(folder), sys::Word(place), 0, MS_BIND, 0);
    if (error < 0 && error != -ENOENT) return error;
  }
  return 0;
}

// Other people's processes are not in /proc at all then. A kernel that cannot (before 5.8) shows
// them as always: who they are and what they were started with, and nothing more.
inline void HideProcesses() {
  sys::Call(SYS_mount, sys::Word("proc"), sys::Word("/proc"), sys::Word("proc"),
            MS_NOSUID | MS_NODEV | MS_NOEXEC, sys::Word("hidepid=invisible"));
}

inline long Limit(const char* numbers) {
  struct {
    uint64_t soft, hard;
  } limit, before{};
  const uint64_t resource = TakeNumber(&numbers);
  limit.soft = TakeNumber(&numbers);
  limit.hard = TakeNumber(&numbers);
  long error = sys::Call(SYS_prlimit64, 0, static_cast<long>(resource), sys::Word(&limit), 0);
  if (error != -EPERM) return error;
  // Raising what may be had takes a right that we may lack: as much as there is.
  error = sys::Call(SYS_prlimit64, 0, static_cast<long>(resource), 0, sys::Word(&before));
  if (error < 0) return error;
  if (limit.hard > before.hard) limit.hard = before.hard;
  if (limit.soft > limit.hard) limit.soft = limit.hard;
  return sys::Call(SYS_prlimit64, 0, static_cast<long>(resource), sys::Word(&limit), 0);
}

inline long SetGroups(const char* numbers) {
  static uint32_t groups[1024];
  long count = 0;
  while (numbers != nullptr && *numbers != '\0' && count < 1024)
    groups[count++] = static_cast<uint32_t>(TakeNumber(&numbers));
  return sys::Call(SYS_setgroups, count, sys::Word(groups));
}

// Becomes the user, with those capabilities and no way to more.
inline long Become(const char* numbers, const char* groups, uint64_t capabilities) {
  const auto uid = static_cast<long>(TakeNumber(&numbers));
  const auto gid = static_cast<long>(TakeNumber(&numbers));
  if (uid == 0 || gid == 0) return -EPERM;  // nobody's work is root's
  if (const long error = SetGroups(groups); error < 0) return error;
  if (const long error = sys::Call(SYS_setresgid, gid, gid, gid); error < 0) return error;
  for (int each = 0; each < 64; ++each) {
    if ((capabilities >> each & 1) != 0) continue;
    const long error = sys::Call(SYS_prctl, PR_CAPBSET_DROP, each);
    if (error == -EINVAL) break;  // there are no more
    if (error < 0) return error;
  }
  // Keys that the agent's session holds are for whoever is in it. A kernel without any has none.
  sys::Call(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0);
  if (capabilities != 0) sys::Call(SYS_prctl, PR_SET_KEEPCAPS, 1);
  if (const long error = sys::Call(SYS_setresuid, uid, uid, uid); error < 0) return error;
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2];
  for (int half = 0; half < 2; ++half) {
    const auto bits = static_cast<uint32_t>(capabilities >> (32 * half));
    data[half].effective = data[half].permitted = data[half].inheritable = bits;
  }
  if (const long error = sys::Call(SYS_capset, sys::Word(&header), sys::Word(data)); error < 0)
    return error;
  sys::Call(SYS_prctl, PR_SET_KEEPCAPS, 0);
  sys::Call(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  for (int each = 0; each < 64; ++each)
    if ((capabilities >> each & 1) != 0)
      if (const long error = sys::Call(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, each, 0, 0);
          error < 0)
        return error;
  return sys::Call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

// Goes on while the machine sleeps, and nobody sets it.
inline uint64_t BootNanos() {
  timespec now{};
  sys::Call(SYS_clock_gettime, CLOCK_BOOTTIME, sys::Word(&now));
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// As whoever we are by now, so that nobody makes a folder where he may not.
inline long MakeFolders(const char* path) {
  static char prefix[4096];
  size_t size = 0;
  long made = 0;
  for (; path[size] != '\0'; ++size) {
    if (size + 1 >= sizeof prefix) return -ENAMETOOLONG;
    if (size > 0 && path[size] == '/') {
      prefix[size] = '\0';
      sys::Call(SYS_mkdirat, AT_FDCWD, sys::Word(prefix), 0777);
    }
    prefix[size] = path[size];
  }
  prefix[size] = '\0';
  made = sys::Call(SYS_mkdirat, AT_FDCWD, sys::Word(prefix), 0777);
  return made == -EEXIST ? 0 : made;
}

// All of it, in the order that the rights it takes ask for. 0, or -errno with what failed in
// `step`.
inline long Prepare(const Setup& setup, const char* work_dir, const char** step) {
  // If someone kills the supervisor, the process must not run on unwatched; nor be born late, where
  // a folder does not answer.
  sys::Call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
  *step = "cgroup";
  for (int i = 0; i < setup.count; ++i)
    if (const char* procs = ValueOf(setup.words[i], "join="))
      if (const long error = JoinCgroup(procs); error < 0) return error;
  *step = "tmp";
  const char* tmp = setup.Find("tmp=");
  const bool hide = setup.Find("hide=") != nullptr;
  if (tmp != nullptr || hide)
    if (const long error = OwnMounts(); error < 0) return error;
  if (tmp != nullptr)
    if (const long error = OwnTmp(tmp); error < 0) return error;
  if (hide) HideProcesses();
  *step = "limits";
  for (int i = 0; i < setup.count; ++i)
    if (const char* limit = ValueOf(setup.words[i], "limit="))
      if (const long error = Limit(limit); error < 0) return error;
  *step = "user";
  if (const char* user = setup.Find("user=")) {
    const char* capabilities = setup.Find("capabilities=");
    const uint64_t kept = capabilities == nullptr ? 0 : TakeNumber(&capabilities);
    if (const long error = Become(user, setup.Find("groups="), kept); error < 0) return error;
    sys::Call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);  // A change of user clears it.
  }
  if (const char* mask = setup.Find("umask="))
    sys::Call(SYS_umask, static_cast<long>(TakeNumber(&mask)));
  // Whoever may not enter a folder must not find himself in it.
  *step = "checkpoint_dir";
  if (const char* folder = setup.Find("folder="))
    if (const long error = MakeFolders(folder); error < 0) return error;
  *step = "work_dir";
  if (const long error = sys::Call(SYS_chdir, sys::Word(work_dir)); error < 0) return error;
  // What came before may have taken its time, and until the command runs the supervisor sleeps.
  *step = "lease";
  if (const char* lease = setup.Find("lease="))
    if (BootNanos() >= TakeNumber(&lease)) return -ETIME;
  *step = "command";
  return 0;
}

}  // namespace allot::supervisor
