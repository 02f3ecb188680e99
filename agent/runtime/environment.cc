#include "agent/runtime/environment.h"

#include <algorithm>
#include <set>

#include "fmt/format.h"
#include "fmt/ranges.h"

namespace allot::agent {
namespace {

std::vector<const Device*> Leased(const EnvironmentBase& base,
                                  const std::vector<std::string>& ids) {
  std::vector<const Device*> leased;
  for (const std::string& id : ids)
    for (const Device& device : base.devices)
      if (device.id == id) leased.push_back(&device);
  return leased;
}

// An emulated device's number means nothing to a real driver: where the node has real devices
// under the same variable, emulated ones must not let a process see them.
void AddVisible(const EnvironmentBase& base, const std::vector<const Device*>& leased,
                Environment* out) {
  std::set<std::string> real;
  std::map<std::string, std::vector<std::string>> visible;
  for (const std::string& variable : base.visible_variables) visible[variable];
  for (const Device& device : base.devices) {
    if (device.visible_variable.empty()) continue;
    visible[device.visible_variable];
    if (!device.emulated) real.insert(device.visible_variable);
  }
  for (const Device* device : leased) {
    if (device->visible_variable.empty()) continue;
    if (device->emulated && real.contains(device->visible_variable)) continue;
    // Shares of one device have the same word, and runtimes refuse to hear it twice.
    std::vector<std::string>& words = visible[device->visible_variable];
    if (std::find(words.begin(), words.end(), device->visible_value) == words.end())
      words.push_back(device->visible_value);
  }
  for (const auto& [variable, values] : visible)
    (*out)[variable] = fmt::format("{}", fmt::join(values, ","));
}

// Where a task finds the endpoints that it leased, each once, in the order of its devices. The
// token itself stays in its file: an environment is shown by ps and kept in crash reports.
void AddEndpoints(const EnvironmentBase& base, const ProcessFiles& own,
                  const std::vector<const Device*>& leased, Environment* out) {
  const auto& tokens =
      own.endpoint_token_files.empty() ? base.endpoint_token_files : own.endpoint_token_files;
  std::vector<std::string> urls, files;
  for (const Device* device : leased) {
    if (device->endpoint.empty() ||
        std::find(urls.begin(), urls.end(), device->endpoint) != urls.end())
      continue;
    urls.push_back(device->endpoint);
    const auto file = tokens.find(device->id);
    files.push_back(file == tokens.end() ? "" : file->second);
  }
  if (urls.empty()) return;
  (*out)["ALLOT_ENDPOINT_URL"] = fmt::format("{}", fmt::join(urls, ","));
  if (std::any_of(files.begin(), files.end(), [](const auto& file) { return !file.empty(); }))
    (*out)["ALLOT_ENDPOINT_TOKEN_FILE"] = fmt::format("{}", fmt::join(files, ","));
}

void AddDevices(const EnvironmentBase& base, const ProcessFiles& files,
                const std::vector<std::string>& ids, Environment* out) {
  const std::vector<const Device*> leased = Leased(base, ids);
  std::vector<std::string> models;
  bool emulated = false;
  for (const Device* device : leased) {
    models.push_back(device->model);
    emulated |= device->emulated;
  }
  (*out)["ALLOT_DEVICE_IDS"] = fmt::format("{}", fmt::join(ids, ","));
  (*out)["ALLOT_DEVICE_MODELS"] = fmt::format("{}", fmt::join(models, ","));
  (*out)["ALLOT_DEVICE_KIND"] =
      std::string(ToString(leased.empty() ? DeviceKind::kCpu : leased.front()->kind));
  (*out)["ALLOT_EMULATED"] = emulated ? "1" : "0";
  AddVisible(base, leased, out);
  for (const Device* device : leased)
    for (const auto& [name, value] : device->environment) (*out)[name] = value;
  if (base.join)
    for (const auto& [name, value] : base.join(leased, base.groups)) (*out)[name] = value;
  AddEndpoints(base, files, leased, out);
}

Environment Base(const EnvironmentBase& base, const Resources& resources,
                 const std::map<std::string, std::string>& user, const ProcessFiles& files) {
  Environment out;
  out["PATH"] = base.path;
  out["HOME"] = files.home.empty() ? base.home : files.home;
  if (!files.user.empty()) out["USER"] = out["LOGNAME"] = files.user;
  if (!files.shell.empty()) out["SHELL"] = files.shell;
  out["LANG"] = "C.UTF-8";
  out["TMPDIR"] = files.scratch;
  // Numeric libraries start a thread per core of the machine unless told what their share is.
  out["OMP_NUM_THREADS"] = std::to_string(std::max<int64_t>(1, resources.cpus / 1000));
  for (const auto& [name, value] : base.network) out[name] = value;
  for (const auto& [name, value] : user) out[name] = value;
  out["ALLOT_NODE"] = base.node_name;
  out[kScratchVariable] = files.scratch;
  return out;
}

}  // namespace

Environment TaskEnvironment(const EnvironmentBase& base, const TaskKey& key,
                            const TaskLaunch& launch, const ProcessFiles& files) {
  Environment out = Base(base, launch.resources, launch.environment, files);
  const std::string rank = std::to_string(key.task.index);
  const std::string world = std::to_string(launch.world_size);
  const std::string main_port = std::to_string(launch.main_port);
  // As torchrun sets them. Each task is a group of its own and sees only its own devices, so its
  // local rank is 0 wherever it runs.
  out["RANK"] = out["GROUP_RANK"] = out["ROLE_RANK"] = rank;
  out["WORLD_SIZE"] = out["GROUP_WORLD_SIZE"] = out["ROLE_WORLD_SIZE"] = world;
  out["LOCAL_RANK"] = "0";
  out["LOCAL_WORLD_SIZE"] = "1";
  out["MASTER_ADDR"] = launch.main_address;
  out["MASTER_PORT"] = main_port;
  out["TORCHELASTIC_RUN_ID"] = ToString(key.task.job);
  out["TORCHELASTIC_RESTART_COUNT"] = std::to_string(key.attempt.value() - 1);

  out["ALLOT_JOB_ID"] = ToString(key.task.job);
  out["ALLOT_JOB_NAME"] = launch.job_name;
  out["ALLOT_TENANT"] = launch.tenant;
  out["ALLOT_TASK_RANK"] = rank;
  out["ALLOT_WORLD_SIZE"] = world;
  out["ALLOT_ATTEMPT"] = std::to_string(key.attempt.value());
  out["ALLOT_MAIN_ADDRESS"] = launch.main_address;
  out["ALLOT_MAIN_PORT"] = main_port;
  out["ALLOT_PEERS"] = fmt::format("{}", fmt::join(launch.peer_addresses, ","));
  out["ALLOT_CHECKPOINT_DIR"] = files.checkpoint_dir;
  out["ALLOT_PROGRESS_FILE"] = files.progress_file;
  out["ALLOT_PREEMPTION_NOTICE_FILE"] = files.preemption_notice_file;
  AddDevices(base, files, launch.device_ids, &out);
  return out;
}

Environment ReplicaEnvironment(const EnvironmentBase& base, ReplicaId id,
                               const ReplicaLaunch& launch, uint16_t port,
                               const ProcessFiles& files) {
  Environment out = Base(base, launch.resources, launch.environment, files);
  out["ALLOT_REPLICA_ID"] = ToString(id);
  out["ALLOT_DEPLOYMENT"] = launch.deployment;
  out["ALLOT_MODEL"] = launch.model;
  out["ALLOT_CONCURRENCY"] = std::to_string(launch.concurrency);
  out["ALLOT_PORT"] = out["PORT"] = std::to_string(port);
  AddDevices(base, files, launch.device_ids, &out);
  return out;
}

std::vector<std::string> ToStrings(const Environment& environment) {
  std::vector<std::string> strings;
  strings.reserve(environment.size());
  for (const auto& [name, value] : environment) strings.push_back(name + "=" + value);
  return strings;
}

std::vector<std::string> ReplacePort(const std::vector<std::string>& argv, uint16_t port) {
  constexpr std::string_view kPlaceholder = "{port}";
  const std::string number = std::to_string(port);
  std::vector<std::string> replaced = argv;
  for (std::string& word : replaced)
    for (size_t at = 0; (at = word.find(kPlaceholder, at)) != word.npos; at += number.size())
      word.replace(at, kPlaceholder.size(), number);
  return replaced;
}

}  // namespace allot::agent
