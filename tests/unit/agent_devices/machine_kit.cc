#include "machine_kit.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "agent/devices/describe.h"
#include "agent/devices/registry.h"

namespace allot::agent::kit {
namespace {

namespace fs = std::filesystem;

constexpr double kNominal = 0.08;

std::string ReadFile(const fs::path& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

std::string Text(const json::value& value) { return json::serialize(value); }

// Lists that are sets in an answer.
bool IsSet(std::string_view key) {
  return key == "warnings" || key == "dev_nodes" || key == "shared_dev_nodes" || key == "isa" ||
         key == "members";
}

// The same value, whatever its kind of number; sets in any order.
bool Same(std::string_view key, const json::value& a, const json::value& b) {
  if (a.is_number() && b.is_number()) return a.to_number<double>() == b.to_number<double>();
  if (a.is_array() && b.is_array()) {
    std::vector<std::string> left, right;
    for (const json::value& v : a.get_array()) left.push_back(Text(v));
    for (const json::value& v : b.get_array()) right.push_back(Text(v));
    if (IsSet(key)) std::sort(left.begin(), left.end()), std::sort(right.begin(), right.end());
    return left == right;
  }
  if (a.is_object() && b.is_object()) {
    if (a.get_object().size() != b.get_object().size()) return false;
    for (const auto& [name, value] : a.get_object()) {
      const json::value* other = b.get_object().if_contains(name);
      if (other == nullptr || !Same({name.data(), name.size()}, value, *other)) return false;
    }
    return true;
  }
  return a == b;
}

bool Near(const json::value& a, const json::value& b) {
  if (a.is_null() || b.is_null()) return a.is_null() && b.is_null();
  const double x = a.to_number<double>(), y = b.to_number<double>();
  return std::abs(x - y) <= kNominal * y;
}

std::map<std::string, const json::object*> ById(const json::value& list) {
  std::map<std::string, const json::object*> by_id;
  for (const json::value& item : list.as_array())
    by_id[std::string(item.at("id").as_string())] = &item.as_object();
  return by_id;
}

void Compare(const std::string& what, const json::object& expected, const json::object& got,
             std::vector<std::string>* out) {
  for (const auto& [name, value] : expected) {
    const json::value* found = got.if_contains(name);
    const bool nominal = name == "memory_bytes" && got.contains("memory_source") &&
                         got.at("memory_source") == "table";
    if (found == nullptr ||
        !(nominal ? Near(*found, value) : Same({name.data(), name.size()}, value, *found)))
      out->push_back(fmt::format("{} {}: {} expected, {} found", what,
                                 std::string_view(name.data(), name.size()), Text(value),
                                 found == nullptr ? "nothing" : Text(*found)));
  }
}

void CompareIds(const char* what, const json::value& expected, const json::value& got,
                std::vector<std::string>* out) {
  const auto left = ById(expected), right = ById(got);
  for (const auto& [id, item] : left) {
    if (const auto it = right.find(id); it == right.end()) {
      out->push_back(fmt::format("{} {} is missing", what, id));
    } else {
      Compare(fmt::format("{} {}", what, id), *item, *it->second, out);
    }
  }
  for (const auto& [id, item] : right)
    if (!left.contains(id)) out->push_back(fmt::format("{} {} is not expected", what, id));
}

std::set<std::string> Groups(const json::value& list) {
  std::set<std::string> groups;
  for (const json::value& group : list.as_array()) {
    std::set<std::string> members;
    for (const json::value& m : group.at("members").as_array()) members.insert(Text(m));
    std::string text = Text(group.at("kind"));
    for (const std::string& m : members) text += " " + m;
    groups.insert(text);
  }
  return groups;
}

void CheckMemory(const std::string& what, const json::value& whole, const json::value& broken,
                 std::vector<std::string>* out) {
  if (broken.is_null()) return;
  if (whole.is_null() || !Near(broken, whole))
    out->push_back(fmt::format("{}: memory is {}, really {}", what, Text(broken), Text(whole)));
}

}  // namespace

std::vector<Machine> RecordedMachines() {
  std::vector<Machine> machines;
  for (const auto& entry : fs::directory_iterator(fs::path(ALLOT_SOURCE_DIR) / "tests/machines"))
    if (fs::exists(entry.path() / "expected.json"))
      machines.push_back({entry.path().filename(), entry.path()});
  std::sort(machines.begin(), machines.end(),
            [](const Machine& a, const Machine& b) { return a.name < b.name; });
  return machines;
}

json::object Expected(const Machine& machine) {
  return json::parse(ReadFile(fs::path(machine.folder) / "expected.json")).as_object();
}

json::object Discover(std::shared_ptr<const Host> host) {
  auto vendors = MakeVendors({}, Catalogue::BuiltIn(), host);
  Inventory inventory(*std::move(vendors), host);
  return json::parse(DiscoveryJson(inventory.DiscoverAll(), ReadCpuMachine(*host))).as_object();
}

std::vector<std::string> Differences(const json::object& expected, const json::object& got) {
  std::vector<std::string> out;
  json::object top;
  for (const char* key : {"platform", "mem_total_bytes"}) top[key] = expected.at(key);
  Compare("machine", top, got, &out);
  Compare("cpu", expected.at("cpu").as_object(), got.at("cpu").as_object(), &out);
  CompareIds("device", expected.at("devices"), got.at("devices"), &out);
  CompareIds("ignored", expected.at("ignored"), got.at("ignored"), &out);
  if (Groups(expected.at("groups")) != Groups(got.at("groups")))
    out.push_back(fmt::format("groups: {} expected, {} found", Text(expected.at("groups")),
                              Text(got.at("groups"))));
  return out;
}

std::vector<std::string> Violations(const json::object& expected, const json::object& got) {
  std::vector<std::string> out;
  const auto whole = ById(expected.at("devices"));
  std::set<std::string> functions;  // a partition's parent, a chip known by its function only
  for (const auto& [id, device] : whole) functions.insert(id.substr(0, id.find('/')));
  const bool named_by_driver = !whole.empty() && whole.begin()->first.starts_with("neuron");
  for (const auto& [id, device] : ById(got.at("devices"))) {
    const auto it = whole.find(id);
    if (it == whole.end()) {
      if (!functions.contains(id) && !named_by_driver)
        out.push_back(fmt::format("{} is no device of this machine", id));
      continue;
    }
    CheckMemory(id, it->second->at("memory_bytes"), device->at("memory_bytes"), &out);
    const json::value& shown = device->at("visible_env");
    if (!shown.is_null() && shown != it->second->at("visible_env"))
      out.push_back(fmt::format("{} is shown as {}", id, Text(shown)));
    std::set<std::string> own;
    for (const json::value& node : it->second->at("dev_nodes").as_array()) own.insert(Text(node));
    for (const json::value& node : device->at("dev_nodes").as_array())
      if (!own.contains(Text(node)))
        out.push_back(fmt::format("{} has the node {} of another", id, Text(node)));
  }
  CheckMemory("machine", expected.at("mem_total_bytes"), got.at("mem_total_bytes"), &out);
  std::map<int64_t, json::value> nodes;
  for (const json::value& node : expected.at("cpu").at("numa_nodes").as_array())
    nodes[node.at("id").as_int64()] = node.at("mem_bytes");
  for (const json::value& node : got.at("cpu").at("numa_nodes").as_array())
    CheckMemory("NUMA node", nodes[node.at("id").to_number<int64_t>()], node.at("mem_bytes"), &out);
  return out;
}

Copy::Copy(const Machine& machine) {
  std::string pattern = fs::temp_directory_path() / "allot-machine-XXXXXX";
  folder_ = mkdtemp(pattern.data());
  fs::copy(machine.folder, folder_, fs::copy_options::recursive);
}

Copy::~Copy() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

std::shared_ptr<const Host> Copy::host() const { return *Host::Recorded(folder_); }

std::vector<std::string> Copy::Files() const {
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder_))
    if (entry.is_regular_file() && entry.path().filename() != "expected.json")
      files.push_back(fs::relative(entry.path(), folder_).generic_string());
  std::sort(files.begin(), files.end());
  return files;
}

