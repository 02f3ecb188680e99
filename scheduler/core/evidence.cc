#include "scheduler/core/evidence.h"

#include <algorithm>
#include <iterator>

namespace allot::scheduler {
namespace {

bool Contains(const std::vector<PlaceId>& places, PlaceId place) {
  return std::binary_search(places.begin(), places.end(), place);
}

std::vector<PlaceId> Common(const std::vector<PlaceId>& a, const std::vector<PlaceId>& b) {
  std::vector<PlaceId> common;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(common));
  return common;
}

}  // namespace

void Evidence::Clear() {
  places_.clear();
  place_ids_.clear();
  kinds_.clear();
  turns_.clear();
  jobs_.clear();
  convicted_by_.clear();
}

PlaceId Evidence::Place(NodeId node, const std::string& device) {
  const auto [it, added] =
      place_ids_.try_emplace({node.value(), device}, static_cast<PlaceId>(places_.size()));
  if (added) {
    PlaceState& place = places_.emplace_back();
    place.node = node;
    place.device = device;
  }
  return it->second;
}

Evidence::Kind& Evidence::KindOf(uint64_t id) {
  const auto it = kinds_.find(id);
  if (it != kinds_.end()) {
    turns_.splice(turns_.end(), turns_, it->second.turn);
    return it->second;
  }
  if (kinds_.size() >= kKindsKept) {
    kinds_.erase(turns_.front());
    turns_.pop_front();
  }
  Kind& kind = kinds_[id];
  kind.turn = turns_.insert(turns_.end(), id);
  return kind;
}

Evidence::Entry& Evidence::EntryOf(const TaskRun& run) {
  std::list<Entry>& entries = KindOf(run.kind).entries;
  const auto it = std::find_if(entries.begin(), entries.end(), [&run](const Entry& e) {
    return e.whole == run.whole && e.devices == run.devices;
  });
  if (it != entries.end()) {
    entries.splice(entries.end(), entries, it);
    return *it;
  }
  if (entries.size() >= kPlacesOfAKindKept) entries.pop_front();
  Entry& entry = entries.emplace_back();
  entry.node = run.node;
  entry.whole = run.whole;
  entry.devices = run.devices;
  return entry;
}

void Evidence::Note(const TaskRun& run, Outcome outcome) {
  Entry& entry = EntryOf(run);
  if (entry.running == run.job) entry.running = JobId();
  // Of several at once on a node's processors the one that was placed last counts.
  if (entry.placed > run.placed) return;
  entry.outcome = outcome;
  entry.placed = run.placed;
}

void Evidence::Began(const TaskRun& run) {
  Entry& entry = EntryOf(run);
  entry.running = run.job;
  entry.running_placed = run.placed;
}

void Evidence::Ended(const TaskRun& run) {
  Entry& entry = EntryOf(run);
  if (entry.running == run.job) entry.running = JobId();
}

std::vector<PlaceId> Evidence::Well(const TaskRun& run) {
  Note(run, Outcome::kWell);
  std::vector<PlaceId> relieved;
  const auto relieve = [&](PlaceId place) {
    std::vector<Accuser>& accusers = places_[place].accusers;
    const auto refuted = [&run](const Accuser& a) { return a.placed <= run.placed; };
    const auto left = std::remove_if(accusers.begin(), accusers.end(), refuted);
    if (left == accusers.end()) return;
    accusers.erase(left, accusers.end());
    relieved.push_back(place);
  };
  // A convicted place is out of service: what ends well there was placed before.
  for (const PlaceId place : run.devices) {
    if (!Convicted(place)) relieve(place);
  }
  if (!Convicted(run.whole)) relieve(run.whole);
  for (const PlaceId place : ConvictedBy(run.kind)) {
    const bool here =
        whole(place) ? run.whole == place : run.devices.empty() || Contains(run.devices, place);
    if (!here) places_[place].trial = false;
  }
  return relieved;
}

