// What does a power cap cost in throughput?
//
//   bench-power_cap [--runs N] [--json] [--nodes N] [--jobs N] [--hours N]
//
// The shipped scheduler core over virtual time: the same queue of jobs on the same fleet, without a
// cap and under caps on the cluster of 90, 75 and 50 % of what the fleet leased at its peak without
// one. That no cap was exceeded is checked here too, from the records.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <queue>

#include "benchmarks/report.h"
#include "common/base/rng.h"
#include "scheduler/core/core.h"

namespace allot::benchmarks {
namespace {

using namespace scheduler;

struct Model {
  const char* name;
  DeviceKind kind;
  uint32_t count;  // on a node
  MilliWatt power;
  Bytes memory;
};
// Board power as the vendors' data sheets state it (common/catalogue/devices.csv).
constexpr std::array<Model, 4> kModels = {{
    {"nvidia/h100-sxm-80g", DeviceKind::kGpu, 8, 700'000, 80 * kGiB},
    {"amd/mi300x", DeviceKind::kGpu, 8, 750'000, 192 * kGiB},
    {"intel/gaudi2", DeviceKind::kAsic, 8, 600'000, 96 * kGiB},
    {"nvidia/l4-24g", DeviceKind::kGpu, 8, 72'000, 24 * kGiB},
}};
constexpr MilliWatt kCpuPower = 350'000;
constexpr uint32_t kNodesPerRack = 8;

NodeInfoPtr MakeNode(uint32_t i) {
  auto info = std::make_shared<NodeInfo>();
  info->name = fmt::format("n{}", i + 1);
  info->instance = info->name;
  info->labels["rack"] = fmt::format("r{}", i / kNodesPerRack);
  info->cpus = 128'000;
  info->memory = 2048 * kGiB;
  Device cpu;
  cpu.id = "cpu0";
  cpu.kind = DeviceKind::kCpu;
  cpu.model = "intel/xeon-8480+";
  cpu.cores = 128;
  cpu.power_max = kCpuPower;
  info->devices.push_back(cpu);
  const Model& model = kModels[i % kModels.size()];
  for (uint32_t d = 0; d < model.count; ++d) {
    Device device;
    device.id = fmt::format("dev{}", d);
    device.model = model.name;
    device.kind = model.kind;
    device.memory = model.memory;
    device.power_max = model.power;
    info->devices.push_back(device);
  }
  return info;
}

struct Work {
  JobSpecPtr spec;
  Duration time{};  // of every task, on the first alternative
};

// Gangs of 1 to 8 tasks, 1 to 8 devices a task; half of the jobs accept a second model, on which
// they take longer by what it is worth.
Work MakeWork(Rng& rng) {
  static constexpr std::array<uint32_t, 8> kTasks = {1, 1, 1, 1, 1, 2, 4, 8};
  static constexpr std::array<uint32_t, 6> kCounts = {1, 1, 1, 2, 4, 8};
  auto spec = std::make_shared<JobSpec>();
  spec->tasks = kTasks[rng.Below(kTasks.size())];
  spec->command = {"train"};
  spec->resources.cpus = 1000 * static_cast<MilliCpu>(1 + rng.Below(8));
  spec->resources.memory = 8 * kGiB;
  const uint64_t first = rng.Below(kModels.size());
  const auto want = [&](uint64_t model, double worth) {
    DeviceRequest request;
    request.model = kModels[model % kModels.size()].name;
    request.count = kCounts[rng.Below(kCounts.size())];
    request.worth = worth;
    spec->devices.push_back(request);
  };
  want(first, 1.0);
  if (rng.OneIn(2)) {
    const uint32_t count = spec->devices[0].count;
    want(first + 1 + rng.Below(kModels.size() - 1), 0.5);
    spec->devices[1].count = count;
  }
  return {std::move(spec), std::chrono::seconds(300 + rng.Below(5'400))};
}

struct Outcome {
  double jobs_per_hour = 0, device_hours_per_hour = 0;
  MilliWatt peak = 0;  // leased at once
};

class Fleet {
 public:
  Fleet(uint32_t nodes, const std::vector<Work>& work, std::optional<MilliWatt> cap)
      : core_({.lease = std::chrono::hours(24 * 365)}), work_(work), cap_(cap) {
    auto policy = std::make_shared<Policy>();
    policy->queue.head_hold_after = std::chrono::hours(2);
    policy->power.cluster = cap;
    core_.Replay(PolicySet{now_, policy});
    for (uint32_t i = 0; i < nodes; ++i)
      core_.Replay(NodeRegistered{now_, NodeId(i + 1), Epoch(1), 1, MakeNode(i)});
    for (size_t j = 0; j < work.size(); ++j)
      core_.Replay(JobAccepted{now_, JobId(j + 1), work[j].spec, "user", ""});
    Step(Restarted{});
    for (const NodeState& node : core_.state().nodes())
      Step(AgentSaid{node.info->name, RegisterNode{2, *node.info, {}, {}}});
  }

  // Counts what ends between `from` and `until`, after the fleet has filled.
  Outcome Run(Duration from, Duration until) {
    const Time start = now_;
    uint64_t jobs = 0;
    Duration device_time{};
    while (!ends_.empty() && ends_.top().at <= start + until) {
      const End end = ends_.top();
      ends_.pop();
      now_ = std::max(now_, end.at);
      const JobState& job = *core_.state().FindJob(end.job);
      const uint32_t devices = job.spec->tasks * job.spec->devices[job.alternative].count;
      if (end.at >= start + from) {
        ++jobs;
        device_time += TimeOf(job) * devices;
      }
      EndTasks(job);
    }
    if (core_.Counts().pending == 0) {
      std::fprintf(stderr, "the queue ran dry; give more --jobs or fewer --hours\n");
      std::exit(1);
    }
    const double hours = std::chrono::duration<double>(until - from).count() / 3600;
    return {static_cast<double>(jobs) / hours,
            std::chrono::duration<double>(device_time).count() / 3600 / hours, peak_};
  }

 private:
  struct End {
    Time at;
    JobId job;
    bool operator>(const End& o) const { return std::tie(at, job) > std::tie(o.at, o.job); }
  };

  Duration TimeOf(const JobState& job) const {
    const double worth = job.spec->devices[job.alternative].worth;
    return Duration(
        static_cast<int64_t>(static_cast<double>(work_[job.id.value() - 1].time.count()) / worth));
  }

  void Step(const Event& event) {
    bool more = true;
    for (Event next = event; more; next = ClockTicked{}) {
      out_.Clear();
      core_.Step(now_, next, out_);
      more = out_.more;
      for (const Record& record : out_.records) Account(record);
    }
  }

  // From the records alone.
  void Account(const Record& record) {
    if (const auto* placed = std::get_if<JobPlaced>(&record)) {
      MilliWatt power = 0;
      for (const TaskPlacement& task : placed->tasks) power += task.power;
      leased_ += power;
      peak_ = std::max(peak_, leased_);
      if (cap_ && leased_ > *cap_) {
        std::fprintf(stderr, "%s leased under a cap of %s\n", FormatPower(leased_).c_str(),
                     FormatPower(*cap_).c_str());
        std::exit(1);
      }
      ends_.push({now_ + TimeOf(*core_.state().FindJob(placed->job)), placed->job});
    } else if (const auto* exited = std::get_if<TaskExited>(&record)) {
      const TaskId& task = exited->key.task;
      leased_ -= core_.state().FindJob(task.job)->tasks[task.index].placement.power;
    }
  }

  void EndTasks(const JobState& job) {
    std::map<NodeId, TaskReport> reports;
    for (uint32_t rank = 0; rank < job.tasks.size(); ++rank) {
      TaskStatus status;
      status.key = TaskKey{TaskId{job.id, rank}, job.attempt};
      status.phase = TaskPhase::kExited;
      status.exit = TaskExit{};
      reports[job.tasks[rank].placement.node].tasks.push_back(std::move(status));
    }
    for (auto& [node, report] : reports) {
      const NodeState& state = *core_.state().FindNode(node);
      report.epoch = state.epoch;
      Step(AgentSaid{state.info->name, std::move(report)});
    }
  }

  Core core_;
  const std::vector<Work>& work_;
  const std::optional<MilliWatt> cap_;
  Time now_ = FromMicros(1'700'000'000'000'000);
  Effects out_;
  std::priority_queue<End, std::vector<End>, std::greater<>> ends_;
  MilliWatt leased_ = 0, peak_ = 0;
};

void RunOnce(Report& report, uint32_t nodes, uint64_t jobs, Duration until, uint64_t seed) {
  Rng rng(seed);
  std::vector<Work> work;
  for (uint64_t j = 0; j < jobs; ++j) work.push_back(MakeWork(rng));
  const Duration from = until / 4;
  const auto add = [&](const std::string& name, const Outcome& outcome) {
    report.Add(name + ": jobs finished", "1/h", outcome.jobs_per_hour);
    report.Add(name + ": device-hours of them", "1/h", outcome.device_hours_per_hour);
    report.Add(name + ": leased at the peak", "kW", static_cast<double>(outcome.peak) / 1e6);
  };
  const Outcome free = Fleet(nodes, work, std::nullopt).Run(from, until);
  add("no cap", free);
  for (const int percent : {90, 75, 50}) {
    const std::string name = fmt::format("cap at {} %", percent);
    const MilliWatt cap = free.peak * percent / 100;
    const Outcome capped = Fleet(nodes, work, cap).Run(from, until);
    report.Add(name + ": cap", "kW", static_cast<double>(cap) / 1e6);
    add(name, capped);
    report.Add(name + ": throughput lost", "%",
               100 * (1 - capped.jobs_per_hour / free.jobs_per_hour));
    report.Add(name + ": device-hours lost", "%",
               100 * (1 - capped.device_hours_per_hour / free.device_hours_per_hour));
    report.Goal(name + ": throughput lost", 100 - percent + 5, Report::kAtMost);
  }
}

}  // namespace
}  // namespace allot::benchmarks

int main(int argc, char** argv) {
  using namespace allot::benchmarks;
  Report report("power_cap", argc, argv);
  const auto nodes = static_cast<uint32_t>(report.Option("nodes", 64));
  const auto jobs = static_cast<uint64_t>(report.Option("jobs", 12'000));
  const allot::Duration hours = std::chrono::hours(report.Option("hours", 24));
  report.Method(fmt::format(
      "the shipped scheduler core over {} h of virtual time: {} nodes in racks of {}, 8 devices "
      "each (H100 700 W, MI300X 750 W, Gaudi 2 600 W, L4 72 W by turns, a 350 W processor), a "
      "queue "
      "of {} jobs that never runs dry (gangs of 1-8 tasks, 1-8 devices a task, 5-95 min, half with "
      "a second model at half the speed)",
      hours / std::chrono::hours(1), nodes, 8, jobs));
  report.Method(
      "each run draws a new queue; uncapped first, then the same queue under a cluster cap of 90, "
      "75 and 50 % of the peak that was leased uncapped; what ends in the first quarter of the "
      "time does not count; power is what devices draw at most");
  for (int run = 0; run < report.runs(); ++run)
    RunOnce(report, nodes, jobs, hours, static_cast<uint64_t>(run) + 1);
  return report.Print();
}
