#include "tests/vendors/machine.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "agent/devices/inventory.h"
#include "agent/devices/registry.h"
#include "common/base/check.h"
#include "common/json/json.h"

namespace allot::vendors {
namespace {

namespace fs = std::filesystem;

std::string ReadFile(const fs::path& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<std::string> Texts(const json::value& list) {
  std::vector<std::string> texts;
  for (const json::value& item : list.as_array()) texts.emplace_back(item.as_string());
  return texts;
}

std::map<std::string, Recorded> ReadExpected(const fs::path& folder) {
  std::map<std::string, Recorded> devices;
  const json::value expected = json::parse(ReadFile(folder / "expected.json"));
  for (const json::value& device : expected.at("devices").as_array()) {
    Recorded& recorded = devices[std::string(device.at("id").as_string())];
    recorded.own_files = Texts(device.at("dev_nodes"));
    recorded.shared_files = Texts(device.at("shared_dev_nodes"));
    if (device.at("visible_env").is_null()) continue;
    for (const auto& [variable, value] : device.at("visible_env").as_object())
      recorded.visible[std::string(variable)] = std::string(value.as_string());
  }
  return devices;
}

std::map<std::string, agent::DeviceRule> ReadFiles(const fs::path& folder) {
  std::map<std::string, agent::DeviceRule> files;
  std::istringstream lines(ReadFile(folder / "dev.txt"));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string path, type, number;
    words >> path >> type >> number;
    const size_t colon = number.find(':');
    if (line.starts_with('#') || (type != "c" && type != "b") || colon == number.npos) continue;
    files[path] = {type == "c" ? agent::DeviceRule::Type::kChar : agent::DeviceRule::Type::kBlock,
                   static_cast<uint32_t>(std::stoul(number)),
                   static_cast<uint32_t>(std::stoul(number.substr(colon + 1)))};
  }
  return files;
}

bool IsNumber(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == text.npos;
}

}  // namespace

std::set<std::string> Machine::Variables() const {
  std::set<std::string> variables;
  for (const auto& [id, recorded] : devices)
    for (const auto& [variable, value] : recorded.visible) variables.insert(variable);
  return variables;
}

const Device& Machine::Get(const std::string& id) const {
  const auto it = std::find_if(node.devices.begin(), node.devices.end(),
                               [&id](const Device& device) { return device.id == id; });
  CHECK(it != node.devices.end());
  return *it;
}

std::vector<fs::path> RecordedMachines() {
  std::vector<fs::path> machines;
  for (const auto& entry : fs::directory_iterator(fs::path(ALLOT_SOURCE_DIR) / "tests/machines"))
    if (fs::exists(entry.path() / "expected.json")) machines.push_back(entry.path());
  std::sort(machines.begin(), machines.end());
  return machines;
}

Machine Load(const fs::path& folder) {
  Machine machine;
  machine.name = folder.filename();
  machine.devices = ReadExpected(folder);
  machine.files = ReadFiles(folder);
  auto host = agent::Host::Recorded(folder);
  CHECK(host.ok());
  auto vendors = agent::MakeVendors({}, Catalogue::BuiltIn(), *host);
  CHECK(vendors.ok());
  agent::Inventory inventory(*std::move(vendors), *host);
  const agent::Discovery discovery = inventory.DiscoverAll();
  NodeInfo& node = machine.node;
  node.name = "recorded";
  node.instance = "i1";
  node.address = "recorded.cluster";
  node.groups = discovery.groups;
  node.memory = 256 * kGiB;
  for (const agent::FoundDevice& found : discovery.devices) {
    node.devices.push_back(found.device);
    if (found.device.kind == DeviceKind::kCpu) node.cpus += found.device.cores * 1000;
  }
  return machine;
}

std::multiset<std::string> Words(const std::string& value) {
  std::multiset<std::string> words;
  std::istringstream parts(value);
  for (std::string part; std::getline(parts, part, ',');) {
    const size_t dash = part.find('-');
    const std::string first = part.substr(0, dash);
    const std::string last = dash == part.npos ? "" : part.substr(dash + 1);
    if (!IsNumber(first) || !IsNumber(last)) {
      words.insert(part);
      continue;
    }
    for (unsigned long n = std::stoul(first); n <= std::stoul(last); ++n)
      words.insert(std::to_string(n));
  }
  return words;
}

}  // namespace allot::vendors
