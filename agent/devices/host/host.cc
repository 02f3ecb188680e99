#include "agent/devices/host/host.h"

#include <algorithm>
#include <cstdlib>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace allot::agent {
namespace {

constexpr size_t kNamesMax = 65536;
constexpr int kLinksMax = 16;    // as many as the kernel would follow is not needed here
constexpr int kDevDepthMax = 3;  // /dev/tenstorrent/by-id/…

// "/sys/a/../b/./c" → "/sys/b/c"; never above the root.
std::string Normalized(std::string_view path) {
  std::vector<std::string_view> parts;
  for (const std::string_view part : Split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (!parts.empty()) {
      parts.pop_back();
    }
  }
  std::string out;
  for (const std::string_view part : parts) (out += '/') += part;
  return out.empty() ? "/" : out;
}

std::string_view LastPart(std::string_view path) { return path.substr(path.rfind('/') + 1); }
std::string_view Folder(std::string_view path) {
  return path.substr(0, std::max<size_t>(1, path.rfind('/')));
}

}  // namespace

void DevNodes::Add(DevNode node) {
  by_number_.try_emplace(node.number, node.path);
  if (by_number_.at(node.number) > node.path) by_number_[node.number] = node.path;
  by_path_[std::move(node.path)] = node.number;
}

bool DevNodes::Has(std::string_view path) const { return by_path_.find(path) != by_path_.end(); }

std::optional<std::string> DevNodes::Find(DeviceNumber number) const {
  const auto it = by_number_.find(number);
  return it == by_number_.end() ? std::nullopt : std::optional<std::string>(it->second);
}

std::vector<std::string> DevNodes::StartingWith(std::string_view prefix) const {
  std::vector<std::string> paths;
  for (auto it = by_path_.lower_bound(prefix);
       it != by_path_.end() && it->first.starts_with(prefix); ++it)
    paths.push_back(it->first);
  return paths;
}

std::vector<std::string> DevNodes::Existing(const std::vector<std::string>& paths) const {
  std::vector<std::string> out;
  std::copy_if(paths.begin(), paths.end(), std::back_inserter(out),
               [&](const std::string& path) { return Has(path); });
  return out;
}

std::shared_ptr<const Host> Host::Live() { return std::shared_ptr<const Host>(new Host()); }

StatusOr<std::shared_ptr<const Host>> Host::Recorded(const std::string& root,
                                                     RecordedOptions options) {
  struct stat info {};
  if (stat(root.c_str(), &info) != 0)
    return NotFound(
        "no folder {}: give the root of a recorded machine, the one that has sys and "
        "proc in it",
        root);
  if (!S_ISDIR(info.st_mode))
    return InvalidArgument("{} is not a folder: give the root of a recorded machine", root);
  auto host = std::shared_ptr<Host>(new Host());
  host->root_ = root;
  host->tools_ = options.tools;
  host->programs_ = options.programs;
  while (host->root_.size() > 1 && host->root_.back() == '/') host->root_.pop_back();
  if (stat((root + "/sys").c_str(), &info) != 0 && stat((root + "/proc").c_str(), &info) != 0)
    return InvalidArgument("{} has neither sys nor proc in it, so it is not a recorded machine",
                           root);
  host->ReadLinks();
  return std::shared_ptr<const Host>(std::move(host));
}

void Host::ReadLinks() {
  const std::string text = Read("/links.txt").value_or("");
  for (const std::string_view line : CompleteLines(text)) {
    const size_t arrow = line.find(" -> ");
    if (line.starts_with('#') || arrow == line.npos) continue;
    const std::string path = Normalized(Trim(line.substr(0, arrow)));
    const std::string_view target = Trim(line.substr(arrow + 4));
    if (path == "/" || target.empty()) continue;
    links_[path] = Normalized(target.starts_with('/') ? std::string(target)
                                                      : fmt::format("{}/{}", Folder(path), target));
    linked_names_[std::string(Folder(path))][std::string(LastPart(path))] = true;
  }
}

std::string Host::Resolve(std::string_view path, bool follow_last) const {
  std::string at(path);
  if (links_.empty()) return root_ + at;
  for (int hops = 0; hops < kLinksMax; ++hops) {
    // The longest prefix that is one of our links decides; most paths have none.
    size_t end = follow_last ? at.size() : at.rfind('/');
    auto link = links_.end();
    for (; end != at.npos && end > 0; end = at.rfind('/', end - 1))
      if (const auto it = links_.find(at.substr(0, end)); it != links_.end()) {
        link = it;
        break;
      }
    if (link == links_.end()) break;
    at = Normalized(link->second + at.substr(end));
  }
  return root_ + at;
}