void Evidence::Accuse(PlaceId id, const TaskRun& run, const std::vector<PlaceId>& parts, Time now,
                      uint32_t failures) {
  PlaceState& place = places_[id];
  if (place.needed > 0) return;  // Work from before the verdict.
  for (Accuser& accuser : place.accusers) {
    if (accuser.job != run.job) continue;
    accuser.parts = parts;
    // What went well there after its first attempt refutes the first attempt alone.
    accuser.placed = std::max(accuser.placed, run.placed);
    return;
  }
  place.accusers.push_back({run.job, run.kind, run.user, run.placed, now, parts});
  if (place.accusers.size() > failures) place.accusers.erase(place.accusers.begin());
}

std::vector<PlaceId> Evidence::KeepLast(uint32_t failures) {
  std::vector<PlaceId> relieved;
  for (PlaceId id = 0; id < places_.size(); ++id) {
    std::vector<Accuser>& accusers = places_[id].accusers;
    if (Convicted(id) || accusers.size() <= failures) continue;
    accusers.erase(accusers.begin(), accusers.end() - static_cast<std::ptrdiff_t>(failures));
    relieved.push_back(id);
  }
  return relieved;
}

bool Evidence::Retract(PlaceId place, JobId job) {
  std::vector<Accuser>& accusers = places_[place].accusers;
  return std::erase_if(accusers, [job](const Accuser& a) { return a.job == job; }) > 0;
}

std::vector<PlaceId> Evidence::Failed(const TaskRun& run, Time now, uint32_t failures) {
  Note(run, Outcome::kFailed);
  std::vector<PlaceId> relieved;
  const auto [it, first] = jobs_.try_emplace(run.job);
  Job& job = it->second;
  if (first) {
    job.devices = run.devices;
    job.whole = run.whole;
  } else {
    // What it leased each time it failed may be at fault; anything else is not.
    std::vector<PlaceId> common = Common(job.devices, run.devices);
    for (const PlaceId place : job.devices) {
      if (!Contains(common, place) && Retract(place, run.job)) relieved.push_back(place);
    }
    job.devices = std::move(common);
    if (job.one_node && job.whole != run.whole) {
      job.one_node = false;
      if (Retract(job.whole, run.job)) relieved.push_back(job.whole);
    }
  }
  for (const PlaceId place : job.devices) Accuse(place, run, job.devices, now, failures);
  if (job.one_node) Accuse(run.whole, run, job.devices, now, failures);
  return relieved;
}

// Of a node: jobs on its processors accuse it, and jobs on devices only together, as far as no
// single device explains them. On a wide node the device with a part in most failures may have one
// in half of them, so that one bad device and a stray failure beside it do not cost all the others.
bool Evidence::NoDeviceExplains(PlaceId place) const {
  const std::vector<Accuser>& accusers = places_[place].accusers;
  std::map<PlaceId, size_t> parts;
  size_t most = 0;
  for (const Accuser& accuser : accusers) {
    for (const PlaceId part : accuser.parts) most = std::max(most, ++parts[part]);
  }
  const size_t others = accusers.size() - most;
  const bool wide = places_[place].accelerators > 2;
  return others >= (wide ? std::max<size_t>((accusers.size() + 1) / 2, 1) : 1);
}

bool Evidence::Suspect(PlaceId place) const {
  return whole(place) ? NoDeviceExplains(place) : !places_[place].accusers.empty();
}

std::vector<uint64_t> Evidence::KindsOf(PlaceId place) const {
  std::vector<uint64_t> kinds;
  for (const Accuser& accuser : places_[place].accusers) kinds.push_back(accuser.kind);
  std::sort(kinds.begin(), kinds.end());
  kinds.erase(std::unique(kinds.begin(), kinds.end()), kinds.end());
  return kinds;
}

