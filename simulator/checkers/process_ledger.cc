#include "simulator/checkers/process_ledger.h"

#include <algorithm>

namespace allot::simulator {

void ProcessLedger::TaskSpawned(uint32_t node, const TaskKey& key,
                                const std::vector<std::string>& devices, const std::string& once) {
  if (!once.empty()) {
    const auto [live, first] = once_.try_emplace(once, node, OwnerOf(key));
    if (!first)
      findings_.Add(kName, "{} spawned on node {} while {} lives on node {}", OwnerOf(key), node,
                    live->second.second, live->second.first);
  }
  const auto [it, fresh] = keys_.try_emplace(key, node);
  if (!fresh)
    findings_.Add(kName, "{} spawned on node {}, and before on node {}", ToString(key), node,
                  it->second);
  Began(node, OwnerOf(key), devices);
}

void ProcessLedger::NeverBegan(const TaskKey& key) { keys_.erase(key); }

void ProcessLedger::ReplicaSpawned(uint32_t node, ReplicaId id,
                                   const std::vector<std::string>& devices) {
  const std::string owner = OwnerOf(id);
  if (live_[node].contains(owner))
    findings_.Add(kName, "{} spawned on node {} while its process lives", owner, node);
  Began(node, owner, devices);
}

void ProcessLedger::Began(uint32_t node, const std::string& owner,
                          const std::vector<std::string>& devices) {
  auto& live = live_[node];
  for (const auto& [other, held] : live) {
    if (other == owner) continue;
    for (const std::string& device : devices) {
      if (std::find(held.begin(), held.end(), device) != held.end())
        findings_.Add(kName, "device {} of node {} used by {} while {} lives", device, node, owner,
                      other);
    }
  }
  live[owner] = devices;
}

void ProcessLedger::Ended(uint32_t node, const std::string& owner) {
  live_[node].erase(owner);
  std::erase_if(once_, [&](const auto& entry) {
    return entry.second.first == node && entry.second.second == owner;
  });
}

void ProcessLedger::Forgotten(uint32_t node, const std::string& owner) {
  if (live_[node].contains(owner))
    findings_.Add(kName, "node {} forgot {} while its process lives", node, owner);
}

void ProcessLedger::Succeeded(const TaskKey& key) {
  if (!keys_.contains(key))
    findings_.Add(kName, "{} succeeded and was never spawned", OwnerOf(key));
}

void ProcessLedger::NodeDied(uint32_t node) {
  live_.erase(node);
  std::erase_if(once_, [&](const auto& entry) { return entry.second.first == node; });
}

}  // namespace allot::simulator
