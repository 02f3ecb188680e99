#include "agent/shell/confinement.h"

#include <algorithm>

#include "agent/devices/parts.h"
#include "common/base/logging.h"

namespace allot::agent {

StatusOr<std::vector<DeviceRule>> RulesOfLease(
    const std::vector<Device>& node, const std::vector<std::string>& leased,
    const std::function<StatusOr<DeviceRule>(const std::string& path)>& rule) {
  std::vector<DeviceRule> rules;
  const LeasedFiles files = FilesOf(node, leased);
  for (const std::string& path : files.own) {
    ASSIGN_OR_RETURN(const DeviceRule own, rule(path));
    rules.push_back(own);
  }
  for (const std::string& path : files.shared)  // Some come with the driver's first use.
    if (const StatusOr<DeviceRule> shared = rule(path); shared.ok()) rules.push_back(*shared);
  std::sort(rules.begin(), rules.end());
  rules.erase(std::unique(rules.begin(), rules.end()), rules.end());
  return rules;
}

std::unique_ptr<Confinement> Confinement::Open(const Options& options,
                                               const std::string& instance) {
  Cgroups::Options where{.name = "allotrope-" + instance};
  if (options.off) where.mounts = "";  // as on a host without
  std::unique_ptr<Cgroups> groups = Cgroups::Open(where);
  auto legacy = LegacyCgroups::Open(
      {.mounts = where.mounts, .name = where.name, .have = groups->abilities()});
  std::unique_ptr<Confinement> confinement(
      new Confinement(options, std::move(groups), std::move(legacy)));
  if (!options.off)
    for (const std::string& loss : confinement->abilities().losses)
      SPDLOG_WARN("isolation: not on this host: {}", loss);
  return confinement;
}

std::vector<std::string> Confinement::losses() const {
  if (options_.off)
    return {
        "device filters, limits and whole-group kill: isolation.cgroups is false in the "
        "agent's config"};
  return abilities().losses;
}

CgroupAbilities Joined(const CgroupAbilities& v2, const CgroupAbilities& v1) {
  CgroupAbilities all = v2;
  all.losses.clear();
  all.groups = v2.groups || v1.groups;
  const struct {
    const char* name;  // as it stands before a loss
    bool CgroupAbilities::*ability;
  } kKinds[] = {{"cpu limits", &CgroupAbilities::cpu},
                {"memory limits", &CgroupAbilities::memory},
                {"pids limits", &CgroupAbilities::pids},
                {"device filters", &CgroupAbilities::devices},
                {"whole-group kill", &CgroupAbilities::kill}};
  for (const auto& kind : kKinds) {
    all.*kind.ability = v2.*kind.ability || v1.*kind.ability;
    if (all.*kind.ability) continue;
    std::string why;
    for (const auto* side : {&v2, &v1})
      for (const std::string& loss : side->losses) {
        const size_t end = loss.find(": ");
        const std::string_view names = std::string_view(loss).substr(0, end);
        // v2 as a whole has one line: "device filters, limits and whole-group kill: why".
        if (names != kind.name && names.find(", limits and ") == names.npos) continue;
        why += why.empty() ? "" : "; ";
        why += loss.substr(end + 2);
      }
    all.losses.push_back(fmt::format("{}: {}", kind.name, why));
  }
  // Where nothing at all can be had, one line says so.
  if (!all.groups && !v2.losses.empty()) {
    all.losses = {v2.losses[0]};
    if (!v1.losses.empty())
      all.losses[0] += "; " + v1.losses[0].substr(v1.losses[0].find(": ") + 2);
  }
  return all;
}

Confinement::Confinement(Options options, std::unique_ptr<Cgroups> groups,
                         std::unique_ptr<LegacyCgroups> legacy)
    : options_(std::move(options)),
      groups_(std::move(groups)),
      legacy_(std::move(legacy)),
      abilities_(Joined(groups_->abilities(), legacy_->abilities())),
      always_(StandardDevices()) {
  for (const std::string& path : options_.devices) {
    if (const StatusOr<DeviceRule> rule = RuleOf(path); rule.ok()) {
      always_.push_back(*rule);
    } else {
      SPDLOG_WARN("isolation.devices: {}", MessageOf(rule.status()));
    }
  }
}

StatusOr<Confinement::Place> Confinement::Enter(const ProcessId& id, const Resources& resources,
                                                const std::vector<Device>& node,
                                                const std::vector<std::string>& leased) {
  ASSIGN_OR_RETURN(std::vector<DeviceRule> rules, RulesOfLease(node, leased));
  rules.insert(rules.end(), always_.begin(), always_.end());
  std::sort(rules.begin(), rules.end());
  rules.erase(std::unique(rules.begin(), rules.end()), rules.end());
  CgroupLimits limits;
  limits.cpus = static_cast<double>(resources.cpus) / 1000;
  limits.cpus_hard = options_.cpus_hard;
  if (resources.memory > 0) limits.memory = resources.memory;
  limits.pids = options_.pids_max;
  Place place;
  ASSIGN_OR_RETURN(place.group, groups_->Create(id, limits, rules));
  StatusOr<std::vector<std::string>> join = legacy_->Create(id, limits, rules);
  if (!join.ok()) {
    groups_->Remove(id);
    return join.status();
  }
  place.join = *std::move(join);
  if (legacy_->abilities().memory && limits.memory) watched_.insert(id);
  return place;
}

int64_t Confinement::OutOfMemoryKills(const ProcessId& id) const {
  return groups_->OutOfMemoryKills(id) + legacy_->OutOfMemoryKills(id);
}

void Confinement::Kill(const ProcessId& id) {
  groups_->Kill(id);
  if (!groups_->abilities().kill) legacy_->Kill(id);
}

bool Confinement::Remove(const ProcessId& id) {
  const bool gone = groups_->Remove(id);
  return legacy_->Remove(id) && gone;
}

std::string Confinement::WhyKilled(const ProcessId& id, const Resources& resources) const {
  if (OutOfMemoryKills(id) == 0) return "";
  return fmt::format("it needed more than its {} of memory (resources.memory)",
                     FormatBytes(resources.memory));
}

void Confinement::Leave(const ProcessId& id) {
  if (!abilities().groups) return;
  watched_.erase(id);
  Kill(id);
  if (!Remove(id)) leaving_.insert(id);
}

void Confinement::LeaveAllBut(const std::set<ProcessId>& alive) {
  for (const std::string& id : groups_->List())
    if (!alive.contains(id)) Leave(id);
  for (const std::string& id : legacy_->List())
    if (!alive.contains(id)) Leave(id);
  if (legacy_->abilities().memory) watched_ = alive;
}

void Confinement::Sweep() {
  std::erase_if(leaving_, [this](const ProcessId& id) {
    if (Remove(id)) return true;
    Kill(id);  // v1 has no way to end all at once: something may have been forked meanwhile.
    return false;
  });
  for (const ProcessId& id : watched_)
    if (legacy_->OutOfMemoryKills(id) > 0) Kill(id);
}

}  // namespace allot::agent
