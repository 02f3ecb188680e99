#include "scheduler/core/explainer.h"

#include <algorithm>
#include <map>

#include "scheduler/core/never.h"

namespace allot::scheduler {
namespace {

constexpr size_t kCandidates = 8;
constexpr size_t kQuarantinesTold = 3;

std::string Plural(uint64_t count, std::string_view thing) {
  return fmt::format("{} {}{}", count, thing, count == 1 ? "" : "s");
}

std::string Cores(MilliCpu cpus) {
  return fmt::format("{}", static_cast<double>(cpus) / 1000);
}

// "nvidia/h100*", "GPU", "AMD ASIC with 32GiB"
std::string Wish(const DeviceRequest& request) {
  std::string wish = request.model;
  if (wish.empty()) wish = request.vendor;
  if (request.model.empty()) {
    if (!wish.empty()) wish += ' ';
    wish += request.kind ? std::string(ToString(*request.kind)) : "accelerator";
  }
  if (request.min_memory) wish += fmt::format(" with {}", FormatBytes(*request.min_memory));
  return wish;
}

std::string Isolated(const DeviceRequest& request) {
  return request.isolation ? fmt::format(" isolated {}", ToString(*request.isolation)) : "";
}

bool MeansProcessorOnly(const Demand& demand) {
  return demand.devices.empty() ||
         std::all_of(demand.devices.begin(), demand.devices.end(),
                     [](const DeviceRequest& r) { return r.kind == DeviceKind::kCpu; });
}

// Accelerators of a part that are out of service although the node says that they are ready.
uint32_t QuarantinedOf(const NodeState& node, const DeviceSet& all) {
  if (node.quarantines.empty()) return 0;
  uint32_t count = 0;
  all.ForEach([&](uint32_t i) {
    const Device& device = node.info->devices[i];
    count += device.state == DeviceState::kReady && node.Quarantined(device.id);
  });
  return count;
}

// Those of them that nothing leases: free, if they were given back.
uint32_t IdleInQuarantine(const ClusterState& cluster, const NodeState& node,
                          const DeviceSet& all) {
  if (node.quarantines.empty()) return 0;
  DeviceSet leased;
  for (const TaskKey& key : node.tasks)
    leased = leased | cluster.FindJob(key.task.job)->tasks[key.task.index].placement.devices;
  for (const ReplicaId id : node.replicas)
    leased = leased | cluster.replicas().at(id).placement.devices;
  return QuarantinedOf(node, all.Minus(leased));
}

// "nvidia/h100* or GPU": what all alternatives ask for.
std::string Wishes(const Demand& demand) {
  if (demand.devices.empty()) return "processors";
  std::string wishes;
  for (const DeviceRequest& request : demand.devices) {
    if (!wishes.empty()) wishes += " or ";
    wishes += Wish(request) + Isolated(request);
  }
  return wishes;
}

}  // namespace

std::string_view ToString(WaitReason reason) {
  switch (reason) {
    case WaitReason::kNoNodes:
      return "no_nodes";
    case WaitReason::kNoMatchingDevice:
      return "no_matching_device";
    case WaitReason::kDevicesBusy:
      return "devices_busy";
    case WaitReason::kDevicesUnhealthy:
      return "devices_unhealthy";
    case WaitReason::kDevicesQuarantined:
      return "devices_quarantined";
    case WaitReason::kDevicesNotJoined:
      return "devices_not_joined";
    case WaitReason::kIsolation:
      return "isolation";
    case WaitReason::kTooLittleMemory:
      return "too_little_memory";
    case WaitReason::kTooFewCpus:
      return "too_few_cpus";
    case WaitReason::kNodesDraining:
      return "nodes_draining";
    case WaitReason::kNodesQuarantined:
      return "nodes_quarantined";
    case WaitReason::kNodesWithoutLeases:
      return "nodes_without_leases";
    case WaitReason::kTooLittleScratch:
      return "too_little_scratch";
    case WaitReason::kNodesLost:
      return "nodes_lost";
    case WaitReason::kNodesUnfit:
      return "nodes_unfit";
    case WaitReason::kGangTooWide:
      return "gang_too_wide";
    case WaitReason::kGangMixed:
      return "gang_mixed";
    case WaitReason::kPaused:
      return "paused";
    case WaitReason::kRollsInPlace:
      return "rolls_in_place";
    case WaitReason::kBehindInQueue:
      return "behind_in_queue";
    case WaitReason::kHeldForOlderJob:
      return "held_for_older_job";
    case WaitReason::kPriceCap:
      return "price_cap";
    case WaitReason::kPowerCap:
      return "power_cap";
  }
  return "unknown";
}

Explainer::NodeVerdict Explainer::Judge(const Demand& demand, uint32_t node,
                                        std::optional<PriceRate> cap) const {
  const PlacementIndex::Row& row = ledger_.index().row(node);
  const NodeState& state = ledger_.state().nodes()[node];
  const Resources& each = demand.resources;
  const PowerTrial power(ledger_.index().power());
  NodeVerdict nearest;
  for (const DemandOption& option : demand.options) {
    for (const ClassId c : option.classes) {
      NodeVerdict verdict;
      verdict.node = node;
      verdict.option = &option;
      verdict.device_class = c;
      const PlacementIndex::Part* part = row.Find(c);
      if (option.count > 0 ? part == nullptr || part->all.Count() < option.count
                           : row.cpu_class != c)
        continue;
      verdict.power = ledger_.index().PowerOf(node, c, option.count, each.cpus);
      verdict.score = ledger_.search().ScoreOn(demand, option, c, node, &verdict.price);
      const auto room = [&](const DeviceSet& set) {
        return ledger_.index().Room(node, set, option);
      };
      const uint64_t ever = option.count == 0 ? 1 : room(part->all);
      const uint64_t healthy = option.count == 0 ? 1 : room(part->all & state.accelerators);
      uint64_t tasks = demand.tasks;
      if (option.count > 0) tasks = std::min<uint64_t>(tasks, room(part->all & row.devices_free));
      const bool devices = tasks > 0;
      if (each.cpus > 0)
        tasks = std::min<uint64_t>(tasks, std::max<MilliCpu>(row.cpus_free, 0) / each.cpus);
      const bool cpus = tasks > 0;
      if (const Bytes memory = ledger_.index().MemoryOf(row, each, c, option.count); memory > 0)
        tasks = std::min<uint64_t>(tasks, std::max<Bytes>(row.memory_free, 0) / memory);
      if (ever == 0) {
        verdict.obstacle = Obstacle::kNoFabric;
      } else if (demand.leases && !row.leases) {
        verdict.obstacle = Obstacle::kNoLeases;
      } else if (!row.HasScratch(demand)) {
        verdict.obstacle = Obstacle::kScratch;
      } else if (!state.alive) {
        verdict.obstacle = Obstacle::kLost;
      } else if (state.draining) {
        verdict.obstacle = Obstacle::kDraining;
      } else if (!state.info->unfit.empty()) {
        verdict.obstacle = Obstacle::kUnfit;
      } else if (!row.open) {  // Quarantined, or on probation with a task.
        verdict.obstacle = Obstacle::kQuarantined;
      } else if (healthy == 0) {
        const uint32_t mended = part->total + QuarantinedOf(state, part->all);
        verdict.obstacle = part->total < option.count && mended >= option.count
                               ? Obstacle::kDevicesQuarantined
                               : Obstacle::kUnhealthy;
      } else if (!devices) {
        const uint32_t mended = part->free + IdleInQuarantine(ledger_.state(), state, part->all);
        verdict.obstacle = part->free >= option.count ? Obstacle::kScattered
                           : mended >= option.count   ? Obstacle::kDevicesQuarantined
                                                      : Obstacle::kBusy;
      } else if (!cpus) {
        verdict.obstacle = Obstacle::kCpus;
      } else if (tasks == 0) {
        verdict.obstacle = Obstacle::kMemory;
      } else if (cap && verdict.price > *cap) {
        verdict.obstacle = Obstacle::kPriceCap;
      } else if (power.Refusal(node, verdict.power)) {
        verdict.obstacle = Obstacle::kPower;
        verdict.room = tasks;
      } else {
        verdict.obstacle = Obstacle::kNone;
        verdict.tasks = verdict.room = tasks;
      }
      const bool nearer = nearest.option == nullptr || verdict.obstacle > nearest.obstacle ||
                          (verdict.obstacle == nearest.obstacle && verdict.score < nearest.score);
      if (nearer) nearest = verdict;
    }
  }
  return nearest;
}

Explainer::NodeVerdict Explainer::JudgeIsolation(const Demand& any_isolation, uint32_t node) const {
  const PlacementIndex::Row& row = ledger_.index().row(node);
  NodeVerdict verdict;
  verdict.node = node;
  for (const DemandOption& option : any_isolation.options) {
    for (const ClassId c : option.classes) {
      const PlacementIndex::Part* part = row.Find(c);
      const bool would_do =
          option.count == 0 ? row.cpu_class == c
                            : part != nullptr && ledger_.index().Room(node, part->all, option) > 0;
      const Isolation isolation = ledger_.classes().Get(c).sample.isolation;
      if (!would_do || (verdict.option != nullptr &&
                        isolation <= ledger_.classes().Get(verdict.device_class).sample.isolation))
        continue;
      verdict.obstacle = Obstacle::kIsolation;
      verdict.option = &option;
      verdict.device_class = c;
      verdict.score = ledger_.search().ScoreOn(any_isolation, option, c, node, &verdict.price);
    }
  }
  return verdict;
}

// Enough devices, but none of the sets that may be used.
std::string Explainer::NotTogether(const Demand& demand, Obstacle obstacle) const {
  const bool free = obstacle == Obstacle::kScattered;
  const std::string have = fmt::format("with enough {}{}", Wishes(demand), free ? " free" : "");
  if (demand.devices.size() != 1) return have + ", but not together";
  const DeviceRequest& request = demand.devices.front();
  if (request.joined)
    return fmt::format("{}, but no {} of them in one fabric", have, request.count);
  return free ? fmt::format("{}, but no {} of them side by side", have, request.count)
              : fmt::format("{}, but {} are no set that their runtime takes", have, request.count);
}

Explainer::Survey Explainer::Look(const Demand& demand, std::optional<PriceRate> cap) const {
  Survey survey;
  survey.any_isolation = demand.Asked();
  for (DeviceRequest& request : survey.any_isolation.devices) request.isolation.reset();
  const bool asks_isolation = !survey.any_isolation.Same(demand);
  if (asks_isolation) Resolve(ledger_.classes(), survey.any_isolation);
  std::map<Obstacle, uint32_t> counts;
  uint32_t less_isolated = 0;  // devices
  for (uint32_t i = 0; i < ledger_.index().node_count(); ++i) {
    survey.nodes.push_back(Judge(demand, i, cap));
    if (asks_isolation && survey.nodes.back().obstacle == Obstacle::kNoDevice) {
      survey.nodes.back() = JudgeIsolation(survey.any_isolation, i);
      const NodeVerdict& verdict = survey.nodes.back();
      if (verdict.option != nullptr && verdict.option->count > 0)
        less_isolated += ledger_.index().row(i).Find(verdict.device_class)->all.Count();
    }
    ++counts[survey.nodes.back().obstacle];
    survey.tasks += survey.nodes.back().tasks;
  }
  const std::string wishes = Wishes(demand);
  const auto add = [&](Obstacle obstacle, WaitReason reason, std::string_view what) {
    const auto it = counts.find(obstacle);
    if (it == counts.end()) return;
    survey.reasons.push_back(
        Reason{reason, it->second, fmt::format("{} {}", Plural(it->second, "node"), what)});
  };
  const bool plain = demand.devices.size() <= 1;
  const uint32_t count = demand.devices.empty() ? 0 : demand.devices.front().count;
  add(Obstacle::kNoDevice, WaitReason::kNoMatchingDevice,
      plain && count > 1 ? fmt::format("without {} of {}", count, wishes)
                         : fmt::format("without {}", wishes));
  std::string level = "as much as asked";
  if (plain && !demand.devices.empty() && demand.devices.front().isolation)
    level = ToString(*demand.devices.front().isolation);
  add(Obstacle::kIsolation, WaitReason::kIsolation,
      less_isolated == 0 ? fmt::format("would do, but its processors do not isolate {}", level)
                         : fmt::format("with {} that would do, but none isolates {}",
                                       Plural(less_isolated, "device"), level));
  add(Obstacle::kNoFabric, WaitReason::kDevicesNotJoined, NotTogether(demand, Obstacle::kNoFabric));
  add(Obstacle::kNoLeases, WaitReason::kNodesWithoutLeases,
      "would do but of a build that cannot keep a task to one live attempt (at_most_one)");
  add(Obstacle::kScratch, WaitReason::kTooLittleScratch,
      fmt::format("would do, but let no task have {} of scratch", FormatBytes(demand.scratch)));
  add(Obstacle::kLost, WaitReason::kNodesLost, "would do but lost");
  add(Obstacle::kDraining, WaitReason::kNodesDraining, "would do but draining");
  add(Obstacle::kUnfit, WaitReason::kNodesUnfit, "would do but can start nothing now");
  add(Obstacle::kQuarantined, WaitReason::kNodesQuarantined, "would do but quarantined");
  add(Obstacle::kUnhealthy, WaitReason::kDevicesUnhealthy,
      fmt::format("with {}, not enough of them healthy", wishes));
  add(Obstacle::kDevicesQuarantined, WaitReason::kDevicesQuarantined,
      fmt::format("with {}, too few free and some quarantined", wishes));
  add(Obstacle::kBusy, WaitReason::kDevicesBusy,
      plain ? fmt::format("with {}, fewer than {} free", wishes, count)
            : fmt::format("with {}, too few free", wishes));
  add(Obstacle::kScattered, WaitReason::kDevicesNotJoined,
      NotTogether(demand, Obstacle::kScattered));
  add(Obstacle::kCpus, WaitReason::kTooFewCpus,
      fmt::format("with fewer than {} processors free", Cores(demand.resources.cpus)));
  add(Obstacle::kMemory, WaitReason::kTooLittleMemory,
      demand.resources.memory_share
          ? "whose memory others have, so that its share is not free; say how much it needs"
          : fmt::format("with less than {} of memory free", FormatBytes(demand.resources.memory)));
  add(Obstacle::kPriceCap, WaitReason::kPriceCap, "dearer than the price cap");
  if (ledger_.index().power().capped()) LookAtPower(demand, survey);
  return survey;
}

JobExplanation::Candidate Explainer::CandidateOf(const Demand& demand,
                                                 const NodeVerdict& verdict) const {
  const PlacementIndex::Row& row = ledger_.index().row(verdict.node);
  const Device& device = ledger_.classes().Get(verdict.device_class).sample;
  const uint32_t count = verdict.option->count;
  const PlacementIndex::Part* part = row.Find(verdict.device_class);
  JobExplanation::Candidate candidate;
  candidate.node = ledger_.state().nodes()[verdict.node].info->name;
  candidate.device_model = device.model;
  candidate.emulated = device.emulated;
  candidate.isolation = device.isolation;
  candidate.price = verdict.price;
  candidate.score = verdict.score;
  switch (verdict.obstacle) {
    case Obstacle::kNone:
      candidate.verdict =
          demand.tasks == 1 ? "fits" : fmt::format("room for {}", Plural(verdict.tasks, "task"));
      if (ledger_.index().power().capped() && verdict.power == 0)
        candidate.verdict += "; what it draws is unknown and counts 0 under power caps";
      break;
    case Obstacle::kBusy:
      candidate.verdict = fmt::format("{} of {} devices free", part->free, count);
      break;
    case Obstacle::kUnhealthy:
      candidate.verdict = fmt::format("{} of {} devices healthy", part->total, count);
      break;
    case Obstacle::kDevicesQuarantined:
      candidate.verdict =
          fmt::format("{} of {} devices free, {} quarantined", part->free, count,
                      QuarantinedOf(ledger_.state().nodes()[verdict.node], part->all));
      break;
    case Obstacle::kQuarantined:
      candidate.verdict = ledger_.state().nodes()[verdict.node].Probation() != nullptr
                              ? "on probation, and has its one job"
                              : "quarantined";
      break;
    case Obstacle::kCpus:
      candidate.verdict = fmt::format("{} of {} processors free", Cores(row.cpus_free),
                                      Cores(demand.resources.cpus));
      break;
    case Obstacle::kMemory:
      candidate.verdict =
          fmt::format("{} of {} memory free", FormatBytes(std::max<Bytes>(row.memory_free, 0)),
                      FormatBytes(ledger_.index().MemoryOf(row, demand.resources,
                                                           verdict.device_class, count)));
      break;
    case Obstacle::kNoLeases:
      candidate.verdict = "its agent knows no leases of tasks";
      break;
    case Obstacle::kScratch:
      candidate.verdict =
          fmt::format("{} of {} scratch", FormatBytes(*row.scratch_max), FormatBytes(demand.scratch));
      break;
    case Obstacle::kLost:
      candidate.verdict = "lost";
      break;
    case Obstacle::kDraining:
      candidate.verdict = "draining";
      break;
    case Obstacle::kUnfit:
      candidate.verdict = ledger_.state().nodes()[verdict.node].info->unfit.front();
      break;
    case Obstacle::kPriceCap:
      candidate.verdict = "dearer than the cap";
      break;
    case Obstacle::kPower:
      candidate.verdict =
          fmt::format("{} more would be over a power cap", FormatPower(verdict.power));
      break;
    case Obstacle::kNoDevice:
      candidate.verdict = "no such device";
      break;
    case Obstacle::kIsolation:
      candidate.verdict = fmt::format("isolates {} only", ToString(device.isolation));
      break;
    case Obstacle::kNoFabric:
      candidate.verdict = fmt::format("never {} together", count);
      break;
    case Obstacle::kScattered:
      candidate.verdict = fmt::format("{} devices free, no {} together", part->free, count);
      break;
  }
  return candidate;
}

// What the user could ask for instead, where the devices are there.
void Explainer::JoinRemedies(const Survey& survey, JobExplanation& out) const {
  bool not_joined = false;
  const NodeVerdict* restricted = nullptr;
  std::optional<Isolation> isolation;
  for (const NodeVerdict& verdict : survey.nodes) {
    if (verdict.obstacle == Obstacle::kIsolation) {
      const Isolation here = ledger_.classes().Get(verdict.device_class).sample.isolation;
      isolation = std::max(isolation.value_or(here), here);
    }
    if (verdict.obstacle != Obstacle::kNoFabric && verdict.obstacle != Obstacle::kScattered)
      continue;
    not_joined |= verdict.option->joined;
    if (!verdict.option->joined && verdict.obstacle == Obstacle::kNoFabric && restricted == nullptr)
      restricted = &verdict;
  }
  if (not_joined) out.remedies.push_back("devices that need not be joined");
  if (isolation) {
    out.remedies.push_back(
        *isolation == Isolation::kShared
            ? "no demand for isolation"
            : fmt::format("isolation {}, or no demand for it", ToString(*isolation)));
  }
  if (restricted == nullptr) return;
  const DeviceSet& all = ledger_.index().row(restricted->node).Find(restricted->device_class)->all;
  DemandOption option = *restricted->option;
  std::string counts;
  for (option.count = 1; option.count <= all.Count(); ++option.count) {
    if (ledger_.index().Room(restricted->node, all, option) == 0) continue;
    counts += fmt::format("{}{}", counts.empty() ? "" : ", ", option.count);
  }
  out.remedies.push_back(fmt::format("another count of devices for a task: one of {}", counts));
}

void Explainer::QuarantineRemedies(Time now, const Survey& survey, JobExplanation& out) const {
  size_t told = 0;
  const auto tell = [&](const std::string& node, const std::string& device,
                        const Quarantine& held) {
    if (told++ >= kQuarantinesTold) return;
    const std::string what = device.empty() ? node : fmt::format("{} of {}", device, node);
    const std::string command = device.empty()
                                    ? fmt::format("`allot undrain {}`", node)
                                    : fmt::format("`allot undrain {} --device {}`", node, device);
    std::string when = command;
    if (held.probation) {
      when = "the job it is tried with to end, or " + command;
    } else if (held.until < kTimeMax) {
      when = fmt::format("probation in {}, or {}",
                         FormatDuration(std::max(held.until - now, Duration{})), command);
    }
    out.remedies.push_back(fmt::format("{} to be given back: {} ({})", what, when, held.why));
  };
  for (const NodeVerdict& verdict : survey.nodes) {
    const NodeState& node = ledger_.state().nodes()[verdict.node];
    if (verdict.obstacle == Obstacle::kQuarantined) {
      if (const auto it = node.quarantines.find(""); it != node.quarantines.end())
        tell(node.info->name, "", it->second);
    }
    if (verdict.obstacle != Obstacle::kDevicesQuarantined) continue;
    const PlacementIndex::Part* part = ledger_.index().row(verdict.node).Find(verdict.device_class);
    part->all.ForEach([&](uint32_t i) {
      const std::string& id = node.info->devices[i].id;
      if (node.Quarantined(id)) tell(node.info->name, id, node.quarantines.at(id));
    });
  }
}

void Explainer::Remedies(Time now, const Demand& demand, const Survey& survey,
                         JobExplanation& out) const {
  const uint64_t missing = demand.tasks > survey.tasks ? demand.tasks - survey.tasks : 0;
  if (missing == 0) return;
  out.remedies.insert(out.remedies.end(), survey.remedies.begin(), survey.remedies.end());
  if (survey.roomy) return;  // More nodes would not help.
  // Of the first alternative: the one the user wished for most.
  std::string free =
      MeansProcessorOnly(demand)
          ? fmt::format("{} free processors", Cores(demand.resources.cpus))
          : fmt::format("{} free {} {}", demand.devices.front().count, Wish(demand.devices.front()),
                        demand.devices.front().count == 1 ? "device" : "devices");
  if (!MeansProcessorOnly(demand)) {
    free += Isolated(demand.devices.front());
    if (demand.devices.front().joined) free += " in one fabric";
  }
  out.remedies.push_back(
      fmt::format("{} more {} with {}", missing, missing == 1 ? "node" : "nodes", free));
  JoinRemedies(survey, out);
  std::set<JobId> holders;  // Jobs on nodes that would do if they were emptier.
  uint32_t draining = 0, unfit = 0, without_leases = 0;
  for (const NodeVerdict& verdict : survey.nodes) {
    if (verdict.obstacle == Obstacle::kDraining) ++draining;
    if (verdict.obstacle == Obstacle::kUnfit) ++unfit;
    if (verdict.obstacle == Obstacle::kNoLeases) ++without_leases;
    if (verdict.obstacle != Obstacle::kBusy && verdict.obstacle != Obstacle::kDevicesQuarantined &&
        verdict.obstacle != Obstacle::kScattered && verdict.obstacle != Obstacle::kCpus &&
        verdict.obstacle != Obstacle::kMemory)
      continue;
    for (const TaskKey& key : ledger_.state().nodes()[verdict.node].tasks)
      holders.insert(key.task.job);
  }
  if (!holders.empty())
    out.remedies.push_back(
        fmt::format("{} to end on nodes that would do",
                    Plural(std::min<uint64_t>(missing, holders.size()), "running job")));
  if (draining > 0)
    out.remedies.push_back(fmt::format("{} to be undrained", Plural(draining, "node")));
  if (without_leases > 0)
    out.remedies.push_back(
        fmt::format("the agents of {} to be updated, or no at_most_one",
                    Plural(without_leases, "node")));
  if (unfit > 0)
    out.remedies.push_back(
        fmt::format("{} to be mended; `allot doctor` says what it lacks", Plural(unfit, "node")));
  QuarantineRemedies(now, survey, out);
}

void Explainer::ExplainPending(Time now, const JobState& job, JobExplanation& out) const {
  const bool paused = ledger_.BeginsAt(job) > now;
  if (paused) ExplainPause(now, job, out);
  Demand demand = Demand::Of(*job.spec);
  Resolve(ledger_.classes(), demand);
  const auto& nodes = ledger_.state().nodes();
  const auto alive =
      std::count_if(nodes.begin(), nodes.end(), [](const NodeState& n) { return n.alive; });
  if (alive == 0) {
    out.reasons.push_back(
        Reason{WaitReason::kNoNodes, static_cast<uint32_t>(nodes.size()),
               nodes.empty() ? "no node has ever registered"
                             : fmt::format("{} known, none alive", Plural(nodes.size(), "node"))});
    out.remedies.push_back("a node to register (`allot-agent`)");
  }
  out.never = !nodes.empty() && !ledger_.index().EverPossible(demand);
  Survey survey = Look(demand, std::nullopt);
  if (survey.tasks >= demand.tasks) {
    if (const JobId older = planner_.HeldFor(job); older.valid()) {
      out.reasons.push_back(
          Reason{WaitReason::kHeldForOlderJob, 1,
                 fmt::format("{} has waited longer for the same devices", ToString(older))});
      out.remedies.push_back(fmt::format("{} to be placed or cancelled", ToString(older)));
    }
    const uint64_t most = demand.options.size() > 1 ? MostOfOneKind(demand) : survey.tasks;
    if (most < demand.tasks) {
      out.reasons.push_back(Reason{
          WaitReason::kGangMixed, static_cast<uint32_t>(most),
          fmt::format("{} of {} tasks fit on devices of one vendor and one alternative, and a gang "
                      "is not spread over several",
                      most, demand.tasks)});
      out.remedies.push_back(
          fmt::format("room for {} more of its tasks on devices of one vendor, "
                      "or a gang of {}",
                      demand.tasks - most, std::max<uint64_t>(most, 1)));
    }
  } else if (survey.tasks > 0) {
    out.reasons.push_back(Reason{WaitReason::kGangTooWide, static_cast<uint32_t>(survey.tasks),
                                 fmt::format("{} of {} tasks fit now, and a gang starts whole",
                                             survey.tasks, demand.tasks)});
  }
  const uint64_t ahead = paused ? 0 : ledger_.queue().JobsAhead(job);
  if (ahead > 0) {
    out.reasons.push_back(Reason{WaitReason::kBehindInQueue, static_cast<uint32_t>(ahead),
                                 fmt::format("{} ahead", Plural(ahead, "job"))});
  }
  if (alive > 0) {
    out.reasons.insert(out.reasons.end(), survey.reasons.begin(), survey.reasons.end());
    Remedies(now, demand, survey, out);
  }
  // More nodes like these would not help, whatever the survey of today's says.
  if (out.never) out.remedies = {WhatToAsk(ledger_, demand)};
  std::stable_sort(survey.nodes.begin(), survey.nodes.end(),
                   [](const NodeVerdict& a, const NodeVerdict& b) {
                     return a.obstacle != b.obstacle ? a.obstacle > b.obstacle : a.score < b.score;
                   });
  for (const NodeVerdict& verdict : survey.nodes) {
    if (verdict.option == nullptr || out.candidates.size() == kCandidates) break;
    out.candidates.push_back(CandidateOf(demand, verdict));
  }
}

void Explainer::ExplainPlaced(const JobState& job, JobExplanation& out) const {
  Demand demand = Demand::Of(*job.spec);
  NodeId last;
  for (uint32_t rank = 0; rank < job.tasks.size(); ++rank) {
    const TaskPlacement& placement = job.tasks[rank].placement;
    if (placement.node == last || out.candidates.size() == kCandidates) continue;
    last = placement.node;
    const NodeState& node = *ledger_.state().FindNode(placement.node);
    JobExplanation::Candidate candidate;
    candidate.node = node.info->name;
    uint32_t tasks = 0;
    for (const TaskState& task : job.tasks) tasks += task.placement.node == placement.node;
    for (uint32_t i = 0; i < node.info->devices.size(); ++i) {
      const Device& device = node.info->devices[i];
      const bool is_cpu = device.kind == DeviceKind::kCpu;
      if (placement.devices.Empty() ? !is_cpu || !candidate.device_model.empty()
                                    : !placement.devices.Has(i))
        continue;
      candidate.device_model = device.model;
      candidate.emulated = device.emulated;
      candidate.isolation = std::min(candidate.isolation, device.isolation);
    }
    candidate.price = PriceRate{job.price.micros_per_hour / demand.tasks};
    candidate.verdict = fmt::format("{} of it", Plural(tasks, "task"));
    out.candidates.push_back(std::move(candidate));
  }
}

StatusOr<JobExplanation> Explainer::Explain(Time now, JobId id) const {
  const JobState* job = ledger_.state().FindJob(id);
  if (job == nullptr) return NotFound("there is no {}; `allot jobs` lists them", ToString(id));
  JobExplanation out;
  out.job = id;
  out.phase = job->phase;
  switch (job->phase) {
    case JobPhase::kPending:
      out.waited = now - job->queued;
      ExplainPending(now, *job, out);
      WarnOfCopies(*job, out);
      break;
    case JobPhase::kRunning:
    case JobPhase::kStopping:
      out.waited = job->placed - job->queued;
      ExplainPlaced(*job, out);
      WarnOfCopies(*job, out);
      WarnOfTranslators(*job, out);
      break;
    case JobPhase::kFinished:
      if (job->attempt.valid()) out.waited = job->placed - job->queued;
      if (job->outcome != JobOutcome::kSucceeded) WarnOfTranslators(*job, out);
      break;
  }
  return out;
}

StatusOr<std::vector<ReplicaWait>> Explainer::ExplainDeployment(const std::string& name,
                                                                WaitDetail detail) const {
  const auto it = ledger_.state().deployments().find(name);
  if (it == ledger_.state().deployments().end())
    return NotFound("there is no deployment \"{}\"; `allot deployments` lists them", name);
  const DeploymentState& deployment = it->second;
  std::vector<ReplicaWait> waits;
  if (deployment.stopping) return waits;
  const bool alive = std::any_of(ledger_.state().nodes().begin(), ledger_.state().nodes().end(),
                                 [](const NodeState& n) { return n.alive; });
  // Groups that ask for the same are looked at once.
  std::vector<std::pair<Demand, size_t>> looked;
  std::vector<std::vector<Reason>> looked_reasons;
  for (uint32_t g = 0; g < deployment.spec->groups.size(); ++g) {
    uint32_t have = 0, moving = 0;
    for (const ReplicaId id : deployment.replicas) {
      const ReplicaState& replica = ledger_.state().replicas().at(id);
      if (replica.group != g || replica.stopping || replica.generation != deployment.generation)
        continue;
      ++(ledger_.state().FindNode(replica.placement.node)->draining ? moving : have);
    }
    if (have >= deployment.spec->groups[g].count) continue;
    ReplicaWait& wait = waits.emplace_back();
    wait.group = g;
    wait.count = deployment.spec->groups[g].count - have;
    if (detail == WaitDetail::kCounts) continue;
    if (!alive) {
      wait.reasons.push_back(Reason{WaitReason::kNoNodes, 0, "no node is alive"});
      continue;
    }
    Demand demand{1, deployment.spec->resources, {deployment.spec->groups[g].device}};
    const auto same = std::find_if(looked.begin(), looked.end(),
                                   [&](const auto& before) { return before.first.Same(demand); });
    if (same != looked.end()) {
      wait.reasons = looked_reasons[same->second];
    } else {
      looked.emplace_back(demand, looked_reasons.size());
      Resolve(ledger_.classes(), demand);
      wait.reasons = looked_reasons.emplace_back(Look(demand, deployment.spec->price_cap).reasons);
    }
    if (moving > 0) {
      wait.reasons.insert(wait.reasons.begin(),
                          Reason{WaitReason::kNodesDraining, moving,
                                 fmt::format("{} on nodes that drain: served from there until "
                                             "others are ready elsewhere",
                                             Plural(moving, "replica"))});
    }
    uint32_t older = 0;
    for (const ReplicaId id : deployment.replicas)
      older += ledger_.state().replicas().at(id).generation != deployment.generation;
    if (older > 0) {
      wait.reasons.insert(wait.reasons.begin(),
                          Reason{WaitReason::kRollsInPlace, older,
                                 fmt::format("no room beside {} of before, so these end one by one "
                                             "before new ones start",
                                             Plural(older, "replica"))});
    }
  }
  return waits;
}

}  // namespace allot::scheduler