std::optional<std::string> Host::Read(std::string_view path) const {
  const int file = open(Resolve(path).c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  if (file < 0) return std::nullopt;
  struct stat info {};
  std::optional<std::string> text;
  if (fstat(file, &info) == 0 && S_ISREG(info.st_mode)) {
    text.emplace();
    char piece[4096];
    ssize_t got = 0;
    while ((got = read(file, piece, sizeof piece)) > 0 && text->size() <= kFileMax)
      text->append(piece, static_cast<size_t>(got));
    if (got < 0 || text->size() > kFileMax) text.reset();
  }
  close(file);
  return text;
}

std::vector<std::string> Host::List(std::string_view path) const {
  std::vector<std::string> names;
  if (DIR* folder = opendir(Resolve(path).c_str()); folder != nullptr) {
    while (const dirent* entry = readdir(folder)) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != ".." && names.size() < kNamesMax) names.emplace_back(name);
    }
    closedir(folder);
  }
  if (!links_.empty())
    if (const auto it = linked_names_.find(Resolve(path).substr(root_.size()));
        it != linked_names_.end())
      for (const auto& [name, set] : it->second) names.push_back(name);
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

std::optional<std::string> Host::LinkName(std::string_view path) const {
  const std::string file = Resolve(path, /*follow_last=*/false);
  if (const auto it = links_.find(file.substr(root_.size())); it != links_.end())
    return std::string(LastPart(it->second));
  char target[4096];
  const ssize_t size = readlink(file.c_str(), target, sizeof target);
  if (size <= 0) return std::nullopt;
  std::string_view text(target, static_cast<size_t>(size));
  while (text.size() > 1 && text.ends_with('/')) text.remove_suffix(1);
  const std::string_view last = LastPart(text);
  if (last.empty() || last == "..") return std::nullopt;
  return std::string(last);
}

std::optional<std::string> Host::Environment(const std::string& name) const {
  if (live()) {
    const char* value = getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  }
  const std::string text = Read("/env.txt").value_or("");
  const auto value = FindField(text, name, '=');
  return value ? std::optional<std::string>(*value) : std::nullopt;
}

void Host::AddLiveNodes(const std::string& folder, int depth, DevNodes* nodes) const {
  DIR* open_folder = opendir((root_ + folder).c_str());
  if (open_folder == nullptr) return;
  size_t seen = 0;
  while (const dirent* entry = readdir(open_folder)) {
    const std::string name = entry->d_name;
    // Big or foreign, and never home to an accelerator.
    if (name.starts_with('.') || name == "shm" || name == "pts" || name == "fd" ||
        name == "mqueue" || name == "hugepages" || name == "disk" || ++seen > kNamesMax)
      continue;
    const std::string path = folder + "/" + name;
    struct stat info {};
    if (lstat((root_ + path).c_str(), &info) != 0) continue;
    if (S_ISCHR(info.st_mode)) nodes->Add({path, {major(info.st_rdev), minor(info.st_rdev)}});
    if (S_ISDIR(info.st_mode) && depth < kDevDepthMax) AddLiveNodes(path, depth + 1, nodes);
  }
  closedir(open_folder);
}

DevNodes Host::ListDevices() const {
  DevNodes nodes;
  const std::optional<std::string> recorded = live() ? std::nullopt : Read("/dev.txt");
  if (!recorded) {
    AddLiveNodes("/dev", 1, &nodes);
    return nodes;
  }
  for (const std::string_view line : CompleteLines(*recorded)) {
    const std::vector<std::string_view> words = Split(line, ' ');
    if (words.size() != 4 || words[1] != "c" || !words[0].starts_with("/dev/")) continue;
    if (const auto number = ParseDeviceNumber(words[2]))
      nodes.Add({std::string(words[0]), *number});
  }
  return nodes;
}

Reading<std::string> Host::Line(std::string_view path) const {
  const std::optional<std::string> text = Read(path);
  if (!text) return {};
  const size_t end = text->find('\n');
  if (end == text->npos) return {Reading<std::string>::kGarbage, {}};
  return {Reading<std::string>::kValue, std::string(Trim(std::string_view(*text).substr(0, end)))};
}

Reading<int64_t> Host::Int(std::string_view path) const {
  const Reading<std::string> line = Line(path);
  if (!line) return {line.garbage() ? Reading<int64_t>::kGarbage : Reading<int64_t>::kAbsent, 0};
  const auto value = ParseInt(*line);
  return {value ? Reading<int64_t>::kValue : Reading<int64_t>::kGarbage, value.value_or(0)};
}

Reading<uint32_t> Host::HexId(std::string_view path, size_t digits) const {
  const Reading<std::string> line = Line(path);
  if (!line) return {line.garbage() ? Reading<uint32_t>::kGarbage : Reading<uint32_t>::kAbsent, 0};
  const auto value = ParseHexId(*line, digits);
  return {value ? Reading<uint32_t>::kValue : Reading<uint32_t>::kGarbage, value.value_or(0)};
}

}  // namespace allot::agent
