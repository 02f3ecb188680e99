#include "scheduler/core/planner.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"

namespace allot::scheduler {

void Planner::FindHolders() {
  const std::vector<Holder> before = std::exchange(holders_, {});
  PendingQueue& queue = ledger_.queue();
  const Duration after = ledger_.state().policy()->queue.head_hold_after;
  uint32_t looked_at = 0;
  for (const auto& [id, line_id] : queue.by_age()) {
    if (++looked_at > kHeadsLookedAt) break;
    const JobState& job = *ledger_.state().FindJob(id);
    if (ledger_.now - job.submitted < after) break;  // So are all after it.
    if (ledger_.now - job.queued < after) continue;
    const Line& line = queue.line(line_id);
    const int64_t rank = queue.RankOf(line.tenant);
    // An older one of a better rank holds all that this one would.
    if (std::any_of(holders_.begin(), holders_.end(),
                    [rank](const Holder& h) { return h.rank <= rank; }))
      continue;
    Shape& shape = queue.shape(line.shape);
    Resolve(ledger_.classes(), shape.demand);
    if (shape.possible_version != ledger_.index().capacity_version()) {
      shape.possible_version = ledger_.index().capacity_version();
      shape.possible = ledger_.index().PossibleWhenEmpty(shape.demand);
      work_ += ledger_.index().node_count() / 8;
    }
    // Devices kept free for what cannot run on them anyway would help nobody.
    if (!shape.possible) continue;
    Holder& holder = holders_.emplace_back();
    holder.job = id;
    holder.rank = rank;
    // One that lacks nothing but power waits for what any lease takes: were it not kept free, small
    // jobs on whatever devices would take it away for ever.
    bool all = false;
    if (shape.refused_power) {
      all = ledger_.index().WaitsForPowerAlone(shape.demand);
      work_ += ledger_.index().node_count() / 8;
    }
    holder.classes.assign(ledger_.classes().size(), all);
    for (const DemandOption& option : shape.demand.options) {
      for (const ClassId c : option.classes) holder.classes[c] = true;
    }
  }
  const bool standings = queue.standings() != std::exchange(standings_seen_, queue.standings());
  holders_changed_ |= standings || holders_ != before;
}

// Held lines wait for their holder, not for room. When it goes without taking its place (cancelled,
// or impossible since a node was lost), keeps less than before (it lacks more than power now), or
// may not hold them any more since the ranks of tenants have changed, no room grows, and nothing
// else would let them go.
bool Planner::LetGo() {
  PendingQueue& queue = ledger_.queue();
  if (!queue.AnyHeld()) return false;
  if (queue.standings() != standings_seen_) FindHolders();
  if (!std::exchange(holders_changed_, false)) return false;
  return queue.ReleaseHeldIf([&](const Line& line) {
    ++looked_at_;
    const std::vector<bool>* kept = ExcludedFor(line, queue.shape(line.shape).demand);
    if (kept == nullptr) return true;
    for (size_t c = 0; c < line.kept.size(); ++c) {
      if (line.kept[c] && !(*kept)[c]) return true;
    }
    return false;
  });
}

bool Planner::Holds(const Holder& holder, JobId job, int64_t rank, const Demand& demand) {
  if (job <= holder.job || rank < holder.rank) return false;
  return std::any_of(
      demand.options.begin(), demand.options.end(), [&holder](const DemandOption& option) {
        return std::any_of(option.classes.begin(), option.classes.end(), [&holder](ClassId c) {
          return c < holder.classes.size() && holder.classes[c];
        });
      });
}

const std::vector<bool>* Planner::ExcludedFor(const Line& line, const Demand& demand) {
  bool any = false;
  const int64_t rank = ledger_.queue().RankOf(line.tenant);
  for (const Holder& holder : holders_) {
    if (!Holds(holder, line.first(), rank, demand)) continue;
    if (!any) excluded_.assign(ledger_.classes().size(), false);
    any = true;
    for (ClassId c = 0; c < holder.classes.size(); ++c) {
      if (holder.classes[c]) excluded_[c] = true;
    }
  }
  return any ? &excluded_ : nullptr;
}

JobId Planner::HeldFor(const JobState& job) const {
  const Line* line = ledger_.queue().FindLineOf(job);
  if (line == nullptr) return JobId();
  const int64_t rank = ledger_.queue().RankOf(line->tenant);
  const Demand& demand = ledger_.queue().shape(line->shape).demand;
  const auto holder = std::find_if(holders_.begin(), holders_.end(),
                                   [&](const Holder& h) { return Holds(h, job.id, rank, demand); });
  return holder == holders_.end() ? JobId() : holder->job;
}

// True if there is anything to look at again.
bool Planner::BeginRound() {
  PendingQueue& queue = ledger_.queue();
  const bool grown = ledger_.index().AnyGrown();
  if (!grown) return false;
  const std::vector<ClassId> classes = ledger_.index().TakeGrown();
  recheck_.clear();
  rechecked_ = 0;
  for (const ShapeId id : queue.BlockedShapes()) {
    const Demand& demand = queue.shape(id).demand;
    // A class that is new to the demand may match it, so it is looked at again.
    bool concerned = demand.classes_seen != ledger_.classes().size();
    for (const DemandOption& option : demand.options) {
      for (const ClassId c : option.classes)
        concerned |= std::binary_search(classes.begin(), classes.end(), c);
    }
    if (concerned) recheck_.push_back(id);
  }
  work_ += recheck_.size() / 16;
  const bool held = queue.AnyHeld();
  if (held) queue.ReleaseHeld();
  return held || !recheck_.empty();
}

// Of the search just made, which found nothing. A holder of that shape keeps all classes from here
// on and not only those it wants: whoever is tried next must already find them kept.
void Planner::NoteRefusal(Shape& shape) {
  const bool power = ledger_.search().refused_power();
  holders_stale_ |= power && !shape.refused_power;
  shape.refused_power = power;
}

// Unblocks those of the round that may fit now; true when it has looked at all.
bool Planner::Recheck() {
  PendingQueue& queue = ledger_.queue();
  while (rechecked_ < recheck_.size()) {
    if (Spent()) return false;
    const ShapeId id = recheck_[rechecked_++];
    Shape& shape = queue.shape(id);
    if (!shape.blocked || shape.lines.empty()) continue;
    Resolve(ledger_.classes(), shape.demand);
    ++work_;
    if (ledger_.search().MayFit(shape.demand, {})) {
      queue.Unblock(id);
    } else {
      NoteRefusal(shape);
    }
  }
  return true;
}

// When one shape does not fit, something has become scarce, and many others will not either:
// telling so from bucket sizes is far cheaper than letting each have its turn.
void Planner::BlockHopeless() {
  if (!std::exchange(scarcer_, false)) return;
  PendingQueue& queue = ledger_.queue();
  hopeless_.clear();
  for (const ShapeId id : queue.open_shapes()) {
    Shape& shape = queue.shape(id);
    Resolve(ledger_.classes(), shape.demand);
    if (ledger_.search().MayFit(shape.demand, {})) continue;
    NoteRefusal(shape);
    hopeless_.push_back(id);
  }
  work_ += queue.open_shapes().size() / 16;
  for (const ShapeId id : hopeless_) queue.Block(id);
}

bool Planner::Try(LineId id, Effects& out) {
  PendingQueue& queue = ledger_.queue();
  const Line& line = queue.line(id);
  Shape& shape = queue.shape(line.shape);
  Resolve(ledger_.classes(), shape.demand);
  PlacementSearch::Limits limits;
  limits.excluded = ExcludedFor(line, shape.demand);
  ++tried_;
  work_ += kWorkPerTry;
  std::optional<PlacementSearch::Found> found;
  if (ledger_.search().MayFit(shape.demand, limits))
    found = ledger_.search().Find(shape.demand, limits, work_);
  if (!found) {
    if (limits.excluded != nullptr) {
      queue.Hold(id, *limits.excluded);
    } else {
      NoteRefusal(shape);
      queue.Block(line.shape);
    }
    BlockHopeless();
    return false;
  }
  shape.refused_power = false;
  Place(*ledger_.state().FindJob(line.first()), *std::move(found), out);
  return true;
}

// Ports go round with job and attempt, so that a gang does not meet the one before it in TIME_WAIT;
// one that another gang's first rank uses on the node is passed over.
uint16_t Planner::PortFor(const JobState& job, NodeId node) const {
  const CoreOptions& options = ledger_.options();
  const uint64_t ports = uint64_t{options.task_port_max} - options.task_port_min + 1;
  const std::vector<TaskKey>& tasks = ledger_.state().FindNode(node)->tasks;
  uint64_t turn = job.id.value() + job.attempt.value();
  uint16_t port = 0;
  const auto used = [&](const TaskKey& key) {
    return key.task.index == 0 && ledger_.state().FindJob(key.task.job)->main_port == port;
  };
  for (uint64_t tries = 0; tries <= tasks.size(); ++tries) {
    port = static_cast<uint16_t>(options.task_port_min + turn++ % ports);
    if (std::none_of(tasks.begin(), tasks.end(), used)) break;
  }
  return port;
}

void Planner::Place(const JobState& job, PlacementSearch::Found found, Effects& out) {
  const JobId id = job.id;
  JobPlaced record;
  record.at = ledger_.now;
  record.job = id;
  record.attempt = Attempt(job.attempt.value() + 1, ledger_.state().incarnation());
  record.tasks = std::move(found.tasks);
  record.alternative = found.alternative;
  record.price = found.price;
  record.main_port = PortFor(job, record.tasks.front().node);
  if (job.spec->at_most_one && job.spec->runtime == TaskRuntime::kProcess)
    record.terms = ledger_.options().task_lease;
  work_ += kWorkPerTask * record.tasks.size();
  ++placed_;
  scarcer_ = true;
  out.notes.push_back(JobWaited{job.spec->tenant, ledger_.now - job.queued});
  ledger_.Remember(std::move(record), out);
  for (uint32_t rank = 0; rank < job.tasks.size(); ++rank) {
    delivery_.Push(Delivery::Kind::kStartTask, job.tasks[rank].placement.node,
                   TaskKey{TaskId{id, rank}, job.attempt});
  }
  const bool held_others =
      std::any_of(holders_.begin(), holders_.end(), [id](const Holder& h) { return h.job == id; });
  if (held_others) {
    FindHolders();
    ledger_.queue().ReleaseHeld();
  }
}

bool Planner::Run(Effects& out) {
  PendingQueue& queue = ledger_.queue();
  work_ = tried_ = placed_ = 0;
  scarcer_ = true;
  if (queue.size() == 0) {  // Nobody is blocked, so nobody is to be told what grew.
    ledger_.index().TakeGrown();
    return false;
  }
  if (queue.AnyHeld()) {  // Time has passed, and nodes may have gone.
    FindHolders();
    LetGo();
  }
  if (!queue.AnyReady() && !ledger_.index().AnyGrown() && rechecked_ == recheck_.size())
    return false;
  FindHolders();
  bool more = false;
  while (true) {
    if (std::exchange(holders_stale_, false)) FindHolders();
    if (!Recheck()) {
      more = true;
      break;
    }
    const std::optional<LineId> line = queue.Next(looked_at_);
    if (!line) {
      if (!BeginRound() && !LetGo()) break;
      continue;
    }
    work_ += looked_at_ / 16;
    looked_at_ %= 16;
    if (Spent()) {
      more = true;
      break;
    }
    Try(*line, out);
  }
  if (tried_ > 0) out.notes.push_back(PlanningStopped{placed_, tried_, more});
  return more;
}

}  // namespace allot::scheduler
