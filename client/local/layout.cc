#include "client/local/layout.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <thread>

#include "client/local/files.h"
#include "client/policy_file.h"
#include "common/base/text.h"
#include "common/catalogue/catalogue.h"
#include "common/config/bind.h"
#include "common/transport/keys.h"
#include "yaml-cpp/yaml.h"

namespace allot::client::local {
namespace {

constexpr char kWritten[] =
    "# Written by `allot local up`; it writes the file again at each start.\n";

StatusOr<EmulatedDevices> ParseDevices(const std::string& text, const std::string& spec) {
  EmulatedDevices out;
  const size_t colon = text.rfind(':');
  out.model = text.substr(0, colon);
  if (colon != std::string::npos) {
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, out.count);
    if (error != std::errc() || stop != end || out.count < 1 || out.count > 128)
      return InvalidArgument("agent '{}': give a count from 1 to 128 after ':'", spec);
  }
  if (Catalogue::BuiltIn().Find(out.model) != nullptr) return out;
  std::vector<std::string> known;
  for (const CatalogueRow& row : Catalogue::BuiltIn().rows()) known.push_back(row.model);
  const std::string near = config::DidYouMean(out.model, known);
  return InvalidArgument("agent '{}': {} is not in the catalogue{}; `allot catalogue` lists it",
                         spec, out.model, near.empty() ? "" : "; did you mean " + near + "?");
}

// The first model of the catalogue that is wished for, as data sheets get renamed.
std::string FirstKnown(const std::vector<std::string>& wishes, DeviceKind kind) {
  for (const std::string& wish : wishes)
    if (Catalogue::BuiltIn().Find(wish) != nullptr) return wish;
  for (const CatalogueRow& row : Catalogue::BuiltIn().rows())
    if (row.kind == kind) return row.model;
  return wishes[0];
}

std::string SpecText(const AgentSpec& agent) {
  std::string out = agent.name + "=";
  if (agent.host) return out + "host";
  for (const EmulatedDevices& d : agent.devices)
    out += fmt::format("{}{}:{}", out.back() == '=' ? "" : "+", d.model, d.count);
  return out;
}

// An emulated node offers processor share and memory as well: its devices run on the host.
uint32_t DevicesOf(const AgentSpec& agent) {
  uint32_t count = 0;
  for (const EmulatedDevices& d : agent.devices) count += d.count;
  return count;
}

std::string OfferText(const Offer& offer) {
  std::string text = "offer:\n";
  if (offer.cpus) text += fmt::format("  cpus: \"{}\"\n", *offer.cpus);
  return text + fmt::format("  memory: {}MiB\n", offer.memory / kMiB);
}

uint32_t EmulatedDevicesOf(const std::vector<AgentSpec>& all) {
  uint32_t count = 0;
  for (const AgentSpec& agent : all)
    if (!agent.host) count += DevicesOf(agent);
  return count;
}

Status MakeKey(const std::string& path) {
  if (Exists(path)) return absl::OkStatus();
  return transport::SaveKeyFile(path, transport::NewKeyPair());
}

}  // namespace

Machine ThisMachine() {
  return {std::max(1U, std::thread::hardware_concurrency()),
          static_cast<Bytes>(sysconf(_SC_PHYS_PAGES)) * static_cast<Bytes>(sysconf(_SC_PAGESIZE))};
}

bool SharesProcessors(const std::vector<AgentSpec>& all, uint32_t processors) {
  return EmulatedDevicesOf(all) + 1 <= processors;
}

Offer OfferOf(const AgentSpec& agent, const std::vector<AgentSpec>& all, const Machine& machine) {
  const uint32_t emulated = EmulatedDevicesOf(all);
  const auto nodes = static_cast<Bytes>(
      std::count_if(all.begin(), all.end(), [](const AgentSpec& a) { return !a.host; }));
  const Bytes each =
      nodes == 0 ? 0 : std::max<Bytes>(kEmulatedMemoryMin, machine.memory / 4 / nodes);
  Offer offer;
  offer.memory =
      agent.host ? std::max<Bytes>(kEmulatedMemoryMin, machine.memory - each * nodes) : each;
  if (SharesProcessors(all, machine.processors))
    offer.cpus = agent.host ? machine.processors - emulated : DevicesOf(agent);
  else if (!agent.host)
    offer.cpus = machine.processors;
  return offer;
}

StatusOr<AgentSpec> ParseAgentSpec(const std::string& text) {
  AgentSpec agent;
  const size_t equals = text.find('=');
  agent.name = text.substr(0, equals);
  if (!IsName(agent.name) || agent.name == "scheduler" || agent.name == "gateway")
    return InvalidArgument("agent '{}': \"{}\" is no name for a node; {}", text, agent.name,
                           kNameHelp);
  const std::string what = equals == std::string::npos ? agent.name : text.substr(equals + 1);
  if (what == "host") {
    agent.host = true;
    return agent;
  }
  if (equals == std::string::npos)
    return InvalidArgument(
        "agent '{}': give NAME=MODEL:COUNT (as gpu=nvidia/h100-sxm-80g:2) or `host`", text);
  for (size_t start = 0; start <= what.size();) {
    const size_t end = std::min(what.find('+', start), what.size());
    ASSIGN_OR_RETURN(EmulatedDevices devices, ParseDevices(what.substr(start, end - start), text));
    agent.devices.push_back(std::move(devices));
    start = end + 1;
  }
  return agent;
}