Elsewhere Evidence::Count(PlaceId id, const std::vector<uint64_t>& kinds, Time since) const {
  const PlaceState& place = places_[id];
  Elsewhere count;
  for (const uint64_t kind : kinds) {
    const auto it = kinds_.find(kind);
    if (it == kinds_.end()) continue;
    for (const Entry& entry : it->second.entries) {
      const bool here = whole(id) ? entry.node == place.node : Contains(entry.devices, id);
      // Work on processors says nothing about accelerators.
      if (here || (!whole(id) && entry.devices.empty())) continue;
      if (entry.running.valid() && entry.running_placed <= since) {
        ++count.outlived;
        continue;
      }
      if (entry.outcome == Outcome::kWell) ++count.well;
      if (entry.outcome != Outcome::kFailed) continue;
      // A verdict on that place explains its failures already.
      const bool explained = Convicted(entry.whole) ||
                             std::any_of(entry.devices.begin(), entry.devices.end(),
                                         [this](PlaceId device) { return Convicted(device); });
      count.failing += !explained;
    }
  }
  return count;
}

Elsewhere Evidence::CountElsewhere(PlaceId place) const {
  const std::vector<Accuser>& accusers = places_[place].accusers;
  return Count(place, KindsOf(place), accusers.empty() ? Time() : accusers.back().placed);
}

bool Evidence::Guilty(PlaceId place, uint32_t failures,
                      const std::function<bool(PlaceId)>& alternative) const {
  const std::vector<Accuser>& accusers = places_[place].accusers;
  if (failures == 0 || accusers.size() < failures) return false;
  if (whole(place) && !NoDeviceExplains(place)) return false;
  const Elsewhere elsewhere = CountElsewhere(place);
  if (elsewhere.known()) return elsewhere.better();
  // Nobody knows. Two users are not likely to be wrong in the same way.
  const Accuser& last = accusers.back();
  for (const Accuser& accuser : accusers) {
    if (accuser.user != last.user) return true;
  }
  // The last one came here although the others had failed, so nothing better was free. Jobs that
  // were placed together, before anybody knew, are no trial of anything.
  for (const Accuser& accuser : accusers) {
    if (accuser.job != last.job && accuser.failed > last.placed) return false;
  }
  return alternative(place);
}

bool Evidence::Believable(PlaceId place, const TaskRun& run) const {
  const auto it = jobs_.find(run.job);
  if (it != jobs_.end()) {
    const Job& job = it->second;
    if (whole(place) ? !job.one_node : !Contains(job.devices, place)) return false;
  }
  return Count(place, {run.kind}, run.placed).better();
}

void Evidence::Convict(PlaceId id, uint32_t needed) {
  const Elsewhere elsewhere = CountElsewhere(id);
  PlaceState& place = places_[id];
  place.needed = needed;
  place.trial = elsewhere.well == 0;
  place.kinds = KindsOf(id);
  for (const uint64_t kind : place.kinds) convicted_by_[kind].insert(id);
  // The verdict explains these failures; they say nothing about the node any more.
  const auto node = place_ids_.find({place.node.value(), std::string()});
  if (node == place_ids_.end()) return;
  std::erase_if(places_[node->second].accusers,
                [id](const Accuser& a) { return Contains(a.parts, id); });
}

std::vector<PlaceId> Evidence::ConvictedBy(uint64_t kind) const {
  const auto it = convicted_by_.find(kind);
  if (it == convicted_by_.end()) return {};
  return {it->second.begin(), it->second.end()};
}

bool Evidence::Refuted(PlaceId id) const {
  const PlaceState& place = places_[id];
  if (place.needed == 0) return false;
  if (place.accusers.size() < place.needed) return true;
  if (!place.trial) return false;
  return !CountElsewhere(id).better();
}

void Evidence::Acquit(PlaceId id) {
  PlaceState& place = places_[id];
  for (const uint64_t kind : place.kinds) {
    const auto it = convicted_by_.find(kind);
    if (it == convicted_by_.end()) continue;
    it->second.erase(id);
    if (it->second.empty()) convicted_by_.erase(it);
  }
  place.kinds.clear();
  place.accusers.clear();
  place.needed = 0;
}

}  // namespace allot::scheduler
