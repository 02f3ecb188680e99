#include "agent/core/task_machine.h"

#include <algorithm>
#include <utility>

namespace allot::agent {
namespace {

constexpr int kSigTerm = 15, kSigKill = 9;
// A process in an uninterruptible wait outlives SIGKILL for a while; and a supervisor may be slow.
constexpr Duration kKillAgainAfter = std::chrono::seconds(10);
// kRunning has no acknowledgement of its own, so it is told again after ever longer pauses.
constexpr Duration kRunningPauseMax = std::chrono::minutes(5);
constexpr size_t kForgottenKeysMax = 65'536;

}  // namespace

TaskMachine::TaskMachine(const CoreOptions& options, DeviceGuard& devices)
    : options_(options), devices_(devices), forgotten_(kForgottenKeysMax) {}

void TaskMachine::Found(const FoundTask& found) {
  Task& task = tasks_[found.key];
  task.status = found.status;
  task.status.key = found.key;
  task.has_folder = true;
  task.terms = found.launch.terms;
  if (task.status.phase != TaskPhase::kExited) {
    devices_.Found({found.key, {}}, found.launch.device_ids);
    if (task.terms.needed()) leased_.insert(found.key);
  }
  if (task.status.phase != TaskPhase::kAssigned) Changed(task);  // Else news will come.
}

void TaskMachine::Start(Time now, const StartTask& command, Effects& out) {
  auto [it, fresh] = tasks_.try_emplace(command.key);
  Task& task = it->second;
  if (!fresh) {
    // The scheduler asks because it has not heard. While the spawn is under way, or waits for
    // devices, all there is to tell is that the node has it.
    return Changed(task);
  }
  task.status.key = command.key;
  if (forgotten_.Has(command.key)) {
    // It ran here and its exit was acknowledged, so this is an echo; the answer is acknowledged
    // and forgotten like any other exit. Running it again is the one thing that must not happen.
    End(task, TaskExit{127, 0, "this attempt of the task has already run on this node", now, now});
    return;
  }
  if (command.launch.runtime == TaskRuntime::kNoop) {
    task.status.started = now;
    End(task, TaskExit{0, 0, "", now, now});
    return;
  }
  task.waiting = std::make_unique<TaskLaunch>(command.launch);
  task.has_devices = devices_.Hold({command.key, {}}, command.launch.device_ids);
  task.terms = command.launch.terms;
  if (task.terms.needed()) {
    leased_.insert(command.key);
    ask_leases_ = true;
  }
  SpawnIfReady(now, task, out);
}

void TaskMachine::Proceed(Time now, const TaskKey& key, Effects& out) {
  Task& task = tasks_.at(key);
  task.has_devices = true;
  SpawnIfReady(now, task, out);
}

// A StartTask may be old: it was read only now, or the agent had been stopped. The scheduler's word
// that this attempt is the current one may not, where no two may be alive.
void TaskMachine::SpawnIfReady(Time now, Task& task, Effects& out) {
  if (task.waiting == nullptr || !task.has_devices) return;
  if (task.terms.needed() && task.lease_until <= now) return;
  const auto launch = std::move(task.waiting);
  task.has_folder = true;
  out.commands.emplace_back(SpawnTask{task.status.key, std::move(*launch), task.lease_until});
}

void TaskMachine::Granted(Time now, const GrantLeases& grant, Effects& out) {
  if (grant.asked > now) return;  // Nothing that we have said.
  for (const TaskKey& key : grant.keys) {
    Task* task = Find(key);
    if (task == nullptr || task->status.phase == TaskPhase::kExited || !task->terms.needed())
      continue;
    const Time until = grant.asked + task->terms.lease;
    if (until <= task->lease_until) continue;
    task->lease_until = until;
    if (task->waiting != nullptr) {
      SpawnIfReady(now, *task, out);
    } else {
      out.commands.emplace_back(RenewLease{key, until});
    }
  }
}

std::vector<TaskKey> TaskMachine::TakeLeasesToAsk(bool heartbeat) {
  if (!std::exchange(ask_leases_, false) && !heartbeat) return {};
  return {leased_.begin(), leased_.end()};
}

void TaskMachine::Stop(Time now, const StopTask& command, Effects& out) {
  auto [it, fresh] = tasks_.try_emplace(command.key);
  Task& task = it->second;
  if (fresh) {
    // Its StartTask was lost or is still on the way; once this is told it must not start.
    task.status.key = command.key;
    End(task, TaskExit{127, 0, "unknown task", now, now});
  }
  if (task.status.phase == TaskPhase::kExited) return Changed(task);
  if (task.waiting != nullptr)
    return End(task, TaskExit{127, 0, "stopped before it was started", now, now});
  // Where it is repeated, what is shorter counts.
  task.stop_grace = std::min(task.stop_grace.value_or(command.grace), command.grace);
  if (task.status.phase == TaskPhase::kAssigned) {
    // Signalled as soon as it is spawned; where that hangs, it is not waited for longer than it
    // would be for the task.
    const Time kill_at = now + *task.stop_grace;
    if (!task.kill_sent && (task.kill_at == Time() || kill_at < task.kill_at))
      kills_.Set(command.key, task.kill_at = kill_at);
    return;
  }
  if (!task.stop_sent) {
    AskToEnd(now, task, out);
  } else if (!task.kill_sent) {
    task.kill_at = std::min(task.kill_at, now + command.grace);
    kills_.Set(command.key, task.kill_at);
  }
}

void TaskMachine::Acknowledge(const AckTasks& command, Effects& out) {
  for (const TaskKey& key : command.keys) {
    const Task* task = Find(key);
    // What has not ended cannot be acknowledged; such a message is older than it looks.
    if (task == nullptr || task->status.phase != TaskPhase::kExited) continue;
    if (task->has_folder) out.commands.emplace_back(ForgetTask{key});
    tasks_.erase(key);
    forgotten_.Add(key);
  }
  DropStaleRepeats();
}

void TaskMachine::Spawned(Time now, const TaskSpawned& event, Effects& out) {
  Task* task = Find(event.key);
  if (task == nullptr || task->status.phase != TaskPhase::kAssigned) return;
  task->status.phase = TaskPhase::kRunning;
  task->status.pid = event.pid;
  task->status.started = event.at;
  Changed(*task);
  if (task->stop_grace) AskToEnd(now, *task, out);
}

void TaskMachine::SpawnFailed(Time now, const TaskSpawnFailed& event) {
  Task* task = Find(event.key);
  if (task == nullptr || task->status.phase != TaskPhase::kAssigned) return;
  TaskExit exit{127, 0, event.message, now, now};
  exit.cause = event.cause;
  End(*task, std::move(exit));
}

void TaskMachine::Exited(const TaskProcessExited& event) {
  Task* task = Find(event.key);
  if (task == nullptr || task->status.phase == TaskPhase::kExited) return;
  TaskExit exit = event.exit;
  // Also where the supervisor went: a task that is to end and kills it gains nothing by that.
  if ((task->stop_sent || task->kill_sent) &&
      (exit.cause == ExitCause::kTask || exit.cause == ExitCause::kSupervisorLost))
    exit.cause = ExitCause::kStopped;
  End(*task, std::move(exit));
}

void TaskMachine::Progressed(const TaskProgressed& event) {
  Task* task = Find(event.key);
  if (task == nullptr || task->status.phase == TaskPhase::kExited) return;
  if (task->status.progress == event.progress) return;
  task->status.progress = event.progress;
  progressed_.insert(event.key);
}

void TaskMachine::Tick(Time now, Effects& out) {
  while (const auto key = kills_.PopDue(now)) {
    tasks_.at(*key).kill_sent = true;  // It runs: its end takes it off the agenda.
    out.commands.emplace_back(SignalTask{*key, kSigKill});
    kills_.Set(*key, now + kKillAgainAfter);
  }
}

std::vector<TaskStatus> TaskMachine::TakeReport(Time now) {
  std::vector<TaskStatus> report;
  while (!exits_told_.empty() && exits_told_.front().first <= now) {
    const auto [due, key] = exits_told_.front();
    exits_told_.pop_front();
    if (Task* task = Find(key); task != nullptr && task->report_due == due) Changed(*task);
  }
  while (const auto key = running_told_.PopDue(now)) Changed(tasks_.at(*key));
  if (changed_.empty()) return report;
  report.reserve(changed_.size());
  for (const TaskKey& key : changed_) {
    // Forgotten is only what was told: acknowledgements are obeyed while registered, and then all
    // that has changed is told in the same step.
    Task& task = tasks_.at(key);
    task.in_report = false;
    report.push_back(task.status);
    if (task.status.phase != TaskPhase::kAssigned) Told(now, task);
  }
  changed_.clear();
  return report;
}

std::vector<TaskStatus> TaskMachine::TakeProgress() {
  std::vector<TaskStatus> report;
  for (const TaskKey& key : progressed_) {
    const Task* task = Find(key);
    if (task != nullptr && task->status.phase == TaskPhase::kRunning)
      report.push_back(task->status);
  }
  progressed_.clear();
  return report;
}

std::optional<Time> TaskMachine::NextWakeup(bool registered) const {
  std::optional<Time> next = kills_.Earliest();
  if (!registered) return next;
  if (!exits_told_.empty()) next = Earlier(next, exits_told_.front().first);
  return Earlier(next, running_told_.Earliest());
}

std::vector<TaskStatus> TaskMachine::Statuses() const {
  std::vector<TaskStatus> statuses;
  statuses.reserve(tasks_.size());
  for (const auto& [key, task] : tasks_) statuses.push_back(task.status);
  return statuses;
}

void TaskMachine::Changed(Task& task) {
  if (!std::exchange(task.in_report, true)) changed_.push_back(task.status.key);
}

void TaskMachine::End(Task& task, TaskExit exit) {
  const TaskKey& key = task.status.key;
  kills_.Clear(key);
  running_told_.Clear(key);
  devices_.Release({key, {}});
  leased_.erase(key);
  task.status.phase = TaskPhase::kExited;
  task.status.exit = std::move(exit);
  Changed(task);
}

void TaskMachine::AskToEnd(Time now, Task& task, Effects& out) {
  task.stop_sent = true;
  out.commands.emplace_back(SignalTask{task.status.key, kSigTerm});
  task.kill_at = now + *task.stop_grace;
  kills_.Set(task.status.key, task.kill_at);
}

void TaskMachine::Told(Time now, Task& task) {
  if (task.status.phase == TaskPhase::kExited) {
    task.report_due = now + options_.report_after;
    exits_told_.emplace_back(task.report_due, task.status.key);
    return;
  }
  task.report_pause = task.report_pause == Duration{}
                          ? options_.report_after
                          : std::min(task.report_pause * 2, kRunningPauseMax);
  running_told_.Set(task.status.key, now + task.report_pause);
}

// An agent whose exits are all acknowledged is not woken for them.
void TaskMachine::DropStaleRepeats() {
  while (!exits_told_.empty()) {
    const Task* task = Find(exits_told_.front().second);
    if (task != nullptr && task->report_due == exits_told_.front().first) return;
    exits_told_.pop_front();
  }
}

TaskKey TaskMachine::Named(const TaskKey& key) const {
  if (key.attempt.incarnation().valid()) return key;
  const auto it = tasks_.lower_bound(key);  // that of none comes first
  if (it == tasks_.end() || it->first.task != key.task ||
      it->first.attempt.value() != key.attempt.value())
    return key;
  return it->first;
}

TaskMachine::Task* TaskMachine::Find(const TaskKey& key) {
  const auto it = tasks_.find(key);
  return it == tasks_.end() ? nullptr : &it->second;
}

}  // namespace allot::agent
