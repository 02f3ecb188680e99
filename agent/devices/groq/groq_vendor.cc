#include "agent/devices/groq/groq_vendor.h"

#include <algorithm>
#include <map>

namespace allot::agent {
namespace {

// /dev/groqA0 … by number.
std::vector<std::string> CardNodes(const Snapshot& machine) {
  std::map<uint32_t, std::string> nodes;
  for (const std::string& path : machine.nodes.StartingWith("/dev/groqA"))
    if (const auto number = NumberAfter(path, "/dev/groqA")) nodes[*number] = path;
  std::vector<std::string> ordered;
  for (auto& [number, path] : nodes) ordered.push_back(path);
  return ordered;
}

}  // namespace

void GroqVendor::Find(const Snapshot& machine, Discovery* discovery) {
  const std::vector<const pci::Function*> functions = machine.bus.Of("groq");
  const std::vector<std::string> nodes = CardNodes(machine);
  std::vector<FoundDevice> cards;
  for (const pci::Function* function : functions) {
    cards.push_back(FromFunction(machine, *function, "groq", {}));
    for (const ClassEntry& entry : ClassEntries(machine, *function, "groq"))
      if (!entry.node.empty()) {
        cards.back().device.nodes = {entry.node};
        cards.back().Tell("dev_nodes", "sysfs groq class, /dev");
      }
  }
  // A wrong node gives a job someone else's card: only a full count is taken for an order.
  const size_t bound =
      static_cast<size_t>(std::count_if(cards.begin(), cards.end(), [](const FoundDevice& card) {
        return card.device.state == DeviceState::kReady;
      }));
  const bool linked = std::any_of(cards.begin(), cards.end(), [](const FoundDevice& card) {
    return !card.device.nodes.empty();
  });
  std::vector<std::string> members;
  size_t next = 0;
  for (FoundDevice& card : cards) {
    if (card.device.state == DeviceState::kReady) {
      if (!linked && nodes.size() == bound) {
        card.device.nodes = {nodes[next++]};
        card.Tell("dev_nodes", "guess: /dev in PCI order");
      }
      members.push_back(card.device.id);
    }
    discovery->devices.push_back(std::move(card));
  }
  AddGroup("c2c-dragonfly", std::move(members), discovery);
}

}  // namespace allot::agent
