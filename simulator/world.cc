#include "simulator/world.h"

#include "simulator/checkers/fold.h"
#include "simulator/cluster_maker.h"
#include "simulator/gateway_host.h"
#include "simulator/node_host.h"
#include "simulator/scheduler_host.h"
#include "simulator/workload.h"

namespace allot::simulator {
namespace {

// Once faults have healed, all that can finish does so within this virtual time: ten minutes (the
// longest seen in thousands of seeds of 2,000 events is under two), and the backlog that longer
// runs heap up.
Duration FinishWithin(uint64_t events) {
  return Duration(10min) + Duration(std::chrono::milliseconds(60)) * static_cast<int64_t>(events);
}

template <class T>
T& Pick(Rng& rng, std::vector<std::unique_ptr<T>>& items) {
  return *items[rng.Below(items.size())];
}

}  // namespace

World::World(const WorldOptions& options)
    : seed(options.seed),
      rng(options.seed),
      faults(options.faults, rng),
      network(loop, rng, faults),
      options_(options),
      listening_(options.hash || options.trace != nullptr) {
  scheduler::CoreOptions core;
  core.heartbeat_every = Between(1s, 4s);
  core.lease = core.heartbeat_every * 3 + Between(0s, 10s);
  core.resend_after = Between(500ms, 3s);
  core.plan_attempts_max = rng.OneIn(4) ? 2 : 2'000;
  // Apart from the others, so that worlds without such jobs stay what they were.
  Rng aside = rng;
  leases = aside.OneIn(3);
  const auto seconds = [&aside](uint64_t most) {
    return Duration(std::chrono::seconds(aside.Below(most)));
  };
  core.task_lease.lease = core.heartbeat_every * 3 + seconds(30);
  core.task_lease.margin = core.task_lease.lease / 10 + 1s + seconds(10);
  scheduler = std::make_unique<SchedulerHost>(*this, core);
  agent::CoreOptions agent;
  agent.report_after = Between(500ms, 3s);
  agent.scheduler_silence_max = core.heartbeat_every * 3 + Between(0s, 10s);
  agent.restart_backoff_max = 20s;
  const uint64_t count = 1 + rng.Below(5);
  for (uint32_t i = 0; i < count; ++i)
    nodes.push_back(std::make_unique<NodeHost>(*this, i, MakeNode(rng, i), agent));
  gateway = std::make_unique<GatewayHost>(*this);
  workload_ = std::make_unique<Workload>(*this);
}

World::~World() = default;

Duration World::Between(Duration low, Duration high) {
  if (high <= low) return low;
  return low +
         Duration(static_cast<int64_t>(rng.Below(static_cast<uint64_t>((high - low).count()))));
}

void World::Say(std::string_view who, const std::string& text) {
  if (options_.hash) {
    const auto mix = [this](std::string_view bytes) {
      for (const char c : bytes) hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    };
    const int64_t at = ToMicros(now());
    mix({reinterpret_cast<const char*>(&at), sizeof(at)});
    mix(who);
    mix(text);
  }
  if (options_.trace) {
    const int64_t at = ToMicros(now()) - 1'700'000'000'000'000;
    options_.trace(fmt::format("{:>12.6f} {} {}", static_cast<double>(at) / 1e6, who, text));
  }
}

WorldResult World::Run() {
  const Time began = now();
  scheduler->Boot();
  gateway->Boot();
  for (auto& node : nodes)
    loop.After(Between(0s, 2s), [node = node.get()] { node->BootMachine(); });
  workload_->Start();
  PlanFaults();
  while (!findings.any() && steps_ < options_.events && loop.RunOne()) {
  }
  const Time healed = now();
  Heal();
  Time next_look = now();
  Time last_quarantine = healed;  // What is out of service comes back, in its time.
  bool settled = false;
  while (!findings.any() && !settled && loop.RunOne()) {
    if (now() < next_look) continue;
    next_look = now() + 1s;
    settled = Settled();
    if (!settled) last_quarantine = std::max(last_quarantine, QuarantinedUntil());
    if (!settled && now() - last_quarantine > FinishWithin(options_.events)) break;
  }
  if (!findings.any()) CheckEnd();

  WorldResult result;
  result.finding = findings.first();
  result.steps = steps_;
  result.hash = hash_;
  result.jobs = acknowledged.size();
  result.spawned = process_ledger.spawned();
  result.requests = request_ledger.ended();
  result.scheduler_lives = scheduler->lives();
  result.black_holes = black_hole.found_out();
  result.healed_after = healed - began;
  result.finished_after = now() - healed;
  result.faults = faults.counts();
  return result;
}

void World::PlanFaults() {
  const Duration pause = Between(200ms, 4s);
  loop.After(Between(pause / 2, pause * 2), [this] {
    if (faults.healed()) return;
    StrikeOnce();
    PlanFaults();
  });
}

// Each kind that can happen now gets its chance; how long things stay broken is drawn too.
void World::StrikeOnce() {
  NodeHost& node = Pick(rng, nodes);
  const auto later = [this](auto action) {
    loop.After(Between(10ms, rng.OneIn(4) ? 30s : 3s), [this, action] {
      if (!faults.healed()) action();
    });
  };
  if (scheduler->alive() && faults.Strikes(Fault::kSchedulerCrash, 150)) {
    const uint64_t moment = rng.Below(4);
    moment < 2 ? scheduler->Crash() : scheduler->CrashSoon(moment == 2);
  }
  if (scheduler->alive() && !scheduler->paused() && faults.Strikes(Fault::kSchedulerPause, 100))
    scheduler->Pause(Between(0s, rng.OneIn(3) ? 60s : 10s));
  if (!node.cut_off() && faults.Strikes(Fault::kPartition, 100))
    node.CutOff(Between(100ms, rng.OneIn(3) ? 60s : 5s));
  if (faults.Strikes(Fault::kLinkBreak, 100)) node.BreakLink();
  if (node.agent_alive() && faults.Strikes(Fault::kAgentCrash, 80)) {
    node.CrashAgent();
    later([&node] { node.StartAgent(); });
  }
  if (faults.Enabled(Fault::kAgentPause) && node.agent_alive() && !node.paused() &&
      faults.Strikes(Fault::kAgentPause, 150))
    node.PauseAgent(Between(0s, rng.OneIn(3) ? 90s : 10s));
  if (node.machine_alive() && faults.Strikes(Fault::kNodeCrash, 40)) {
    node.CrashMachine(false);
    later([&node] { node.BootMachine(); });
  }
  if (node.machine_alive() && faults.Strikes(Fault::kNodeWipe, 20)) {
    node.CrashMachine(true);
    later([&node] { node.BootMachine(); });
  }
  if (node.replicas() > 0 && faults.Strikes(Fault::kReplicaCrash, 150)) node.CrashReplica();
  if (node.replicas() > 0 && faults.Strikes(Fault::kReplicaSick, 150)) node.SickenReplica();
  if (faults.Strikes(Fault::kDeviceChange, 50)) node.ChangeDevices();
  if (!black_hole.open() && faults.Strikes(Fault::kBlackHole, 150)) OpenBlackHole(node);
  if (faults.Strikes(Fault::kClockSkew, 50)) node.SkewClock(Between(0s, 10min));
  if (gateway->alive() && faults.Strikes(Fault::kGatewayCrash, 40)) {
    gateway->Crash();
    later([this] { gateway->Boot(); });
  }
  if (gateway->linked(node.index()) && faults.Strikes(Fault::kGatewayLinkBreak, 100))
    gateway->BreakLink(node.index());
}

void World::OpenBlackHole(NodeHost& node) {
  const std::vector<Device>& devices = node.info().devices;
  const size_t pick = rng.Below(devices.size() + 1);
  // A third of them are whole nodes.
  const bool whole =
      pick == devices.size() || devices[pick].kind == DeviceKind::kCpu || rng.OneIn(4);
  const std::string device = whole ? "" : devices[pick].id;
  if (listening_) Say(node.name(), "is a black hole " + device);
  node.OpenBlackHole(device);
  black_hole.Opened(node.name(), device, now());
  loop.After(Between(2s, rng.OneIn(3) ? 2min : 20s), [this, &node] {
    if (faults.healed()) return;
    node.CloseBlackHole();
    black_hole.Closed();
  });
}

void World::PutBack(const std::vector<scheduler::Record>& journal,
                    const scheduler::ClusterState& state) {
  if (listening_) Say("disk", fmt::format("is put back to its first {} records", journal.size()));
  job_ledger = JobLedger(findings);
  lease_ledger = LeaseLedger(findings);
  power_ledger = PowerLedger(findings);
  for (const scheduler::Record& record : journal) {
    job_ledger.Kept(record);
    lease_ledger.Kept(record);
    power_ledger.Kept(record);
  }
  black_hole.PutBack(journal);
  acknowledged.PutBack(state);
  silence.PutBack();
}

// When the last of what jobs have failed on will be on probation.
Time World::QuarantinedUntil() const {
  Time last;
  if (!scheduler->alive()) return last;
  for (const scheduler::NodeState& node : scheduler->core().state().nodes()) {
    for (const auto& [device, quarantine] : node.quarantines) {
      if (!quarantine.probation && quarantine.until < kTimeMax)
        last = std::max(last, quarantine.until);
    }
  }
  return last;
}

void World::Heal() {
  if (findings.any()) return;
  if (listening_) Say("world", "heals");
  faults.Heal();
  black_hole.Closed();
  scheduler->Boot();
  scheduler->Resume();
  gateway->Boot();
  for (auto& node : nodes) node->Heal();
  workload_->Finish();
}

bool World::Settled() const {
  if (!scheduler->alive() || !scheduler->quiet() || !workload_->Answered()) return false;
  const scheduler::ClusterState& state = scheduler->core().state();
  if (!state.deployments().empty() || !state.replicas().empty()) return false;
  for (const auto& [id, job] : state.jobs())
    if (job.phase != JobPhase::kFinished) return false;
  for (const auto& node : nodes)
    if (!node->Idle()) return false;
  return request_ledger.open() == 0;
}

void World::CheckEnd() {
  const scheduler::ClusterState& state = scheduler->core().state();
  std::string left;
  for (const auto& [id, job] : state.jobs()) {
    if (job.phase == JobPhase::kFinished) continue;
    left += fmt::format(" {} {}", ToString(id), ToString(job.phase));
    const auto why = scheduler->core().ExplainJob(now(), id);
    if (!why.ok()) continue;
    for (const auto& reason : why->reasons)
      left += fmt::format(" ({} {})", ToString(reason.reason), reason.count);
  }
  for (const auto& [name, deployment] : state.deployments()) left += " deployment " + name;
  for (const auto& [id, replica] : state.replicas()) left += " " + ToString(id);
  for (const auto& node : nodes)
    if (!node->Idle()) left += fmt::format(" node {}: {}", node->name(), node->WhyBusy());
  if (request_ledger.open() > 0) left += fmt::format(" {} requests", request_ledger.open());
  if (!workload_->Answered()) left += " a question without an answer";
  if (!scheduler->quiet()) left += " records that are not durable";
  if (!left.empty())
    findings.Add("liveness", "{} after the faults healed there is left:{}",
                 FormatDuration(FinishWithin(options_.events)), left);
  for (const scheduler::NodeState& node : state.nodes()) {
    for (const auto& [device, quarantine] : node.quarantines) {
      if (!quarantine.probation && quarantine.until + 10s < now())
        findings.Add("liveness", "{} {} should be on probation since {} ago", node.info->name,
                     device, FormatDuration(now() - quarantine.until));
    }
  }
  CheckState(state, findings);
  CheckFold(scheduler->disk().fold(), state, "at the end", findings);
  acknowledged.CheckKept(state);
  request_ledger.CheckAllEnded();
}

}  // namespace allot::simulator
