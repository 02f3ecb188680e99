#include "simulator/checkers/black_hole.h"

#include <algorithm>

namespace allot::simulator {

void BlackHole::Kept(const scheduler::Record& record) {
  std::visit([this](const auto& r) { On(r); }, record);
}

void BlackHole::PutBack(const std::vector<scheduler::Record>& journal) {
  using namespace scheduler;
  nodes_.clear();
  registered_.clear();
  jobs_.clear();
  // What is there, and nothing of how it went.
  for (const Record& record : journal) {
    std::visit(
        [this]<class R>(const R& r) {
          if constexpr (std::is_same_v<R, PolicySet> || std::is_same_v<R, NodeRegistered> ||
                        std::is_same_v<R, JobAccepted> || std::is_same_v<R, JobPlaced> ||
                        std::is_same_v<R, TaskStarted> || std::is_same_v<R, JobStopping> ||
                        std::is_same_v<R, JobFinished>)
            On(r);
        },
        record);
  }
  Forget();
}

void BlackHole::Opened(const std::string& node, const std::string& device, Time at) {
  open_ = true;
  node_name_ = node;
  device_ = device;
  since_ = at;
  eaten_.clear();
  due_ = false;
}

// What the scheduler does not know any more.
void BlackHole::Forget() {
  eaten_.clear();
  due_ = false;
  said_.clear();
  failed_at_.clear();
  failed_.clear();
}

void BlackHole::On(const scheduler::PolicySet& r) {
  knobs_ = r.policy->quarantine;
  eaten_.clear();  // Of how many were kept so far nobody knows.
  due_ = false;
  if (knobs_.failures == 0) Forget();
}

void BlackHole::On(const scheduler::NodeRegistered& r) {
  nodes_[r.node] = r.info;
  registered_[r.node] = r.at;
}

bool BlackHole::In(const Spot& spot) const {
  const auto it = nodes_.find(spot.node);
  if (!open_ || it == nodes_.end() || it->second->name != node_name_) return false;
  return device_.empty() ||
         std::find(spot.devices.begin(), spot.devices.end(), device_) != spot.devices.end();
}

// Is it known that the work runs elsewhere, and does it fail nowhere?
bool BlackHole::Elsewhere() const {
  bool well = false;
  for (const auto& [spot, said] : said_) {
    if (In(spot)) {
      // Of a node: work that it has not eaten, or that is no witness, failed on a device of it, which
      // to the rule is another place where the work fails.
      const auto eaten_here = [&spot = spot](const Eaten& eaten) {
        return eaten.devices == spot.devices;
      };
      if (device_.empty() && said.failed && std::none_of(eaten_.begin(), eaten_.end(), eaten_here))
        return false;
      continue;
    }
    if (said.failed) return false;
    well |= device_.empty() || !spot.devices.empty();
  }
  // So many spots of a kind are remembered; see the scheduler's evidence.h.
  return well && said_.size() <= 32;
}

// Of a node: no single device had a part in more than half of what failed there.
bool BlackHole::NoDeviceExplains() const {
  if (!device_.empty()) return true;
  std::map<std::string, size_t> parts;
  size_t most = 0;
  for (const Eaten& eaten : eaten_) {
    for (const std::string& device : eaten.devices) most = std::max(most, ++parts[device]);
  }
  return eaten_.size() - most >= std::max<size_t>((eaten_.size() + 1) / 2, 1);
}

void BlackHole::On(const scheduler::DeviceQuarantined& r) {
  if (r.strikes == 1 && r.why.starts_with("the last")) {
    const size_t jobs = failed_[{r.node, r.device}].size();
    if (jobs < knobs_.failures)
      findings_.Add(kName, "{} of node {} quarantined after {} of {} jobs", r.device,
                    r.node.value(), jobs, knobs_.failures);
  }
  if (!open_ || nodes_[r.node]->name != node_name_) return;
  if (r.device != device_ && !r.device.empty()) {
    // Of a node: what failed on that device is explained.
    std::erase_if(eaten_, [&](const Eaten& e) {
      return std::find(e.devices.begin(), e.devices.end(), r.device) != e.devices.end();
    });
    due_ = due_ && eaten_.size() >= knobs_.failures;
    return;
  }
  if (!eaten_.empty() && r.strikes > 0) ++found_out_;
  due_ = false;
  eaten_.clear();
}

// From here on the next job decides, and the lease ledger sees to it that there is but one.
void BlackHole::On(const scheduler::DeviceOnProbation& r) {
  failed_[{r.node, r.device}].clear();
  if (!open_ || nodes_[r.node]->name != node_name_) return;
  due_ = false;
  eaten_.clear();
  // Only of what is placed from now on.
  if (r.device.empty() || r.device == device_) since_ = std::max(since_, r.at);
}

void BlackHole::On(const scheduler::DeviceCleared& r) {
  failed_[{r.node, r.device}].clear();
  if (!open_ || nodes_[r.node]->name != node_name_) return;
  due_ = false;
  eaten_.clear();
}

void BlackHole::On(const scheduler::JobAccepted& r) {
  jobs_[r.job].spec = r.spec;
  // Of its words all but the last two, which are numbers of the simulator's.
  Kind kind{r.user.empty() ? r.spec->tenant : r.user, r.spec->command};
  kind.second.resize(kind.second.size() - std::min<size_t>(kind.second.size(), 2));
  if (!kind_) kind_ = kind;
  one_kind_ = one_kind_ && kind == *kind_;
}

void BlackHole::On(const scheduler::JobPlaced& r) {
  Job& job = jobs_[r.job];
  job.placed = r.at;
  job.stopping = false;
  job.spots.clear();
  job.started.assign(r.tasks.size(), Time());
  for (const scheduler::TaskPlacement& task : r.tasks) {
    Spot& spot = job.spots.emplace_back();
    spot.node = task.node;
    task.devices.ForEach(
        [&](uint32_t i) { spot.devices.push_back(nodes_[task.node]->devices[i].id); });
    std::sort(spot.devices.begin(), spot.devices.end());
    if (due_ && In(spot))
      findings_.Add(kName, "{} placed on {} {}, which has failed {} jobs since it turned bad",
                    ToString(r.job), node_name_, device_, eaten_.size());
  }
}

void BlackHole::On(const scheduler::TaskStarted& r) {
  jobs_[r.key.task.job].started[r.key.task.index] = r.at;
}

void BlackHole::On(const scheduler::TaskExited& r) {
  const auto it = jobs_.find(r.key.task.job);
  if (it == jobs_.end()) return;
  const Job& job = it->second;
  Spot spot = job.spots[r.key.task.index];
  if (job.stopping || job.spec->runtime == TaskRuntime::kNoop || knobs_.failures == 0) return;
  // Of devices that are gone meanwhile nobody knows any more.
  const bool processors = spot.devices.empty();
  std::erase_if(spot.devices, [&](const std::string& id) {
    const auto& devices = nodes_[spot.node]->devices;
    return std::none_of(devices.begin(), devices.end(),
                        [&](const Device& d) { return d.id == id; });
  });
  if (!processors && spot.devices.empty()) return;
  const Time started = job.started[r.key.task.index];
  Duration lived = started == Time() ? Duration{} : r.at - started;
  if (r.exit.started != Time()) lived = std::min(lived, r.exit.finished - r.exit.started);
  const bool well = r.exit.succeeded() || lived >= knobs_.within;
  // Told by a registration, which is no evidence, or after one at the same moment, which is.
  if (registered_[spot.node] == r.at) {
    if (!well) MayHaveFailed(r.key.task.job, spot);
    return;
  }
  if (well) return Well(job, spot);
  Failed(r.key.task.job, job, spot, r.exit.code);
}

void BlackHole::Well(const Job& job, const Spot& spot) {
  Said& said = said_[spot];
  if (said.placed <= job.placed) said = {job.placed, false};
  if (!In(spot)) return;
  std::erase_if(eaten_, [&](const Eaten& eaten) { return eaten.placed <= job.placed; });
}

void BlackHole::MayHaveFailed(JobId id, const Spot& spot) {
  failed_[{spot.node, ""}].insert(id);
  for (const std::string& device : spot.devices) failed_[{spot.node, device}].insert(id);
}

void BlackHole::Failed(JobId id, const Job& job, const Spot& spot, int32_t code) {
  Said& said = said_[spot];
  if (said.placed <= job.placed) said = {job.placed, true};
  MayHaveFailed(id, spot);
  std::set<Spot>& spots = failed_at_[id];
  spots.insert(spot);
  // A job that fails in several spots is no witness here, though it may be one for the scheduler.
  if (spots.size() > 1) {
    std::erase_if(eaten_, [id](const Eaten& eaten) { return eaten.job == id; });
    return;
  }
  if (!In(spot) || code != kCode || job.placed < since_) return;
  if (std::any_of(eaten_.begin(), eaten_.end(), [id](const Eaten& e) { return e.job == id; }))
    return;
  eaten_.push_back({id, job.placed, spot.devices});
  if (eaten_.size() > knobs_.failures) eaten_.erase(eaten_.begin());
  if (eaten_.size() >= knobs_.failures && one_kind_ && Elsewhere() && NoDeviceExplains())
    due_ = true;
}

}  // namespace allot::simulator
