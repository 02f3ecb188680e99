#include "simulator/scheduler_host.h"

#include <utility>

#include "simulator/answers.h"
#include "simulator/checkers/fencing.h"
#include "simulator/checkers/fold.h"
#include "simulator/describe.h"
#include "simulator/gateway_host.h"
#include "simulator/node_host.h"

namespace allot::simulator {
namespace {

constexpr uint64_t kAnswersEvery = 64;  // steps of a run that is listened to

Epoch EpochIn(const AgentMessage& message) {
  return std::visit(
      [](const auto& m) {
        if constexpr (requires { m.epoch; }) return m.epoch;
        return Epoch();
      },
      message);
}

}  // namespace

SchedulerHost::SchedulerHost(World& world, scheduler::CoreOptions options)
    : world_(world), options_(std::move(options)) {}

void SchedulerHost::Boot() {
  if (alive()) return;
  ++life_;
  crash_in_sync_ = crash_after_sync_ = false;
  core_ = std::make_unique<scheduler::Core>(options_);
  size_t first = 0;
  if (disk_.snapshot() && world_.faults.Strikes(Fault::kSnapshotRestart, 700)) {
    core_->Restore(*disk_.snapshot());
    first = disk_.snapshot_covers();
  }
  for (size_t i = first; i < disk_.records().size(); ++i) core_->Replay(disk_.records()[i]);
  CheckFold(disk_.fold(), core_->state(), first == 0 ? "replayed" : "restored and replayed",
            world_.findings);
  world_.acknowledged.CheckKept(core_->state());
  tick_at_.reset();
  // Of a generator of its own: what else a seed draws stays as it is.
  Step(scheduler::Restarted{Incarnation(Rng(world_.seed ^ (life_ << 40)).Next() | 1)});
  Step(scheduler::GatewaysChanged{{{"tcp://gateway:7000", "key"}}});
}

void SchedulerHost::Crash() {
  if (!alive()) return;
  if (world_.listening()) world_.Say("scheduler", "crashes");
  // The batch on its way to the disk may have arrived there, though nobody was told.
  if (syncing_ && !syncing_->records.empty()) {
    if (world_.faults.Strikes(Fault::kUnsyncedLoss, 700)) {
      if (world_.listening()) world_.Say("disk", "loses what was not synced");
    } else {
      MakeDurable(syncing_->records);
    }
  }
  paused_ = false;
  unread_.clear();
  syncing_.reset();
  waiting_ = {};
  core_.reset();
  peers_.clear();
  answers_.clear();
  routes_.reset();
  if (world_.faults.Strikes(Fault::kStoreRestored, 400)) PutBackStore();
  if (world_.rng.OneIn(2)) disk_.TakeSnapshot();
  for (auto& node : world_.nodes) node->SchedulerDied();
  world_.loop.After(world_.Between(10ms, world_.rng.OneIn(4) ? 30s : 3s), [this, life = life_] {
    if (life == life_) Boot();
  });
}

// At most half of what there is gets lost: people make backups.
void SchedulerHost::PutBackStore() {
  const size_t half = disk_.batches() / 2;
  if (half == 0) return;
  disk_.PutBack(half + world_.rng.Below(half));
  ++put_backs_;
  world_.PutBack(disk_.records(), disk_.fold());
}

void SchedulerHost::CrashSoon(bool while_syncing) {
  (while_syncing ? crash_in_sync_ : crash_after_sync_) = true;
}

void SchedulerHost::Pause(Duration more) {
  paused_ = true;
  const Duration pause = options_.heartbeat_every * 2 + more;
  if (world_.listening()) world_.Say("scheduler", "pauses for " + FormatDuration(pause));
  world_.loop.After(pause, [this, life = life_, number = ++pauses_] {
    if (life == life_ && number == pauses_) Resume();
  });
}

// A late tick comes first: that is the order in which most can go wrong.
void SchedulerHost::Resume() {
  if (!std::exchange(paused_, false)) return;
  std::deque<std::function<void()>> unread = std::exchange(unread_, {});
  unread.emplace_front([this] { Step(scheduler::ClockTicked{}); });
  for (const auto& action : unread) {
    if (alive()) action();
  }
}

void SchedulerHost::WhenRunning(std::function<void()> action) {
  if (!paused_) return action();
  unread_.push_back(std::move(action));
}

bool SchedulerHost::Ask(const std::function<scheduler::Event(scheduler::ReplyToken)>& make,
                        Answer answer) {
  if (!alive()) return false;
  const scheduler::ReplyToken token = ++last_token_;
  answers_.emplace(token, std::move(answer));
  WhenRunning([this, event = make(token)] { Step(event); });
  return true;
}

void SchedulerHost::AgentSays(uint32_t node, uint64_t connection, Incarnation incarnation,
                              const AgentMessage& message) {
  if (!alive()) return;
  const std::string& name = world_.nodes[node]->name();
  if (const scheduler::NodeState* known = core_->state().FindNode(name);
      known != nullptr && known->alive && EpochIn(message) == known->epoch)
    world_.silence.Arrived(name, known->epoch, world_.now());
  WhenRunning([this, node, connection, incarnation, message] {
    peers_[world_.nodes[node]->name()] = {node, connection};
    Handle(node, incarnation, message);
  });
}

void SchedulerHost::Handle(uint32_t node, Incarnation incarnation, const AgentMessage& message) {
  const std::string& name = world_.nodes[node]->name();
  const scheduler::NodeState* known = core_->state().FindNode(name);
  const Epoch epoch = known == nullptr ? Epoch() : known->epoch;
  Step(scheduler::AgentSaid{name, message, incarnation});
  CheckSchedulerFenced(epoch, message, effects_, world_.findings);
  if (alive() && std::holds_alternative<Heartbeat>(message)) SendToAgent(name, std::nullopt);
}

void SchedulerHost::GatewaySays(Incarnation incarnation, Term routes_term,
                                uint64_t routes_version) {
  if (!alive()) return;
  WhenRunning([this, incarnation, routes_term, routes_version] {
    if (routes_ == nullptr) return;
    if (routes_->incarnation != incarnation || routes_->term != routes_term || routes_->version != routes_version) SendRoutes();
  });
}

void SchedulerHost::Step(const scheduler::Event& event) {
  effects_.Clear();
  core_->Step(world_.now(), event, effects_);
  world_.Stepped("scheduler", [&] { return DescribeStep(event, effects_) + Details(effects_); });
  if (world_.listening() && ++heard_ % kAnswersEvery == 0)
    world_.Say("scheduler", Answers(*core_, world_.now()));
  if (!effects_.records.empty()) CheckState(core_->state(), world_.findings);
  if (!effects_.more) world_.promptness.Look(*core_, world_.now());
  for (const auto& record : effects_.records) {
    const auto* lost = std::get_if<scheduler::NodeLost>(&record);
    if (lost == nullptr) continue;
    const std::string& name = core_->state().FindNode(lost->node)->info->name;
    world_.silence.Lost(name, *lost, options_.lease);
  }
  if (effects_.more) {
    world_.loop.After(Duration(0), [this, life = life_] {
      if (life == life_ && alive()) WhenRunning([this] { Step(scheduler::ClockTicked{}); });
    });
  }
  Keep(effects_);
  PlanTick();
}

// Commands wait for every record before them; without one under way they go at once.
void SchedulerHost::Keep(scheduler::Effects& effects) {
  if (effects.records.empty() && quiet()) {
    for (const auto& command : effects.commands) Perform(command);
    return;
  }
  waiting_.records.insert(waiting_.records.end(), effects.records.begin(), effects.records.end());
  waiting_.commands.insert(waiting_.commands.end(), effects.commands.begin(),
                           effects.commands.end());
  if (!syncing_) StartSync();
}

void SchedulerHost::StartSync() {
  syncing_ = std::exchange(waiting_, {});
  Duration takes = world_.Between(200us, 2ms);
  if (world_.faults.Strikes(Fault::kSlowDisk, 20)) takes += world_.Between(10ms, 2s);
  if (std::exchange(crash_in_sync_, false) && !world_.faults.healed()) {
    world_.loop.After(world_.Between(0us, takes), [this, life = life_] {
      if (life == life_ && !world_.faults.healed()) Crash();
    });
  }
  world_.loop.After(takes, [this, life = life_] {
    if (life == life_ && alive()) WhenRunning([this] { Synced(); });
  });
}

void SchedulerHost::Synced() {
  const Batch batch = *std::exchange(syncing_, std::nullopt);
  MakeDurable(batch.records);
  if (!waiting_.empty()) StartSync();
  size_t left = batch.commands.size();
  if (crash_after_sync_ && left > 1 && !world_.faults.healed()) left = world_.rng.Below(left);
  for (const auto& command : batch.commands) {
    if (left-- == 0) return Crash();
    Perform(command);
  }
}

void SchedulerHost::MakeDurable(const std::vector<scheduler::Record>& records) {
  for (const auto& record : records) {
    world_.job_ledger.Kept(record);
    world_.lease_ledger.Kept(record);
    world_.black_hole.Kept(record);
    world_.power_ledger.Kept(record);
    const auto* exited = std::get_if<scheduler::TaskExited>(&record);
    if (exited == nullptr || !exited->exit.succeeded()) continue;
    const scheduler::JobState* job = disk_.fold().FindJob(exited->key.task.job);
    if (job != nullptr && job->spec->runtime == TaskRuntime::kProcess)
      world_.process_ledger.Succeeded(exited->key);
  }
  disk_.Append(records);
}

void SchedulerHost::Perform(const scheduler::Command& command) {
  if (const auto* send = std::get_if<scheduler::SendToAgent>(&command)) {
    SendToAgent(send->node, send->message);
  } else if (const auto* routes = std::get_if<scheduler::SendRoutes>(&command)) {
    routes_ = routes->table;
    SendRoutes();
  } else if (const auto* reply = std::get_if<scheduler::Reply>(&command)) {
    const auto it = answers_.find(reply->token);
    if (it == answers_.end()) {
      if (reply->token != 0)
        world_.findings.Add("replies", "the scheduler answered {} twice", reply->token);
      return;
    }
    // It has left; what the person does next is another event.
    if (reply->status.ok() && reply->job.valid()) world_.acknowledged.Replied(reply->job, "");
    world_.loop.After(world_.network.Latency(),
                      [this, answer = std::move(it->second), reply = *reply, before = put_backs_] {
                        // Whoever hears of a job that was lost since asks again.
                        if (before == put_backs_) answer(reply);
                      });
    answers_.erase(it);
  }
}

void SchedulerHost::PlanTick() {
  const auto wanted = core_->NextWakeup();
  if (!wanted || (tick_at_ && *tick_at_ <= *wanted)) return;
  tick_at_ = std::max(*wanted, world_.now());
  Time at = *tick_at_;
  if (world_.faults.Strikes(Fault::kTickJitter, 100)) at += world_.Between(0us, 300ms);
  world_.loop.At(at, [this, life = life_, tick = ++tick_] {
    if (life != life_ || tick != tick_ || !alive()) return;
    tick_at_.reset();
    WhenRunning([this] { Step(scheduler::ClockTicked{}); });
  });
}

// No message: the empty envelope that answers a heartbeat.
void SchedulerHost::SendToAgent(const std::string& name, std::optional<SchedulerMessage> message) {
  const auto peer = peers_.find(name);
  if (peer == peers_.end()) return;  // Unroutable; the resend rules make up for it.
  const auto [node, connection] = peer->second;
  if (to_nodes_.size() <= node) to_nodes_.resize(world_.nodes.size());
  NodeHost* host = world_.nodes[node].get();
  if (host->cut_off()) return;
  auto shared = message ? std::make_shared<const SchedulerMessage>(std::move(*message)) : nullptr;
  world_.network.Send(to_nodes_[node], [host, connection = connection,
                                        incarnation = core_->state().incarnation(), shared] {
    host->SchedulerSays(connection, incarnation, shared.get());
  });
}

void SchedulerHost::SendRoutes() {
  if (routes_ == nullptr) return;
  world_.network.Send(to_gateway_, [this, table = routes_] { world_.gateway->Routes(table); });
}

}  // namespace allot::simulator