std::string Copy::Read(const std::string& file) const { return ReadFile(fs::path(folder_) / file); }

void Copy::Write(const std::string& file, const std::string& text) const {
  fs::create_directories((fs::path(folder_) / file).parent_path());
  std::ofstream(fs::path(folder_) / file) << text;
}

void Copy::WriteProgram(const std::string& file, const std::string& text) const {
  Write(file, text);
  fs::permissions(fs::path(folder_) / file, fs::perms::owner_all);
}

bool Copy::Has(const std::string& path) const { return fs::exists(fs::path(folder_) / path); }

void Copy::Remove(const std::string& path) const { fs::remove_all(fs::path(folder_) / path); }

void Copy::MakeLinksReal() const {
  std::istringstream lines(Read("links.txt"));
  for (std::string line; std::getline(lines, line);) {
    const size_t arrow = line.find(" -> ");
    if (line.starts_with('#') || arrow == line.npos) continue;
    const fs::path link = fs::path(folder_) / line.substr(0, arrow);
    fs::create_directories(link.parent_path());
    fs::create_symlink(line.substr(arrow + 4), link);
  }
  Remove("links.txt");
}

Unplugged::Unplugged(const Copy& copy, const std::string& part) : copy_(copy) {
  for (const std::string& file : copy.Files())
    if (("/" + file).find("/" + part + "/") != std::string::npos || file == "links.txt")
      taken_[file] = copy.Read(file);
  for (const auto& [file, text] : taken_) copy.Remove(file);
  // Folders too, as a driver would take them away.
  for (const char* folder :
       {"sys/bus/pci/devices/", "proc/driver/nvidia/gpus/", "sys/devices/virtual/neuron_device/"})
    copy.Remove(folder + part);
  std::string kept;
  std::istringstream lines(taken_["links.txt"]);
  for (std::string line; std::getline(lines, line);)
    if (line.find(part) == std::string::npos) kept += line + "\n";
  copy.Write("links.txt", kept);
}

void Unplugged::PlugIn() const {
  for (const auto& [file, text] : taken_) copy_.Write(file, text);
}

std::vector<std::string> BrokenTexts(const std::string& text, Rng& rng) {
  std::string noise(64, ' ');
  for (char& c : noise) c = static_cast<char>(rng.Below(256));
  return {"",
          text.substr(0, text.size() / 2),
          text.substr(0, text.size() - std::min<size_t>(text.size(), 1)),
          noise,
          "garbage\n",
          "99999999999999999999999\n",
          "-1\n",
          "0\n",
          "12345\n"};
}

}  // namespace allot::agent::kit
