#include "scheduler/core/quarantine.h"

#include <algorithm>
#include <cctype>

#include "scheduler/core/answer.h"

namespace allot::scheduler {
namespace {

constexpr size_t kJobsNamed = 5;

class Hash {
 public:
  void Add(std::string_view text) {
    for (const char c : text) Mix(static_cast<unsigned char>(c));
    Mix(0);
  }
  uint64_t value() const { return value_; }

 private:
  void Mix(uint64_t byte) { value_ = (value_ ^ byte) * 0x100000001b3; }
  uint64_t value_ = 0xcbf29ce484222325;
};

uint64_t UserOf(const JobState& job) {
  Hash hash;
  hash.Add(job.user.empty() ? job.spec->tenant : job.user);
  return hash.value();
}

// Who submitted it and what it runs: up to two words of the command, before options and numbers,
// which differ within a sweep. "python train.py", "sh", "torchrun".
uint64_t KindOf(const JobState& job) {
  Hash hash;
  hash.Add(job.user.empty() ? job.spec->tenant : job.user);
  const std::vector<std::string>& command = job.spec->command;
  for (size_t i = 0; i < std::min<size_t>(command.size(), 2); ++i) {
    const std::string& word = command[i];
    const bool varies = word[0] == '-' || std::isdigit(static_cast<unsigned char>(word[0])) != 0;
    if (i > 0 && varies) break;
    hash.Add(word);
  }
  return hash.value();
}

bool OnProcessors(const JobState& job, const NodeState& node) {
  if (job.spec->devices.empty()) return true;
  if (job.alternative >= job.spec->devices.size()) return false;
  const DeviceRequest& request = job.spec->devices[job.alternative];
  if (!MeansProcessor(request)) return false;
  return std::any_of(node.info->devices.begin(), node.info->devices.end(), [&](const Device& d) {
    return d.kind == DeviceKind::kCpu && Matches(request, d);
  });
}

// Within `within` of its start, by the node's clock or by ours: one may have been set meanwhile,
// and the other has waited for the report.
bool Early(const TaskState& task, Duration within, Time now) {
  const TaskExit& exit = *task.exit;
  Duration lived = now - task.started;
  if (exit.started != Time()) lived = std::min(lived, exit.finished - exit.started);
  return lived < within;
}

// Accelerators that are quarantined for failing jobs, and all.
std::pair<uint32_t, uint32_t> FailingDevices(const NodeState& node) {
  uint32_t all = 0, failing = 0;
  for (const Device& device : node.info->devices) {
    if (device.kind == DeviceKind::kCpu) continue;
    ++all;
    const auto it = node.quarantines.find(device.id);
    failing += it != node.quarantines.end() && !it->second.probation && it->second.strikes > 0;
  }
  return {failing, all};
}

bool TooMany(uint32_t failing, uint32_t all) { return failing >= 2 && failing * 2 >= all; }

Duration Span(Duration first, uint32_t strikes) {
  Duration span = first;
  for (uint32_t i = 1; i < strikes && span < QuarantineMachine::kLongest; ++i) span *= 2;
  return std::min(span, std::max(first, QuarantineMachine::kLongest));
}

}  // namespace

// ---- an operator's word -----------------------------------------------------------------------

void QuarantineMachine::Request(const DeviceServiceRequested& event, Effects& out) {
  const NodeState* node = ledger_.state().FindNode(event.node);
  if (node == nullptr) {
    return Answer(event.token,
                  NotFound("there is no node \"{}\"; `allot nodes` lists them", event.node),
                  JobId(), out);
  }
  const std::vector<Device>& devices = node->info->devices;
  const bool known =
      event.device.empty() || std::any_of(devices.begin(), devices.end(),
                                          [&](const Device& d) { return d.id == event.device; });
  const auto held = node->quarantines.find(event.device);
  // One that is gone may still be given back.
  if (!known && held == node->quarantines.end()) {
    return Answer(event.token,
                  NotFound("node {} has no device \"{}\"; `allot devices` lists them", event.node,
                           event.device),
                  JobId(), out);
  }
  const PlaceId place = evidence_.Place(node->id, event.device);
  if (event.in_service) {
    if (held != node->quarantines.end()) Clear(place, out);
  } else if (held == node->quarantines.end() || held->second.probation ||
             held->second.until < kTimeMax) {
    const std::string why =
        event.user.empty() ? "taken out of service" : "taken out of service by " + event.user;
    evidence_.Acquit(place);
    ledger_.Remember(DeviceQuarantined{ledger_.now, node->id, event.device, kTimeMax, 0, why}, out);
    Point(node->id);
  }
  Answer(event.token, absl::OkStatus(), JobId(), out);
}

void QuarantineMachine::TakeIn(NodeId id, Effects& out) {
  if (ledger_.state().FindNode(id)->quarantines.contains("")) Clear(evidence_.Place(id, ""), out);
}

// ---- tasks as evidence ------------------------------------------------------------------------

const std::vector<PlaceId>& QuarantineMachine::PlacesOf(const NodeState& node) {
  if (node.id.value() > nodes_.size()) nodes_.resize(node.id.value());
  NodePlaces& places = nodes_[node.id.value() - 1];
  if (places.info != node.info) {
    places.info = node.info;
    places.whole = evidence_.Place(node.id, "");
    places.devices.clear();
    uint32_t accelerators = 0;
    for (const Device& device : node.info->devices) {
      places.devices.push_back(evidence_.Place(node.id, device.id));
      accelerators += device.kind != DeviceKind::kCpu;
    }
    evidence_.SetAccelerators(places.whole, accelerators);
  }
  return places.devices;
}

std::optional<TaskRun> QuarantineMachine::RunOf(const JobState& job, uint32_t rank) {
  if (job.spec->runtime == TaskRuntime::kNoop || !On()) return std::nullopt;
  const TaskPlacement& placement = job.tasks[rank].placement;
  const NodeState& node = *ledger_.state().FindNode(placement.node);
  // What it leased may be gone from the node since; then nobody knows where it ran.
  if (placement.devices.Empty() && !OnProcessors(job, node)) return std::nullopt;
  TaskRun run;
  run.job = job.id;
  run.kind = KindOf(job);
  run.user = UserOf(job);
  run.placed = job.placed;
  run.node = node.id;
  const std::vector<PlaceId>& places = PlacesOf(node);
  run.whole = nodes_[node.id.value() - 1].whole;
  placement.devices.ForEach([&](uint32_t i) { run.devices.push_back(places[i]); });
  std::sort(run.devices.begin(), run.devices.end());
  return run;
}

const Quarantine* QuarantineMachine::Held(PlaceId place) const {
  const auto& held = ledger_.state().FindNode(evidence_.node(place))->quarantines;
  const auto it = held.find(evidence_.device(place));
  return it == held.end() ? nullptr : &it->second;
}

Time QuarantineMachine::SurvivesAt(const TaskState& task) const {
  return task.started + ledger_.state().policy()->quarantine.within + kToldWithin;
}

void QuarantineMachine::Started(const JobState& job, uint32_t rank) {
  const std::optional<TaskRun> run = RunOf(job, rank);
  if (!run) return;
  evidence_.Began(*run);
  const auto awaited = [this](PlaceId place) {
    return evidence_.Suspect(place) || Held(place) != nullptr;
  };
  if (!awaited(run->whole) && std::none_of(run->devices.begin(), run->devices.end(), awaited))
    return;
  survive_.insert({SurvivesAt(job.tasks[rank]), TaskKey{TaskId{job.id, rank}, job.attempt}});
}

void QuarantineMachine::Exited(const JobState& job, uint32_t rank, bool own, Effects& out) {
  std::optional<TaskRun> run = RunOf(job, rank);
  if (!run) return;
  const TaskState& task = job.tasks[rank];
  Unwatch(job, rank);
  if (!own || registering_) return evidence_.Ended(*run);
  if (OfTheNode(task.exit->cause)) {
    if (task.exit->cause == ExitCause::kNodeRestarted) return evidence_.Ended(*run);
    evidence_.Ended(*run);
    run->devices.clear();
    return Failed(*run, out);
  }
  const bool early = Early(task, ledger_.state().policy()->quarantine.within, ledger_.now);
  task.exit->succeeded() || !early ? WentWell(*run, out) : Failed(*run, out);
}

void QuarantineMachine::Abandoned(const JobState& job, uint32_t rank) {
  if (const std::optional<TaskRun> run = RunOf(job, rank)) evidence_.Ended(*run);
  Unwatch(job, rank);
}

void QuarantineMachine::Unanswered(const JobState& job, uint32_t rank, Effects& out) {
  std::optional<TaskRun> run = RunOf(job, rank);
  if (!run) return;
  run->devices.clear();
  Failed(*run, out);
}

void QuarantineMachine::Unwatch(const JobState& job, uint32_t rank) {
  survive_.erase({SurvivesAt(job.tasks[rank]), TaskKey{TaskId{job.id, rank}, job.attempt}});
}

// Deployments are no evidence, but a server that answers shows that its devices work.
void QuarantineMachine::ReplicaReady(const ReplicaState& replica, Effects& out) {
  const NodeState& node = *ledger_.state().FindNode(replica.placement.node);
  if (node.quarantines.empty()) return;
  std::vector<PlaceId> places;
  replica.placement.devices.ForEach([&](uint32_t i) { places.push_back(PlacesOf(node)[i]); });
  places.push_back(evidence_.Place(node.id, ""));
  for (const PlaceId place : places) {
    const Quarantine* held = Held(place);
    if (held != nullptr && held->probation && replica.placed >= held->since) Clear(place, out);
  }
}

void QuarantineMachine::WentWell(const TaskRun& run, Effects& out) {
  const bool relieved = !evidence_.Well(run).empty();
  std::vector<PlaceId> places = run.devices;
  places.push_back(run.whole);
  for (const PlaceId place : places) {
    const Quarantine* held = Held(place);
    if (held != nullptr && held->probation && run.placed >= held->since) Clear(place, out);
  }
  if (relieved) Point(run.node);
}

void QuarantineMachine::Failed(const TaskRun& run, Effects& out) {
  const std::vector<PlaceId> unsaid =
      evidence_.Failed(run, ledger_.now, ledger_.state().policy()->quarantine.failures);
  for (const PlaceId place : run.devices) Judge(place, run, out);
  Judge(run.whole, run, out);
  std::set<NodeId> touched{run.node};
  for (const PlaceId place : unsaid) touched.insert(evidence_.node(place));
  // What it says about its kind of work may take back what was said elsewhere.
  std::set<PlaceId> relieved(unsaid.begin(), unsaid.end());
  for (const PlaceId place : evidence_.ConvictedBy(run.kind)) relieved.insert(place);
  for (const PlaceId place : relieved) {
    if (evidence_.Refuted(place)) TakeBack(place, out);
  }
  for (const NodeId node : touched) Point(node);
}

void QuarantineMachine::Judge(PlaceId place, const TaskRun& run, Effects& out) {
  const QuarantineKnobs& knobs = ledger_.state().policy()->quarantine;
  const Quarantine* held = Held(place);
  if (held == nullptr) {
    const auto alternative = [this](PlaceId p) { return HasAlternative(p); };
    if (!evidence_.Guilty(place, knobs.failures, alternative)) return;
    std::string jobs;
    size_t named = 0;
    for (const Evidence::Accuser& accuser : evidence_.accusers(place)) {
      if (named == kJobsNamed) {
        jobs += ", …";
        break;
      }
      jobs += (named++ > 0 ? ", " : "") + ToString(accuser.job);
    }
    const Elsewhere elsewhere = evidence_.CountElsewhere(place);
    const uint32_t well = elsewhere.well + elsewhere.outlived;
    const std::string others = well > 0 ? fmt::format("work like theirs runs in {} other place{}",
                                                      well, well == 1 ? "" : "s")
                                        : "how such work does elsewhere is not known yet";
    const std::string why = fmt::format(
        "the last {} job{} on it failed within {} of the start ({}); {}", knobs.failures,
        knobs.failures == 1 ? "" : "s", FormatDuration(knobs.within), jobs, others);
    evidence_.Convict(place, knobs.failures);
    return TakeOut(place, 1, why, out);
  }
  if (!held->probation || run.placed < held->since || !evidence_.Believable(place, run)) return;
  evidence_.Convict(place, 1);
  TakeOut(place, held->strikes + 1,
          fmt::format("{} failed within {} of the start on probation", ToString(run.job),
                      FormatDuration(knobs.within)),
          out);
}

// ---- out and in -------------------------------------------------------------------------------

void QuarantineMachine::Watch(const Quarantine& quarantine, NodeId node,
                              const std::string& device) {
  if (!quarantine.probation && quarantine.until < kTimeMax)
    ends_.insert({quarantine.until, node, device});
}

void QuarantineMachine::TakeOut(PlaceId place, uint32_t strikes, std::string why, Effects& out) {
  const NodeId node = evidence_.node(place);
  const std::string device = evidence_.device(place);
  const Time until =
      ledger_.now + Span(ledger_.state().policy()->quarantine.probation_after, strikes);
  ledger_.Remember(DeviceQuarantined{ledger_.now, node, device, until, strikes, std::move(why)},
                   out);
  Watch(*Held(place), node, device);
  if (!device.empty()) TakeOutNodeOf(node, out);
}

// Where half of the devices fail jobs, it is hardly the devices.
void QuarantineMachine::TakeOutNodeOf(NodeId id, Effects& out) {
  const NodeState& node = *ledger_.state().FindNode(id);
  const auto held = node.quarantines.find("");
  if (held != node.quarantines.end() && !held->second.probation) return;
  const auto [failing, all] = FailingDevices(node);
  if (!TooMany(failing, all)) return;
  by_devices_.insert(id);
  const uint32_t strikes = held == node.quarantines.end() ? 1 : held->second.strikes + 1;
  TakeOut(evidence_.Place(id, ""), strikes,
          fmt::format("{} of its {} devices are quarantined", failing, all), out);
}

void QuarantineMachine::Clear(PlaceId place, Effects& out) {
  const NodeId node = evidence_.node(place);
  if (evidence_.whole(place)) by_devices_.erase(node);
  evidence_.Acquit(place);
  ledger_.Remember(DeviceCleared{ledger_.now, node, evidence_.device(place)}, out);
  Point(node);
}

// The verdict was wrong. A first one is void; a later one leaves the place where it was: on
// probation, for what brought it there stands.
void QuarantineMachine::TakeBack(PlaceId place, Effects& out) {
  const Quarantine* held = Held(place);
  if (held == nullptr || held->probation || held->strikes == 0) return evidence_.Acquit(place);
  const NodeId node = evidence_.node(place);
  if (held->strikes == 1) {
    Clear(place, out);
  } else {
    evidence_.Acquit(place);
    ledger_.Remember(DeviceOnProbation{ledger_.now, node, evidence_.device(place)}, out);
    Point(node);
  }
  if (evidence_.whole(place) || !by_devices_.contains(node)) return;
  const auto [failing, all] = FailingDevices(*ledger_.state().FindNode(node));
  if (!TooMany(failing, all)) TakeBack(evidence_.Place(node, ""), out);
}

bool QuarantineMachine::HasAlternative(PlaceId place) const {
  const PlacementIndex& index = ledger_.index();
  const uint32_t here = evidence_.node(place).value() - 1;
  const std::string& device = evidence_.device(place);
  const NodeState& node = ledger_.state().nodes()[here];
  const PlacementIndex::Row& row = index.row(here);
  ClassId wanted = row.cpu_class;
  if (!device.empty()) {
    const std::vector<Device>& devices = node.info->devices;
    const auto position = std::find_if(devices.begin(), devices.end(),
                                       [&](const Device& d) { return d.id == device; });
    if (position == devices.end()) return false;
    const auto i = static_cast<uint32_t>(position - devices.begin());
    const auto part = std::find_if(row.parts.begin(), row.parts.end(),
                                   [i](const PlacementIndex::Part& p) { return p.all.Has(i); });
    if (part == row.parts.end()) return false;
    if (row.open && part->total > 1) return true;
    wanted = part->device_class;
  }
  const NodeSet& members = index.Members(wanted);
  for (uint32_t i = members.NextFrom(0); i != NodeSet::kNone; i = members.NextFrom(i + 1)) {
    if (i == here || !index.row(i).open) continue;
    if (device.empty() || index.row(i).Find(wanted)->total > 0) return true;
  }
  return false;
}

// Whom to avoid where there is a choice. Work that comes to a suspect place anyway is work that had
// no other; so what fails elsewhere too is found out before anything is quarantined.
void QuarantineMachine::Point(NodeId id) {
  const NodeState& node = *ledger_.state().FindNode(id);
  DeviceSet suspects;
  const std::vector<PlaceId>& places = PlacesOf(node);
  uint32_t most = 0;
  for (uint32_t i = 0; i < places.size(); ++i) {
    if (!evidence_.Suspect(places[i])) continue;
    suspects.Add(i);
    most = std::max(most, evidence_.Suspicion(places[i]));
  }
  const PlaceId whole = nodes_[id.value() - 1].whole;
  ledger_.index().SetSuspects(id, evidence_.Suspect(whole) ? evidence_.Suspicion(whole) : 0,
                              suspects, most);
}

// ---- time, restarts, policies -----------------------------------------------------------------

void QuarantineMachine::NodeChanged(NodeId node) {
  if (!On()) return;
  if (evidence_.size() > kPlacesMax) {  // Devices whose names never repeat.
    ledger_.index().ForgetSuspects();
    Rebuild();
  }
  Point(node);
}

void QuarantineMachine::PolicyChanged() {
  if (On()) return KnobsChanged();
  Forget();
  ledger_.index().ForgetSuspects();
}

void QuarantineMachine::Forget() {
  evidence_.Clear();
  nodes_.clear();
  survive_.clear();
  by_devices_.clear();
}

// What was kept or awaited by the old knobs would go on counting by them.
void QuarantineMachine::KnobsChanged() {
  std::set<NodeId> relieved;
  for (const PlaceId place : evidence_.KeepLast(ledger_.state().policy()->quarantine.failures))
    relieved.insert(evidence_.node(place));
  for (const NodeId node : relieved) Point(node);
  for (const auto& [at, key] : std::exchange(survive_, {})) {
    const JobState* job = ledger_.state().FindJob(key.task.job);
    if (job != nullptr && job->attempt == key.attempt)
      survive_.insert({SurvivesAt(job->tasks[key.task.index]), key});
  }
}

void QuarantineMachine::Rebuild() {
  Forget();
  ends_.clear();
  registering_ = false;
  for (const NodeState& node : ledger_.state().nodes()) {
    for (const auto& [device, quarantine] : node.quarantines) Watch(quarantine, node.id, device);
    // What runs tells at least where work of its kind lives on.
    for (const TaskKey& key : node.tasks) {
      const JobState& job = *ledger_.state().FindJob(key.task.job);
      if (job.tasks[key.task.index].phase == TaskPhase::kRunning) Started(job, key.task.index);
    }
  }
}

void QuarantineMachine::Run(Effects& out) {
  while (!ends_.empty() && std::get<Time>(*ends_.begin()) <= ledger_.now) {
    const auto [until, node, device] = *ends_.begin();
    ends_.erase(ends_.begin());
    const auto& held = ledger_.state().FindNode(node)->quarantines;
    const auto it = held.find(device);
    // It may have been cleared, or taken out anew, meanwhile.
    if (it == held.end() || it->second.probation || it->second.until != until) continue;
    evidence_.Acquit(evidence_.Place(node, device));
    if (device.empty()) by_devices_.erase(node);
    ledger_.Remember(DeviceOnProbation{ledger_.now, node, device}, out);
    Point(node);
  }
  while (!survive_.empty() && survive_.begin()->first <= ledger_.now) {
    const TaskKey key = survive_.begin()->second;
    survive_.erase(survive_.begin());
    const JobState* job = ledger_.state().FindJob(key.task.job);
    if (job == nullptr || job->attempt != key.attempt || job->phase != JobPhase::kRunning) continue;
    if (job->tasks[key.task.index].phase != TaskPhase::kRunning) continue;
    if (const std::optional<TaskRun> run = RunOf(*job, key.task.index)) WentWell(*run, out);
  }
}

std::optional<Time> QuarantineMachine::NextDue() const {
  std::optional<Time> next;
  if (!ends_.empty()) next = std::get<Time>(*ends_.begin());
  if (!survive_.empty() && (!next || survive_.begin()->first < *next))
    next = survive_.begin()->first;
  return next;
}

}  // namespace allot::scheduler
