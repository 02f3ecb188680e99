// A node made of a recorded machine, and what its recording says of each device.
#pragma once

#include <filesystem>
#include <map>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "agent/isolation/device_filter.h"
#include "common/model/node.h"

namespace allot::vendors {

// Of one device, as expected.json has it.
struct Recorded {
  std::map<std::string, std::string> visible;  // variable → value
  std::vector<std::string> own_files, shared_files;
};

struct Machine {
  std::string name;
  NodeInfo node;                                   // as the agent would register it
  std::map<std::string, Recorded> devices;         // by id
  std::map<std::string, agent::DeviceRule> files;  // dev.txt, by path
  // Every variable of some device.
  std::set<std::string> Variables() const;
  const Device& Get(const std::string& id) const;
};

std::vector<std::filesystem::path> RecordedMachines();
Machine Load(const std::filesystem::path& folder);

// "2-3,7" and "2,3,7" are the same; other words stay as they are.
std::multiset<std::string> Words(const std::string& value);

}  // namespace allot::vendors
