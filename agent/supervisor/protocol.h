// What an agent and the supervisor of one process agree on. Plain C++, no libraries.
//
// Command line:  allot-supervisor PROCESS_ID TOKEN:FILES:CGROUP:LOG_MAX:FREE_MIN LOG_PATH [SETUP]
//                WORK_DIR ARGV…
//                FILES is the process's limit of open files (soft); the agent's own is higher.
//                LOG_MAX, FREE_MIN: bytes (log_pipe.h); absent or 0: 1 GiB, and none.
//                SETUP is "+N" and N words, in any order; numbers are decimal. A supervisor that
//                does not know it takes "+N" for the working folder and starts nothing. "++N": all
//                of the words must be known, or nothing is started ("failed setup"; a supervisor
//                that knows no "++" takes the first word for the working folder).
//                  user=UID:GID       who the process runs as, without any way to more: no
//                                     capability, no set-user-id program
//                  groups=GID:…       its supplementary groups; left out: none
//                  capabilities=BITS  that it has all the same
//                  umask=BITS
//                  limit=RESOURCE:SOFT:HARD   of setrlimit, by its number; several
//                  tmp=FOLDER         what it finds as /tmp and /var/tmp
//                  hide=1             others' processes are not in its /proc
//                  join=FILE          a cgroup.procs (cgroup v1) to write itself into; several
//                  folder=FOLDER      made by the process itself, with what is above it
//                  lease=UNTIL:GRACE  the process is to be gone by GRACE after UNTIL, unless that
//                                     was renewed: nanoseconds of CLOCK_BOOTTIME. Always after "++"
// Environment:   the process's own, complete.
// Descriptors:   0 /dev/null, kReportFd a pipe to the agent (O_NONBLOCK), kRecordFd the process's
//                record, open for appending and locked with flock(LOCK_EX). The lock lives as long
//                as the supervisor does, so "is it alive" is "is the record locked": exact, and
//                no pid that was given to somebody else can fool it. kCgroupFd, if CGROUP is 1:
//                the open folder of the cgroup that the process is to be born in.
// Signals:       all blocked and at their defaults; its own session.
//
// The supervisor appends lines to the record:
//   starting
//   running <supervisor pid> <pid> <started, µs since 1970>
//   lease <when>     the lease was over, and the process was told to end; `exit` follows
//   exit <code> <signal> <started> <finished> <clean: 0 or 1>
//   failed <step> <errno> <when> [<interpreter, or the user as UID:GID>]
//     step: log, cgroup, tmp, limits, user, checkpoint_dir, work_dir, command, interpreter, crlf,
//           setup, lease (it was over before the command ran)
// The agent appends `exit` for a supervisor that it had to kill, and `failed start` for one that
// got nowhere. interpreter, crlf: the command is there, and what its first line (or its format)
// asks to be run by is not; crlf where that line ends in a carriage return. An agent that does not
// know them says what the errno says. A line counts only with its newline. Without `starting`
// nothing was ever run.
//
// To pass signal N on to the process group, queue kForwardSignal with value N to the supervisor.
// To renew the lease, queue kLeaseSignal with the new UNTIL as its value (si_ptr, 64 bits); one
// that is not later says nothing, nor does any once it was over. The clock goes on while the
// machine sleeps.
#pragma once

#include <stdint.h>

namespace allot::supervisor {

inline constexpr int kReportFd = 3;
inline constexpr int kRecordFd = 4;
inline constexpr int kCgroupFd = 5;
inline constexpr int kForwardSignal =
    40;  // a real-time one: those are queued, none swallows another
inline constexpr int kLeaseSignal = 41;
inline constexpr int kArgvStart = 5;  // where the user's argument vector begins without a setup
inline constexpr int kLineMax = 128;  // bytes of a line; four at most

// Written to kReportFd once the process runs: less than PIPE_BUF, so never interleaved. Only a
// hint that saves the agent a look at the record. Once more where the record does not take the
// exit: then `pid` is EndOf() and `started_micros` when it ended. The agent that reads it may be of
// the build before (an upgrade under a running agent): it knows nothing of the token any more.
struct Report {
  uint64_t token = 0;
  int64_t pid = 0;
  int64_t started_micros = 0;
};
// Negative, as no pid is.
constexpr int64_t EndOf(int code, int signal, bool clean) {
  return -1 - (int64_t{code} << 9 | int64_t{signal} << 1 | (clean ? 1 : 0));
}
constexpr int CodeOfEnd(int64_t end) { return static_cast<int>((-1 - end) >> 9); }
constexpr int SignalOfEnd(int64_t end) { return static_cast<int>((-1 - end) >> 1 & 0xff); }
constexpr bool CleanOfEnd(int64_t end) { return ((-1 - end) & 1) != 0; }

}  // namespace allot::supervisor
