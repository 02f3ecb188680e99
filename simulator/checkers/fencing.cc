#include "simulator/checkers/fencing.h"

#include <algorithm>

namespace allot::simulator {
namespace {

bool Names(const agent::Command& command, const TaskKey& key) {
  if (const auto* c = std::get_if<agent::SpawnTask>(&command)) return c->key == key;
  if (const auto* c = std::get_if<agent::RenewLease>(&command)) return c->key == key;
  if (const auto* c = std::get_if<agent::ForgetTask>(&command)) return c->key == key;
  if (const auto* c = std::get_if<agent::SignalTask>(&command))
    return c->key == key && c->signal == 15;  // SIGKILL follows from an earlier stop.
  return false;
}

template <class Keys>
void RefuseKeys(Epoch epoch, Epoch sent, const Keys& keys, const agent::Effects& effects,
                Findings& findings) {
  if (sent == epoch && epoch.valid()) return;
  for (const agent::Command& command : effects.commands)
    for (const TaskKey& key : keys)
      if (Names(command, key))
        findings.Add("fencing", "an agent at epoch {} obeyed epoch {} about {}", epoch.value(),
                     sent.value(), ToString(key));
}

}  // namespace

void CheckAgentFenced(Epoch epoch, const SchedulerMessage& message, const agent::Effects& effects,
                      Findings& findings) {
  if (const auto* m = std::get_if<StartTask>(&message))
    RefuseKeys(epoch, m->epoch, std::vector<TaskKey>{m->key}, effects, findings);
  if (const auto* m = std::get_if<StopTask>(&message))
    RefuseKeys(epoch, m->epoch, std::vector<TaskKey>{m->key}, effects, findings);
  if (const auto* m = std::get_if<GrantLeases>(&message))
    RefuseKeys(epoch, m->epoch, m->keys, effects, findings);
  if (const auto* m = std::get_if<AckTasks>(&message))
    RefuseKeys(epoch, m->epoch, m->keys, effects, findings);
  if (const auto* m = std::get_if<StartReplica>(&message); m != nullptr && m->epoch != epoch) {
    for (const agent::Command& command : effects.commands) {
      const auto* spawn = std::get_if<agent::SpawnReplica>(&command);
      if (spawn != nullptr && spawn->id == m->id && spawn->start == 1)
        findings.Add("fencing", "an agent at epoch {} obeyed epoch {} about {}", epoch.value(),
                     m->epoch.value(), ToString(m->id));
    }
  }
}

void CheckSchedulerFenced(Epoch epoch, const AgentMessage& message,
                          const scheduler::Effects& effects, Findings& findings) {
  if (const auto* report = std::get_if<TaskReport>(&message);
      report != nullptr && report->epoch != epoch) {
    const auto told = [&](const TaskKey& key) {
      return std::any_of(report->tasks.begin(), report->tasks.end(),
                         [&](const TaskStatus& status) { return status.key == key; });
    };
    for (const auto& record : effects.records) {
      const auto* started = std::get_if<scheduler::TaskStarted>(&record);
      const auto* exited = std::get_if<scheduler::TaskExited>(&record);
      if ((started != nullptr && told(started->key)) || (exited != nullptr && told(exited->key)))
        findings.Add("fencing", "the scheduler at epoch {} believed a report of epoch {}",
                     epoch.value(), report->epoch.value());
    }
  }
  if (const auto* report = std::get_if<ReplicaReport>(&message);
      report != nullptr && report->epoch != epoch) {
    for (const auto& record : effects.records) {
      const auto* gone = std::get_if<scheduler::ReplicaGone>(&record);
      if (gone == nullptr) continue;
      for (const ReplicaStatus& status : report->replicas)
        if (status.id == gone->replica)
          findings.Add("fencing", "the scheduler at epoch {} believed epoch {} about {}",
                       epoch.value(), report->epoch.value(), ToString(gone->replica));
    }
  }
}

}  // namespace allot::simulator