std::vector<AgentSpec> DefaultAgents() {
  return {{"host", true, {}},
          {"gpu",
           false,
           {{FirstKnown({"nvidia/h100-sxm-80g", "nvidia/h100-sxm"}, DeviceKind::kGpu), 2}}},
          {"asic", false, {{FirstKnown({"groq/lpu-v1", "groq/groqchip1"}, DeviceKind::kAsic), 2}}}};
}

Layout::Layout(std::string folder) : folder_(Absolute(folder)) {}

Status Layout::Prepare(const std::vector<AgentSpec>& agents) const {
  if (!IsValidUtf8(folder_))
    return InvalidArgument(
        "the folder {} is not valid UTF-8, so neither configs nor the API could name it; give "
        "another "
        "with --dir",
        ReplaceInvalidUtf8(folder_));
  for (const char* folder : {"", "keys", "agents", "logs", "nodes", "scheduler", "checkpoints"})
    RETURN_IF_ERROR(MakeFolder(File(folder)));
  std::set<std::string> names;
  std::string text = "# The agents of this local cluster.\nagents:\n";
  RETURN_IF_ERROR(MakeKey(File("keys/scheduler.key")));
  for (const AgentSpec& agent : agents) {
    if (!names.insert(agent.name).second)
      return InvalidArgument("two agents are named {}; names must differ", agent.name);
    RETURN_IF_ERROR(MakeFolder(NodeState(agent.name)));
    const std::string key_file = File("keys/" + agent.name + ".key");
    RETURN_IF_ERROR(MakeKey(key_file));
    ASSIGN_OR_RETURN(const transport::KeyPair keys, transport::LoadKeyFile(key_file));
    RETURN_IF_ERROR(transport::EnrollPeer(
        File("allow.yaml"), {agent.name, keys.public_key, transport::Role::kAgent}, true));
    text += fmt::format("  - \"{}\"\n", SpecText(agent));
  }
  return WriteFile(File("cluster.yaml"), text, 0644);
}

StatusOr<std::vector<AgentSpec>> Layout::LoadAgents() const {
  const std::string path = File("cluster.yaml");
  if (!Exists(path)) return NotFound("{} holds no local cluster", folder_);
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  std::vector<AgentSpec> agents;
  try {
    for (const YAML::Node& line : YAML::Load(text)["agents"]) {
      ASSIGN_OR_RETURN(AgentSpec agent, ParseAgentSpec(line.as<std::string>()));
      agents.push_back(std::move(agent));
    }
  } catch (const YAML::Exception& e) {
    return InvalidArgument("{}: {}", path, e.what());
  }
  if (agents.empty())
    return InvalidArgument("{} names no agent; remove the folder to start over", path);
  return agents;
}

namespace {

// The first gang of each cluster takes its range's first port, so two clusters on one machine (of
// two people, of two tests) would meet there: their ranges begin at random, and always the same.
uint32_t FirstTaskPort(const std::string& folder) {
  uint64_t hash = 14'695'981'039'346'656'037u;  // FNV-1a
  for (const char c : folder) hash = (hash ^ static_cast<uint8_t>(c)) * 1'099'511'628'211u;
  return 20'000 + static_cast<uint32_t>(hash % 9'900);
}

}  // namespace

Status Layout::WriteSchedulerConfig(const Listen& listen) const {
  std::string text = kWritten;
  text += fmt::format(
      "state_dir: scheduler\nlisten: {}\nhttp_listen: {}\nkey_file: keys/scheduler.key\n"
      "allow_file: allow.yaml\nlocal: true\ncheckpoint_root: checkpoints\n",
      listen.endpoint, listen.http);
  const uint32_t port = FirstTaskPort(folder());
  text += fmt::format("task_port_min: {}\ntask_port_max: {}\n", port, port + 99);
  if (Exists(File("policy.yaml"))) text += "policy_file: policy.yaml\n";
  text += fmt::format("gateway:\n  listen: {}\n  http_listen: {}\n", listen.gateway_endpoint,
                      listen.gateway_http);
  return WriteFile(SchedulerConfig(), text, 0644);
}

Status Layout::WriteAgentConfig(const AgentSpec& agent,
                                const std::string& scheduler_endpoint) const {
  ASSIGN_OR_RETURN(const transport::KeyPair scheduler,
                   transport::LoadKeyFile(File("keys/scheduler.key")));
  std::string text = kWritten;
  // The Z85 alphabet has characters that mean something to YAML, but no single quote.
  text += fmt::format(
      "name: {}\nstate_dir: ../nodes/{}\nscheduler: {}\nscheduler_public_key: '{}'\n"
      "key_file: ../keys/{}.key\naddress: 127.0.0.1\nhttp_listen: 127.0.0.1:0\n"
      // One person's cluster, whose work is to find that person's files.
      "users: {{separation: off}}\n",
      agent.name, agent.name, scheduler_endpoint, scheduler.public_key, agent.name);
  if (!agent.host) {
    text += "devices:\n  cpu: false\n  nvidia: false\n  emulated:\n";
    for (const EmulatedDevices& d : agent.devices)
      text += fmt::format("    - {{model: {}, count: {}}}\n", d.model, d.count);
  }
  ASSIGN_OR_RETURN(const std::vector<AgentSpec> all, LoadAgents());
  text += OfferText(OfferOf(agent, all, ThisMachine()));
  return WriteFile(AgentConfig(agent.name), text, 0644);
}

Status Layout::WritePolicy(const std::string& file_or_name) const {
  ASSIGN_OR_RETURN(const PolicyText text, FindPolicy(file_or_name));
  RETURN_IF_ERROR(CheckPolicy(text).status());
  return WriteFile(File("policy.yaml"), text.yaml, 0644);
}

}  // namespace allot::client::local
