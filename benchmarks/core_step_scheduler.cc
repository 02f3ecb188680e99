#include "benchmarks/core_step_scheduler.h"

#include <ctime>

#include "common/base/rng.h"
#include "scheduler/core/core.h"

namespace allot::benchmarks {
namespace {

using namespace scheduler;

// Processor time of this thread: the core never waits, so this is how long a step takes on a
// machine that has nothing else to do, and other programs do not show in the figures.
double SecondsNow() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

constexpr const char* kModels[] = {"nvidia/h100-sxm-80g", "nvidia/a100-sxm-80g", "amd/mi300x",
                                   "intel/gaudi3"};

NodeInfoPtr MakeNode(uint32_t i) {
  auto info = std::make_shared<NodeInfo>();
  info->name = fmt::format("n{}", i + 1);
  info->instance = info->name;
  info->address = fmt::format("10.{}.{}.{}", i >> 16, (i >> 8) & 255, i & 255);
  info->cpus = 128'000;
  info->memory = 2048 * kGiB;
  Device cpu;
  cpu.id = "cpu0";
  cpu.kind = DeviceKind::kCpu;
  cpu.vendor = "intel";
  cpu.model = "intel/xeon-8480";
  cpu.cores = 128;
  info->devices.push_back(cpu);
  for (int d = 0; d < 8; ++d) {
    Device device;
    device.id = fmt::format("dev{}", d);
    device.model = kModels[i % 4];
    device.vendor = device.model.substr(0, device.model.find('/'));
    device.memory = 80 * kGiB;
    device.kind = i % 4 == 3 ? DeviceKind::kAsic : DeviceKind::kGpu;
    info->devices.push_back(device);
  }
  return info;
}

DeviceRequest Want(std::string model, uint32_t count, double worth = 1.0) {
  DeviceRequest request;
  request.model = std::move(model);
  request.count = count;
  request.worth = worth;
  return request;
}

// Mixed: gangs of 1 to 64 tasks, 1 to 8 devices a task, four models, a quarter with alternatives, a
// tenth on processors only, 16 tenants, 3 priorities.
JobSpecPtr MakeJob(Rng& rng) {
  static constexpr uint32_t kTasks[] = {1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 4, 4, 8, 16, 64};
  static constexpr uint32_t kCounts[] = {1, 1, 1, 2, 4, 8};
  auto spec = std::make_shared<JobSpec>();
  spec->name = "mixed";
  spec->tenant = fmt::format("tenant-{}", rng.Below(16));
  spec->priority = static_cast<int32_t>(rng.Below(3));
  spec->tasks = kTasks[rng.Below(std::size(kTasks))];
  spec->command = {"/usr/bin/python3", "train.py", "--config", "base.yaml"};
  spec->environment = {{"OMP_NUM_THREADS", "4"}};
  spec->resources.cpus = 1000 * static_cast<MilliCpu>(1 + rng.Below(4));
  spec->resources.memory = 8 * kGiB;
  if (rng.OneIn(10)) return spec;
  const uint64_t model = rng.Below(4);
  const uint32_t count = kCounts[rng.Below(std::size(kCounts))];
  spec->devices.push_back(Want(kModels[model], count));
  if (rng.OneIn(4)) spec->devices.push_back(Want(kModels[(model + 1) % 4], count, 0.5));
  return spec;
}

PolicyPtr MakePolicy() {
  auto policy = std::make_shared<Policy>();
  policy->queue.algorithm = "fair_share";
  policy->placement.algorithm = "best_fit";
  policy->prices.rows = {{"nvidia/h100*", {2'500'000}, {}},
                         {"nvidia/a100*", {1'500'000}, {}},
                         {"amd/mi300x", {2'000'000}, {}},
                         {"intel/gaudi3", {1'200'000}, {}}};
  policy->prices.other_cpu_core = {40'000};
  return policy;
}

// Steps the core and keeps the time of each step.
class Driver {
 public:
  explicit Driver(Core& core) : core_(core) {}

  void Step(const Event& event) {
    out_.Clear();
    const double start = SecondsNow();
    core_.Step(now_, event, out_);
    const double took = SecondsNow() - start;
    seconds_ += took;
    steps_.push_back(took * 1e6);
    for (const Record& record : out_.records) {
      const auto* placed = std::get_if<JobPlaced>(&record);
      if (placed == nullptr) continue;
      ++jobs_;
      tasks_ += placed->tasks.size();
      running_.push_back(placed->job);
    }
  }
  void Settle() {
    while (out_.more) Step(ClockTicked{});
  }
  void Forget() {
    seconds_ = 0;
    steps_.clear();
    jobs_ = tasks_ = 0;
  }
  // All tasks of a random running job end.
  void EndOne(Rng& rng) {
    if (running_.empty()) return;
    const size_t i = rng.Below(running_.size());
    const JobId id = running_[i];
    running_[i] = running_.back();
    running_.pop_back();
    const JobState* job = core_.state().FindJob(id);
    std::map<NodeId, TaskReport> reports;
    for (uint32_t rank = 0; rank < job->tasks.size(); ++rank) {
      TaskStatus status;
      status.key = TaskKey{TaskId{id, rank}, job->attempt};
      status.phase = TaskPhase::kExited;
      status.exit = TaskExit{};
      reports[job->tasks[rank].placement.node].tasks.push_back(std::move(status));
    }
    for (auto& [node, report] : reports) {
      const NodeState& state = *core_.state().FindNode(node);
      report.epoch = state.epoch;
      Step(AgentSaid{state.info->name, std::move(report)});
    }
  }

  double seconds() const { return seconds_; }
  uint64_t jobs() const { return jobs_; }
  uint64_t tasks() const { return tasks_; }
  std::vector<double>& steps() { return steps_; }
  void Advance(Duration d) { now_ += d; }

 private:
  Core& core_;
  Time now_ = FromMicros(1'700'000'000'000'000);
  Effects out_;
  double seconds_ = 0;
  uint64_t jobs_ = 0, tasks_ = 0;
  std::vector<double> steps_;
  std::vector<JobId> running_;
};

// Everything the nodes hold, as each would list it when it registers in the new term.
void RegisterAll(Core& core, Driver& driver) {
  const std::vector<NodeState>& nodes = core.state().nodes();
  for (uint32_t i = 0; i < nodes.size(); ++i) {
    const NodeState& node = nodes[i];
    RegisterNode message{2, *node.info, {}, {}};
    for (const TaskKey& key : node.tasks) {
      TaskStatus status;
      status.key = key;
      status.phase = TaskPhase::kRunning;
      message.tasks.push_back(std::move(status));
    }
    driver.Step(AgentSaid{node.info->name, std::move(message)});
  }
  driver.Settle();
}

void AddStepTimes(Report& report, const std::string& name, std::vector<double>& steps) {
  report.Add(name + ": step p50", "us", Percentile(steps, 0.50));
  report.Add(name + ": step p99", "us", Percentile(steps, 0.99));
  report.Add(name + ": step max", "us", Percentile(steps, 1.00));
}

void RunOnce(Report& report, uint32_t nodes, uint32_t pending, uint64_t churn, uint64_t seed) {
  const Time start = FromMicros(1'700'000'000'000'000);
  Rng rng(seed);
  const double memory_before = ResidentMib();
  // Nodes say nothing here but what their tasks do; with the lease of a cluster they would be lost
  // before the churn is over.
  Core core({.lease = std::chrono::hours(24)});
  core.Replay(PolicySet{start, MakePolicy()});
  for (uint32_t i = 0; i < nodes; ++i)
    core.Replay(NodeRegistered{start, NodeId(i + 1), Epoch(1), 1, MakeNode(i)});
  for (uint32_t j = 0; j < pending; ++j)
    core.Replay(JobAccepted{start, JobId(j + 1), MakeJob(rng), "user", ""});

  Driver driver(core);
  driver.Step(Restarted{});
  report.Add("restart: rebuild and first plan", "ms", driver.seconds() * 1e3);
  driver.Forget();
  driver.Settle();
  report.Add("fill: task placements", "1/s",
             static_cast<double>(driver.tasks()) / driver.seconds());
  report.Add("fill: job placements", "1/s", static_cast<double>(driver.jobs()) / driver.seconds());
  report.Add("fill: tasks placed", "", static_cast<double>(driver.tasks()));
  AddStepTimes(report, "fill", driver.steps());

  if (churn == 0) return;

  RegisterAll(core, driver);
  driver.Forget();
  for (uint64_t i = 0; i < churn; ++i) {
    driver.Advance(std::chrono::milliseconds(1));
    driver.EndOne(rng);
    driver.Settle();
    while (core.Counts().pending < pending * 9 / 10)
      driver.Step(JobSubmitted{0, MakeJob(rng), "user", ""});
  }
  report.Add("churn: task placements", "1/s",
             static_cast<double>(driver.tasks()) / driver.seconds());
  report.Add("churn: job placements", "1/s", static_cast<double>(driver.jobs()) / driver.seconds());
  AddStepTimes(report, "churn", driver.steps());
  report.Add("memory", "MiB", ResidentMib() - memory_before);
}

}  // namespace

void RunSchedulerSection(Report& report) {
  const auto nodes = static_cast<uint32_t>(report.Option("nodes", 10'000));
  const auto pending = static_cast<uint32_t>(report.Option("pending", 100'000));
  const auto churn = static_cast<uint64_t>(report.Option("churn", 20'000));
  report.Method(fmt::format(
      "scheduler core: {} nodes x 8 devices (4 models), {} pending jobs (gangs of 1-64 tasks, 1-8 "
      "devices a task, a quarter with alternatives, a tenth on processors only, 16 tenants x 3 "
      "priorities), fair_share + best_fit",
      nodes, pending));
  report.Method(
      "fill: steps from an empty cluster until nothing more fits; a placement counts with its "
      "records, "
      "its folding into the state and its StartTask messages; no I/O; times are processor time");
  report.Method(fmt::format(
      "churn: {} times a random running job ends, its devices are planned anew, and jobs are "
      "submitted to keep the queue long; all of it counts",
      churn));
  for (int run = 0; run < report.runs(); ++run)
    RunOnce(report, nodes, pending, churn, static_cast<uint64_t>(run) + 1);
  report.Goal("fill: task placements", 100'000, Report::kAtLeast);
  report.Goal("fill: step p99", 5'000, Report::kAtMost);
  report.Goal("churn: step p99", 5'000, Report::kAtMost);
}

}  // namespace allot::benchmarks
