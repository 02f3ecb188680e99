#include <algorithm>
#include <string>

#include "scheduler/shell/api/render.h"

namespace allot::scheduler {
namespace {

// What a task computes on: its accelerators, or where it leases none the node's processors.
template <class F>
void ForEachDevice(const NodeState& node, const TaskPlacement& placement, F f) {
  const auto& devices = node.info->devices;
  if (placement.devices.Empty()) {
    for (const Device& device : devices) {
      if (device.kind == DeviceKind::kCpu) return f(device);  // one word for all of them
    }
    return;
  }
  placement.devices.ForEach([&](uint32_t i) {
    if (i < devices.size()) f(devices[i]);
  });
}

void RenderTask(const Core& core, const JobState& job, uint32_t rank, JsonWriter& json) {
  const TaskState& task = job.tasks[rank];
  const NodeState* node = core.state().FindNode(task.placement.node);
  json.Object([&] {
    json.Field("rank", rank);
    if (node != nullptr) {
      json.Field("node", node->info->name);
      json.Key("devices").Array([&] {
        ForEachDevice(*node, task.placement, [&](const Device& device) {
          json.Object([&] {
            json.Field("id", device.id).Field("model", device.model);
            json.Field("kind", ToString(device.kind)).Field("emulated", device.emulated);
            json.Field("isolation", ToString(device.isolation));
          });
        });
      });
    }
    json.Field("phase", task.abandoned ? std::string_view("abandoned") : ToString(task.phase));
    if (task.pid != 0) json.Field("pid", task.pid);
    if (task.exit) {
      json.Field("code", task.exit->code).Field("signal", task.exit->signal);
      json.Field("cause", ToString(task.exit->cause));
      if (!task.exit->message.empty()) json.Field("message", task.exit->message);
    }
    if (const TaskProgress* progress = core.ProgressOf({job.id, rank})) {
      json.Key("progress").Object([&] {
        json.Field("step", progress->step).Field("total", progress->total);
        json.Field("loss", progress->loss);
      });
    }
  });
}

bool Emulated(const Core& core, const JobState& job) {
  bool emulated = false;
  for (const TaskState& task : job.tasks) {
    const NodeState* node = core.state().FindNode(task.placement.node);
    if (node == nullptr) continue;
    ForEachDevice(*node, task.placement, [&](const Device& d) { emulated |= d.emulated; });
  }
  return emulated;
}

std::string MessageOfTask(const JobState& job, size_t rank) {
  const TaskExit& exit = *job.tasks[rank].exit;
  const std::string message = fmt::format("task {}: ", rank);
  if (!exit.message.empty()) return message + exit.message;
  return message + (exit.signal != 0 ? fmt::format("signal {}", exit.signal)
                                     : fmt::format("exit code {}", exit.code));
}

// The task that failed first says why the job did: the others were stopped for it.
std::string MessageOfJob(const JobState& job) {
  std::string message;
  if (job.failed_rank && *job.failed_rank < job.tasks.size() && job.tasks[*job.failed_rank].exit)
    message = MessageOfTask(job, *job.failed_rank);
  for (size_t rank = 0; message.empty() && rank < job.tasks.size(); ++rank) {
    const auto& exit = job.tasks[rank].exit;
    if (exit && !exit->succeeded()) message = MessageOfTask(job, rank);
  }
  if (job.node_faults > 1 && !message.empty())
    message += fmt::format(" ({} attempts in a row that nodes could not run)", job.node_faults);
  return message;
}

// Of tasks that ended as their nodes measured it where they did, of those that run by what they
// draw at most. Nothing where nothing is known.
void RenderEnergy(const JobState& job, Time now, JsonWriter& json) {
  MilliJoule energy = job.energy;
  bool modelled = job.energy_modelled;
  for (const TaskState& task : job.tasks) {
    if (task.abandoned || task.phase != TaskPhase::kRunning || task.placement.power == 0) continue;
    energy += EnergyOf(task.placement.power, std::max(now - task.started, Duration{}));
    modelled = true;
  }
  if (energy == 0 && !modelled) return;
  json.Field("energy_joules", static_cast<double>(energy) / 1e3);
  json.Field("energy_source", std::string_view(modelled ? "modelled" : "measured"));
}

}  // namespace

void RenderJob(const Core& core, Time now, const JobState& job, JsonWriter& json) {
  const bool finished = job.phase == JobPhase::kFinished;
  const bool placed = job.placed != Time() && job.phase != JobPhase::kPending;
  json.Object([&] {
    json.Field("id", ToString(job.id));
    if (!job.spec->name.empty()) json.Field("name", job.spec->name);
    json.Field("tenant", job.spec->tenant).Field("user", job.user);
    json.Field("phase", ToString(job.phase));
    if (job.outcome) json.Field("outcome", ToString(*job.outcome)).Field("code", job.code);
    json.Field("attempt", job.attempt.value()).Field("tasks_total", job.spec->tasks);
    json.Field("priority", job.spec->priority).Field("submitted", job.submitted);
    if (placed) json.Field("placed", job.placed);
    if (job.phase == JobPhase::kPending && job.not_before > now) {
      json.Field("not_before", job.not_before);
      json.Field("paused_seconds", Duration(job.not_before - now));
    }
    if (job.spec->at_most_one) json.Field("at_most_one", true);
    if (job.spec->scratch_max) json.Field("scratch_max_bytes", *job.spec->scratch_max);
    if (job.failures > 0) json.Field("failures", job.failures);
    if (job.failed_rank) json.Field("failed_rank", *job.failed_rank);
    if (finished) json.Field("finished", job.finished);
    const Time waited_until = placed ? job.placed : finished ? job.finished : now;
    json.Field("waited_seconds", Duration(waited_until - job.submitted));
    Cost cost = job.cost;
    if (placed) {
      const Duration ran = (finished ? job.finished : now) - job.placed;
      if (!finished) cost += CostOf(job.price, ran);
      json.Field("ran_seconds", ran).Field("price_usd_per_hour", job.price);
    }
    json.Field("cost_usd", cost);
    RenderEnergy(job, now, json);
    json.Key("command").Array([&] {
      for (const std::string& word : job.spec->command) json.Value(word);
    });
    if (job.spec_cut > 0) json.Field("spec_bytes_dropped", job.spec_cut);
    if (const std::string message = MessageOfJob(job); !message.empty()) {
      json.Field("message", message);
    }
    json.Field("emulated", Emulated(core, job));
    json.Key("tasks").Array([&] {
      for (uint32_t rank = 0; rank < job.tasks.size(); ++rank) RenderTask(core, job, rank, json);
    });
  });
}

void RenderReason(const Reason& reason, JsonWriter& json) {
  json.Object([&] {
    json.Field("reason", ToString(reason.reason)).Field("count", reason.count);
    json.Field("detail", reason.detail);
  });
}

void RenderExplanation(const JobExplanation& explanation, JsonWriter& json) {
  json.Object([&] {
    json.Field("version", 1).Field("job", ToString(explanation.job));
    json.Field("phase", ToString(explanation.phase)).Field("never", explanation.never);
    json.Field("waited_seconds", explanation.waited);
    json.Key("reasons").Array([&] {
      for (const Reason& reason : explanation.reasons) RenderReason(reason, json);
    });
    json.Key("remedies").Array([&] {
      for (const std::string& remedy : explanation.remedies) json.Value(remedy);
    });
    if (!explanation.warnings.empty()) {
      json.Key("warnings").Array([&] {
        for (const std::string& warning : explanation.warnings) json.Value(warning);
      });
    }
    json.Key("candidates").Array([&] {
      for (const JobExplanation::Candidate& candidate : explanation.candidates) {
        json.Object([&] {
          json.Field("node", candidate.node).Field("device_model", candidate.device_model);
          json.Field("emulated", candidate.emulated);
          json.Field("isolation", ToString(candidate.isolation));
          json.Field("price_usd_per_hour", candidate.price).Field("score_usd", candidate.score);
          json.Field("verdict", candidate.verdict);
        });
      }
    });
  });
}

}  // namespace allot::scheduler
