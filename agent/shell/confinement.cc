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
  std::unique_ptr<Confinement> confinement(new Confinement(options, Cgroups::Open(where)));
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

Confinement::Confinement(Options options, std::unique_ptr<Cgroups> groups)
    : options_(std::move(options)), groups_(std::move(groups)), always_(StandardDevices()) {
  for (const std::string& path : options_.devices) {
    if (const StatusOr<DeviceRule> rule = RuleOf(path); rule.ok()) {
      always_.push_back(*rule);
    } else {
      SPDLOG_WARN("isolation.devices: {}", MessageOf(rule.status()));
    }
  }
}

StatusOr<Fd> Confinement::Enter(const ProcessId& id, const Resources& resources,
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
  return groups_->Create(id, limits, rules);
}

std::string Confinement::WhyKilled(const ProcessId& id, const Resources& resources) const {
  if (groups_->OutOfMemoryKills(id) == 0) return "";
  return fmt::format("it needed more than its {} of memory (resources.memory)",
                     FormatBytes(resources.memory));
}

void Confinement::Leave(const ProcessId& id) {
  if (!abilities().groups) return;
  groups_->Kill(id);
  if (!groups_->Remove(id)) leaving_.insert(id);
}

void Confinement::LeaveAllBut(const std::set<ProcessId>& alive) {
  for (const std::string& id : groups_->List())
    if (!alive.contains(id)) Leave(id);
}

void Confinement::Sweep() {
  std::erase_if(leaving_, [this](const ProcessId& id) { return groups_->Remove(id); });
}

}  // namespace allot::agent
