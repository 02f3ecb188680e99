#include "scheduler/shell/pipeline.h"

#include <boost/asio/post.hpp>
#include <chrono>
#include <utility>

#include "common/base/entropy.h"
#include "common/base/logging.h"
#include "scheduler/shell/record_codec.h"

namespace allot::scheduler {

StatusOr<std::unique_ptr<Pipeline>> Pipeline::Open(boost::asio::io_context& loop, Options options,
                                                   Metrics& metrics) {
  std::unique_ptr<Pipeline> pipeline(new Pipeline(loop, std::move(options), metrics));
  ASSIGN_OR_RETURN(pipeline->store_, Journal::Open(pipeline->options_.state_dir));
  RETURN_IF_ERROR(pipeline->Load());
  return pipeline;
}

Pipeline::Pipeline(boost::asio::io_context& loop, Options options, Metrics& metrics)
    : loop_(loop),
      options_(std::move(options)),
      metrics_(metrics),
      core_(options_.core),
      timer_(loop),
      self_(std::make_shared<Pipeline*>(this)) {}

Pipeline::~Pipeline() {
  self_.reset();
  journal_.reset();
}

Status Pipeline::Load() {
  size_t records = 0;
  RETURN_IF_ERROR(store_->Load([this](ClusterState state) { core_.Restore(std::move(state)); },
                               [this, &records](const Record& record) {
                                 core_.Replay(record);
                                 ++records;
                               }));
  const ClusterState& state = core_.state();
  RETURN_IF_ERROR(store_->Reserve(state.last_job(), state.last_replica()));
  census_.Reset(state);
  const Time machine = options_.machine_clock();
  start_ = StartOfTime(state.newest(), state.trust(), machine);
  clock_.emplace(start_.at);
  const Time doubted = start_.trust.doubted;
  store_->KeepHistory(options_.history_kept, doubted == Time() ? doubted : doubted + kClockDoubt);
  WarnOfClock(machine);
  spdlog::info("store loaded records={} snapshot_seq={} jobs={} nodes={}", records,
               store_->snapshot_seq(), core_.state().jobs().size(), core_.state().nodes().size());
  return absl::OkStatus();
}

void Pipeline::WarnOfClock(Time machine) const {
  const std::string apart = FormatDuration(
      Duration(std::abs((machine - core_.state().newest()).count()) / 1'000'000 * 1'000'000));
  switch (start_.verdict) {
    case ClockStart::Verdict::kFollowed:
      break;
    case ClockStart::Verdict::kHeld:
      spdlog::warn(
          "this machine's clock is {} behind the newest record, and behind what is certain: time "
          "goes on from that record. Set the clock and restart the scheduler",
          apart);
      break;
    case ClockStart::Verdict::kTurnedBack:
      spdlog::warn(
          "the newest record is {} ahead of this machine's clock: the clock was wrong when it was "
          "written. Times of the future are taken for now. If it is this clock that is wrong, set "
          "it "
          "and restart the scheduler",
          apart);
      break;
    case ClockStart::Verdict::kDoubted:
      spdlog::warn(
          "this machine's clock is {} past the newest record. If the scheduler was stopped for so "
          "long, all is well; else set the clock and restart the scheduler. Until it has run for a "
          "day, no history is removed, and time limits of what runs count from now",
          apart);
      break;
  }
}

// The term goes into every envelope, so it is durable before there is anybody to talk to.
Status Pipeline::BeginTerm() {
  const bool empty = !core_.state().term().valid();
  const MarkFacts& mark = store_->marked();
  if (start_.verdict == ClockStart::Verdict::kTurnedBack)
    RETURN_IF_ERROR(store_->TurnHistoryBack(start_.at));
  core_.Step(Now(),
             Restarted{.incarnation = Incarnation(UniqueNumber()),
                       .jobs_from = mark.jobs_from,
                       .replicas_from = mark.replicas_from,
                       .trust = start_.trust},
             effects_);
  if (empty && options_.first_policy != nullptr) {
    const PolicyApplied first{.policy = options_.first_policy};
    RETURN_IF_ERROR(CheckStorable(first));
    core_.Step(Now(), first, effects_);
  }
  JournalBatch first;
  first.records = std::move(effects_.records);
  for (const Record& record : first.records) census_.Apply(record);
  RETURN_IF_ERROR(store_->Append({&first}));
  effects_.records.clear();
  spdlog::info("term begun term={} incarnation={}", core_.state().term().value(),
               ToString(core_.state().incarnation()));
  return absl::OkStatus();
}

Status Pipeline::StartCompactor() {
  ASSIGN_OR_RETURN(compactor_,
                   Compactor::Start(options_.state_dir, options_.compaction,
                                    {.folded =
                                         [this](int64_t seq, double seconds) {
                                           metrics_.compactions.Add();
                                           spdlog::info("snapshot written seq={} seconds={:.3f}",
                                                        seq, seconds);
                                         },
                                     .failed =
                                         [this](const Status& why) {
                                           metrics_.compaction_errors.Add();
                                           spdlog::warn("snapshot not written: {}", MessageOf(why));
                                         }}));
  compactor_->Progressed(store_->last_seq(), store_->wal_pages());
  return absl::OkStatus();
}

void Pipeline::StartJournal() {
  const std::weak_ptr<Pipeline*> weak = self_;
  const auto on_loop = [this, weak](auto f) {
    boost::asio::post(loop_, [weak, f = std::move(f)] {
      if (const auto self = weak.lock()) f(**self);
    });
  };
  journal_ = std::make_unique<JournalThread>(
      std::move(store_), options_.journal,
      JournalThread::Listener{
          .durable =
              [this, on_loop](uint64_t ticket, int64_t last_seq, int64_t wal_pages) {
                compactor_->Progressed(last_seq, wal_pages);
                on_loop([ticket](Pipeline& self) { self.Durable(ticket); });
              },
          .failed =
              [this, on_loop](const Status& why) {
                metrics_.journal_errors.Add();
                spdlog::error("the journal cannot be written; nothing is accepted until it can: {}",
                              MessageOf(why));
                on_loop([why](Pipeline& self) {
                  self.degraded_ = why;
                  if (absl::IsDataLoss(why)) self.options_.lost(why);
                });
              },
          .committed =
              [this](double seconds, size_t records) {
                metrics_.commit.Observe(seconds);
                metrics_.journal_records.Add(static_cast<double>(records));
              }});
}

Status Pipeline::Begin(Outside outside) {
  outside_ = std::move(outside);
  RETURN_IF_ERROR(BeginTerm());
  RETURN_IF_ERROR(StartCompactor());
  StartJournal();
  Keep(effects_);  // the commands of BeginTerm; their records are durable
  ArmTimer();
  return absl::OkStatus();
}

Status Pipeline::Stop() {
  Flush();
  return journal_->Drain();
}

void Pipeline::Feed(const Event& event) {
  const auto before = std::chrono::steady_clock::now();
  core_.Step(Now(), event, effects_);
  metrics_.step.Observe(
      std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count());
  Keep(effects_);
}

void Pipeline::Keep(Effects& effects) {
  for (Record& record : effects.records) {
    census_.Apply(record);
    Count(record);
    Log(LineOf(record, core_.state()));
    if (const auto* ended = std::get_if<JobFinished>(&record)) {
      if (const JobState* job = core_.state().FindJob(ended->job)) batch_.finished.push_back(*job);
    }
    batch_.records.push_back(std::move(record));
  }
  for (Command& command : effects.commands) Prepare(command);
  for (const Note& note : effects.notes) {
    metrics_.Observe(note);
    Log(LineOf(note));
  }
  const bool more = effects.more;
  effects.Clear();
  if (!batch_.empty() || !actions_.empty()) FlushSoon();
  if (more && !std::exchange(tick_posted_, true)) {
    // Behind whatever the sockets have ready, so that planning a long queue starves nobody.
    boost::asio::post(loop_, [weak = std::weak_ptr(self_)] {
      if (const auto self = weak.lock()) {
        (*self)->tick_posted_ = false;
        (*self)->Feed(ClockTicked{});
      }
    });
  }
}

// An agent that is refused tries again for as long as it lives, and says the same each time.
void Pipeline::Log(const std::optional<LogLine>& line) {
  if (!line || line->text == last_line_) return;
  last_line_ = line->text;
  line->warn ? spdlog::warn("{}", line->text) : spdlog::info("{}", line->text);
}

void Pipeline::Count(const Record& record) {
  if (const auto* ended = std::get_if<JobFinished>(&record)) {
    const JobState* job = core_.state().FindJob(ended->job);
    metrics_.JobEnded(ended->outcome, job != nullptr ? job->spec->tenant : "", ended->cost);
    if (job != nullptr) metrics_.Drew(job->spec->tenant, job->energy, job->energy_modelled);
  } else if (std::holds_alternative<JobAccepted>(record)) {
    metrics_.jobs_submitted.Add();
  } else if (std::holds_alternative<JobPlaced>(record) ||
             std::holds_alternative<ReplicaPlaced>(record)) {
    metrics_.placements.Add();
  } else if (std::holds_alternative<NodeLost>(record)) {
    metrics_.nodes_lost.Add();
  } else if (const auto* requeued = std::get_if<JobRequeued>(&record)) {
    metrics_.Requeued(requeued->reason);
  } else if (const auto* quarantined = std::get_if<DeviceQuarantined>(&record)) {
    metrics_.Quarantined(*quarantined);
  } else if (std::holds_alternative<ReplicaGone>(record)) {
    metrics_.Spent("deployments", census_.TakeReplicaCost());
    metrics_.Drew("deployments", census_.TakeReplicaEnergy(), true);
  }
}

void Pipeline::Prepare(Command& command) {
  Action action;
  if (auto* send = std::get_if<SendToAgent>(&command)) {
    action = outside_.prepare_send(std::move(*send));
  } else if (auto* routes = std::get_if<SendRoutes>(&command)) {
    action = outside_.prepare_routes(std::move(routes->table));
  } else if (const auto* reply = std::get_if<Reply>(&command)) {
    action = outside_.prepare_reply(*reply);
  } else if (const auto* ended = std::get_if<JobEnded>(&command)) {
    action = outside_.prepare_job_ended(ended->job);
  }
  if (action != nullptr) actions_.push_back(std::move(action));
}

void Pipeline::WhenDurable(Action action) {
  if (batch_.empty() && actions_.empty() && unsynced_.empty()) {
    action();
    return;
  }
  actions_.push_back(std::move(action));
  FlushSoon();
}

void Pipeline::FlushSoon() {
  if (std::exchange(flush_posted_, true)) return;
  boost::asio::post(loop_, [weak = std::weak_ptr(self_)] {
    if (const auto self = weak.lock()) (*self)->Flush();
  });
}

void Pipeline::Flush() {
  flush_posted_ = false;
  if (!batch_.empty()) {
    const uint64_t ticket = journal_->Push(std::exchange(batch_, {}));
    unsynced_.push_back({ticket, std::exchange(actions_, {})});
  } else if (unsynced_.empty()) {
    Perform(actions_);
  } else {
    auto& behind = unsynced_.back().actions;
    for (Action& action : actions_) behind.push_back(std::move(action));
    actions_.clear();
  }
  ArmTimer();
}

void Pipeline::Durable(uint64_t ticket) {
  if (degraded_) {
    spdlog::warn("the journal can be written again");
    degraded_.reset();
  }
  std::vector<Action> ready;
  while (!unsynced_.empty() && unsynced_.front().ticket <= ticket) {
    for (Action& action : unsynced_.front().actions) ready.push_back(std::move(action));
    unsynced_.pop_front();
  }
  Perform(ready);
}

void Pipeline::Perform(std::vector<Action>& actions) {
  // An action may feed the core (an answer that closes a connection, say) and so add to actions_.
  std::vector<Action> now = std::exchange(actions, {});
  for (Action& action : now) action();
  if (outside_.performed) outside_.performed();
}

void Pipeline::ArmTimer() {
  const std::optional<Time> next = core_.NextWakeup();
  if (!next || (armed_ && *armed_ <= *next)) return;
  armed_ = *next;
  timer_.After(std::max(Duration(0), *next - Now()), [this] {
    armed_.reset();
    Feed(ClockTicked{});
    ArmTimer();
  });
}

Status Pipeline::Accepting() const {
  if (degraded_) {
    return Unavailable("the journal cannot be written, so nothing can be promised: {}",
                       MessageOf(*degraded_));
  }
  if (journal_->waiting_records() > options_.waiting_records_max) {
    return Unavailable("{} records wait for the disk; try again in a second",
                       journal_->waiting_records());
  }
  return absl::OkStatus();
}

}  // namespace allot::scheduler
