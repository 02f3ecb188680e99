#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "agent/runtime/process_runtime_impl.h"

namespace allot::agent {
namespace {

constexpr Duration kClearPause = std::chrono::milliseconds(20);
constexpr Duration kEnforcePauseMax = std::chrono::seconds(30);
constexpr int kRoundsMax = 50, kQuietRounds = 3;
constexpr int kEnforceGently = 2;  // times, before the supervisor itself is killed
constexpr Duration kLookBelowEvery = std::chrono::seconds(2);
constexpr Duration kEnvironmentPatience = std::chrono::seconds(5);

Time WallNow() {
  return FromMicros(
      std::chrono::duration_cast<Duration>(std::chrono::system_clock::now().time_since_epoch())
          .count());
}

}  // namespace

// ---- what is left when the supervisor is gone
// -----------------------------------------------------

TaskExit ProcessRuntime::Impl::WithoutExit(const ProcessId& id, const Process& process,
                                           const ProcessRecord& record) {
  const Time now = WallNow();
  std::string line;
  TaskExit exit;
  if (process.too_slow) {
    line = fmt::format("failed start {} {}\n", ETIMEDOUT, ToMicros(now));
    ProcessRecord end = record;
    if (process.record.valid()) {  // What it was to run, which is said.
      const StatusOr<std::string> content =
          ReadWholeFile(fmt::format("/proc/self/fd/{}", process.record.get()), kRecordBytesMax);
      if (content.ok())
        if (StatusOr<ProcessRecord> parsed = ParseRecord(*content); parsed.ok())
          end = *std::move(parsed);
    }
    ParseSupervisorLines(line, &end);
    exit = *end.exit;
  } else if (process.supervisor_killed) {
    exit = {.signal = SIGKILL,
            .message =
                "its supervisor did not answer (stopped, traced or frozen?), so the agent "
                "has ended both"};
    exit.started = record.running ? record.running->at : now;
    exit.finished = std::max(now, exit.started);
    line = fmt::format("exit 0 {} {} {} 1\n", SIGKILL, ToMicros(exit.started),
                       ToMicros(exit.finished));
  } else {
    ++counters_.supervisors_killed;
    return SupervisorKilled(record, now);
  }
  // So that an agent after us says the same.
  if (process.record.valid()) (void)WriteAll(process.record.get(), line, folder_.RecordOf(id));
  return exit;
}

void ProcessRuntime::Impl::Clear(const ProcessId& id, const Process& process,
                                 const ProcessRecord& record, TaskExit exit) {
  const int64_t supervisor =
      record.running ? record.running->supervisor_pid : process.supervisor_pid;
  const Time started = record.running ? record.running->at : exit.started;
  auto clearing = std::make_unique<Process::Clearing>(Strays(supervisor, started, process.seen));
  clearing->exit = std::move(exit);
  clearing->until = std::chrono::steady_clock::now() + options_.give_up;
  processes_.at(id)->clearing = std::move(clearing);
  // What asks processes for their memory may hang on one that does not give it.
  errands_.Run(
      "/proc", "looking for what a process has left behind", kEnvironmentPatience,
      [scratch = folder_.ScratchOf(id), started] {
        KillByEnvironment(scratch, started);
        return absl::OkStatus();
      },
      [self = weak_from_this(), id](const Status&) {
        const auto impl = self.lock();
        if (!impl) return;
        if (const auto it = impl->processes_.find(id);
            it != impl->processes_.end() && it->second->clearing != nullptr)
          it->second->clearing->by_environment = true;
      });
  ClearMore(id);
}

void ProcessRuntime::Impl::ClearMore(const ProcessId& id) {
  const auto it = processes_.find(id);
  if (it == processes_.end()) return;
  Process::Clearing& clearing = *it->second->clearing;
  const bool quiet = clearing.strays.Kill();
  if (quiet && clearing.by_environment) return TellExit(id, clearing.exit);
  if (std::chrono::steady_clock::now() >= clearing.until) {
    if (!quiet) clearing.exit.message += fmt::format("; {}", kDoesNotDie);
    return TellExit(id, clearing.exit);
  }
  it->second->retry.After(kClearPause, [self = weak_from_this(), id] {
    if (const auto impl = self.lock()) impl->ClearMore(id);
  });
}

// ---- against its will
// -----------------------------------------------------------------------------

void ProcessRuntime::Impl::EnforceAfter(const ProcessId& id, Process& process, Duration pause) {
  process.enforce.After(pause, [self = weak_from_this(), id] {
    if (const auto impl = self.lock()) impl->Enforce(id);
  });
}

// Due when a process is not known to run in time, or has not ended of SIGKILL. While its supervisor
// lives, all that it has started is below that one, so it is found by whose child it is. With it
// killed a supervisor that is let go on writes the end down as it was.
void ProcessRuntime::Impl::Enforce(const ProcessId& id) {
  const auto it = processes_.find(id);
  if (it == processes_.end() || it->second->clearing != nullptr) return;
  Process& process = *it->second;
  const auto now = std::chrono::steady_clock::now();
  const int times = ++process.enforced;
  const auto facts = FactsOf(process.supervisor_pid);
  const bool stopped = facts && (facts->state == 'T' || facts->state == 't');
  // One that is stopped is not slow: who did it runs. Let go on it says so.
  if (!process.told_running && !stopped && !std::exchange(process.too_slow, true))
    process.given_up = now + options_.give_up;
  if (process.too_slow && now >= process.given_up) {
    // Its program has never run, so what hangs holds nothing of the node but itself.
    TaskExit exit = WithoutExit(id, process, ProcessRecord{});
    exit.message += fmt::format("; {}", kDoesNotDie);
    return TellExit(id, std::move(exit));
  }
  EnforceAfter(
      id, process,
      std::min(options_.kill_patience * (int64_t{1} << std::min(times, 10)), kEnforcePauseMax));
  if (process.supervisor_pid <= 1 || !process.supervisor.is_open()) return;
  if (stopped && !process.killing && times <= kEnforceGently) return Wake(process.supervisor_pid);
  process.killing = true;
  bool below = false;
  // Again while there is something new: it may fork as fast as we look.
  for (int round = 0, quiet = 0; round < kRoundsMax && quiet < kQuietRounds; ++round) {
    if (process.too_slow) break;
    const bool killed = !KillTrees(ChildrenNow(process.supervisor_pid)).empty();
    below |= killed;
    quiet = killed ? 0 : quiet + 1;
  }
  Wake(process.supervisor_pid);
  // One that waits for what takes long to die does what it should.
  if (!process.too_slow && (times <= kEnforceGently || below)) return;
  process.supervisor_killed = true;
  (void)syscall(SYS_pidfd_send_signal, process.supervisor.native_handle(), SIGKILL, nullptr, 0);
}

// A stopped supervisor would not write down how its process ended.
void ProcessRuntime::Impl::WakeStopped() {
  for (const auto& [id, process] : processes_) {
    if (process->supervisor_pid <= 1 || process->clearing != nullptr) continue;
    if (const auto facts = FactsOf(process->supervisor_pid); facts && facts->state == 'T')
      Wake(process->supervisor_pid);
  }
  ReapOrphans();
  wake_timer_.After(options_.wake_every, [self = weak_from_this()] {
    if (const auto impl = self.lock()) impl->WakeStopped();
  });
}

// So that what leaves its session and clears its environment is known when its supervisor, which
// another agent had started, is killed.
void ProcessRuntime::Impl::LookBelow() {
  if (looking_below_ || options_.ended_whole) return;
  std::set<int64_t> supervisors;
  bool adopted = false;
  for (const auto& [id, process] : processes_) {
    if (process->child_pid > 0 && OrphansAreOurs()) continue;
    adopted = true;
    if (process->supervisor_pid > 1) supervisors.insert(process->supervisor_pid);
  }
  if (!adopted) return;
  looking_below_ = true;
  auto seen = std::make_shared<std::map<int64_t, std::set<ProcessIdentity>>>();
  errands_.Run(
      "/proc/stat", "looking what runs", kEnvironmentPatience,
      [seen, supervisors] {
        if (!supervisors.empty()) *seen = SeenBelow(supervisors);
        return absl::OkStatus();
      },
      [self = weak_from_this(), seen](const Status& status) {
        const auto impl = self.lock();
        if (!impl) return;
        if (status.ok())
          for (auto& [id, process] : impl->processes_)
            if (const auto found = seen->find(process->supervisor_pid); found != seen->end())
              process->seen = found->second;
        ++impl->counters_.looks_below;
        impl->looking_below_ = false;
        impl->below_timer_.After(kLookBelowEvery, [self] {
          if (const auto alive = self.lock()) alive->LookBelow();
        });
      });
}

}  // namespace allot::agent
