// Checks across the fields of the programs' own files.
#include <algorithm>
#include <set>

#include "common/base/address.h"
#include "common/base/loopback.h"
#include "common/base/printable.h"
#include "common/base/url.h"
#include "common/base/utc.h"
#include "common/config/checks.h"

namespace allot::config {
namespace {

constexpr size_t kGlobBytesMax = 128;

// "tcp://HOST:PORT" or, without scheme, "HOST:PORT". Returns the host.
StatusOr<std::string> HostOf(std::string_view key, std::string_view address,
                             std::string_view scheme) {
  const auto wrong = [&] {
    return InvalidArgument("{} is \"{}\"; write it like {}127.0.0.1:7400", key, address, scheme);
  };
  std::string_view rest = address;
  if (!rest.starts_with(scheme)) return wrong();
  rest.remove_prefix(scheme.size());
  const size_t colon = rest.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return wrong();
  const std::string_view port = rest.substr(colon + 1);
  if (port.empty() || port.size() > 5 ||
      port.find_first_not_of("0123456789") != std::string_view::npos) {
    return wrong();
  }
  if (std::stoi(std::string(port)) > 65535) {
    return InvalidArgument("{} is \"{}\"; a port is 65535 at most", key, address);
  }
  const std::string_view host = rest.substr(0, colon);
  if (host.find(':') != std::string_view::npos && !(host.starts_with('[') && host.ends_with(']'))) {
    return InvalidArgument(
        "{} is \"{}\"; an IPv6 address stands in brackets, like {}[fd00::1]:7400", key, address,
        scheme);
  }
  return std::string(host);
}

Status CheckListen(std::string_view key, const std::string& address, std::string_view scheme,
                   bool local) {
  if (address.empty()) return absl::OkStatus();  // The defaults are loopback.
  ASSIGN_OR_RETURN(const std::string host, HostOf(key, address, scheme));
  if (!local || IsLoopbackHost(host)) return absl::OkStatus();
  return InvalidArgument(
      "{} is \"{}\" with local: true; a local cluster listens on loopback only, so use 127.0.0.1 "
      "or set tokens_file and local: false",
      key, address);
}

// Without tokens there is nothing between a stranger and what the programs may do.
Status CheckAuth(std::string_view auth, bool local) {
  if (auth != "none" || local) return absl::OkStatus();
  return InvalidArgument(
      "auth is none without local: true; only on loopback may everybody come in, so give "
      "tokens_file or set local: true");
}

// One address or several, as `scheduler` has them.
Status CheckEndpoints(std::string_view key,
                      const google::protobuf::RepeatedPtrField<std::string>& endpoints) {
  for (int i = 0; i < endpoints.size(); ++i) {
    const std::string at = endpoints.size() == 1 ? std::string(key) : fmt::format("{}[{}]", key, i);
    const bool bare = endpoints[i].find("://") == std::string::npos;  // "head:7400"
    RETURN_IF_ERROR(HostOf(at, endpoints[i], bare ? "" : "tcp://").status());
  }
  return absl::OkStatus();
}

// What others are told means the same everywhere: no wildcard, and loopback only where what it is
// told of listens on loopback too.
Status CheckAdvertise(std::string_view key, const std::string& advertise, std::string_view scheme,
                      const std::string& listen) {
  if (advertise.empty()) return absl::OkStatus();
  const std::string address = scheme.empty() ? advertise : WithScheme(advertise);
  ASSIGN_OR_RETURN(const std::string host, HostOf(key, address, scheme));
  if (IsWildcardHost(host)) {
    return InvalidArgument(
        "{} is \"{}\", which means nothing on another machine; give a name or an address of this "
        "one",
        key, advertise);
  }
  if (IsLoopbackHost(host) && !listen.empty() && !IsLoopbackAddress(listen)) {
    return InvalidArgument(
        "{} is \"{}\", which is every machine itself, and what it is told of listens on {}; give a "
        "name or an address that others reach",
        key, advertise, listen);
  }
  return absl::OkStatus();
}

Status CheckPublicKey(std::string_view key, std::string_view text) {
  // Z85: 32 bytes in 40 characters of this alphabet.
  constexpr std::string_view kAlphabet =
      "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
  if (text.size() == 40 && text.find_first_not_of(kAlphabet) == std::string_view::npos) {
    return absl::OkStatus();
  }
  return InvalidArgument("{} is not a public key; it has 40 characters, as `allot keys new` prints",
                         key);
}

bool AllHex(std::string_view text, size_t digits) {
  return text.size() == digits &&
         text.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos;
}

// "1e52:b140" or "0000:17:00.0", whose domain may have more digits.
bool IsPciMatch(std::string_view text) {
  if (text.size() == 9)
    return AllHex(text.substr(0, 4), 4) && text[4] == ':' && AllHex(text.substr(5), 4);
  if (text.size() < 12 || text.size() > 16) return false;
  const std::string_view domain = text.substr(0, text.size() - 8),
                         slot = text.substr(domain.size());
  return AllHex(domain, domain.size()) && slot[0] == ':' && AllHex(slot.substr(1, 2), 2) &&
         slot[3] == ':' && AllHex(slot.substr(4, 2), 2) && slot[6] == '.' && slot[7] >= '0' &&
         slot[7] <= '7';
}

// Only {n} and, where the row has a PCI match, {pci} are filled in.
Status CheckTemplate(const std::string& path, std::string_view text, bool has_pci) {
  for (size_t at = 0; (at = text.find('{', at)) != std::string_view::npos; ++at) {
    const std::string_view rest = text.substr(at);
    if (rest.starts_with("{n}")) continue;
    if (!rest.starts_with("{pci}")) {
      return InvalidArgument("{} is \"{}\"; what is filled in is {{n}} and {{pci}}", path, text);
    }
    if (!has_pci) {
      return InvalidArgument("{} is \"{}\"; without pci there is no address to fill in", path,
                             text);
    }
  }
  return absl::OkStatus();
}

Status CheckDeviceFiles(const std::string& path,
                        const google::protobuf::RepeatedPtrField<std::string>& files,
                        bool has_pci) {
  for (int i = 0; i < files.size(); ++i) {
    const std::string at = fmt::format("{}[{}]", path, i);
    if (!files[i].starts_with("/dev/")) {
      return InvalidArgument("{} is \"{}\"; a device file is below /dev", at, files[i]);
    }
    RETURN_IF_ERROR(CheckTemplate(at, files[i], has_pci));
  }
  return absl::OkStatus();
}

Status CheckStatic(const AgentDevices& devices) {
  std::set<std::string> names, matches;
  for (int i = 0; i < devices.static__size(); ++i) {
    const StaticDevice& row = devices.static_(i);
    const std::string path = fmt::format("devices.static[{}]", i);
    if (!names.insert(row.name()).second) {
      return InvalidArgument("{}.name is \"{}\", as that of a row before it", path, row.name());
    }
    const size_t slash = row.model().find('/');
    if (slash == 0 || slash == std::string::npos || slash + 1 == row.model().size() ||
        row.model().find_first_of(" *?/", slash + 1) != std::string::npos) {
      return InvalidArgument("{}.model is \"{}\"; write it like acme/npu-9", path, row.model());
    }
    const bool has_pci = !row.pci().empty();
    if (has_pci && !IsPciMatch(row.pci())) {
      return InvalidArgument(
          "{}.pci is \"{}\"; write vendor:device like 1e52:b140, or an address like 0000:17:00.0",
          path, row.pci());
    }
    std::string match = row.pci();
    for (char& c : match) c = static_cast<char>(c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c);
    if (has_pci && !matches.insert(match).second) {
      return InvalidArgument("{}.pci is \"{}\", as that of a row before it", path, row.pci());
    }
    RETURN_IF_ERROR(CheckDeviceFiles(path + ".nodes", row.nodes(), has_pci));
    RETURN_IF_ERROR(CheckDeviceFiles(path + ".shared_nodes", row.shared_nodes(), has_pci));
    if (row.visible_variable().find_first_of(std::string_view("= \0", 3)) != std::string::npos) {
      return InvalidArgument("{}.visible_variable is \"{}\"; that is no name of a variable", path,
                             row.visible_variable());
    }
    if (!row.visible_value().empty() && row.visible_variable().empty()) {
      return InvalidArgument("{}.visible_value is set and visible_variable is not", path);
    }
    RETURN_IF_ERROR(CheckTemplate(path + ".visible_value", row.visible_value(), has_pci));
  }
  return absl::OkStatus();
}

Status CheckSharing(const AgentDevices& devices) {
  for (int i = 0; i < devices.sharing_size(); ++i) {
    const DeviceShares& row = devices.sharing(i);
    if (row.mode() == "units" && row.shares() != 0) {
      return InvalidArgument(
          "devices.sharing[{}].shares is {} with mode units; a device has the parts it is made of, "
          "so leave it out",
          i, row.shares());
    }
    if (row.mode() != "units" && row.shares() == 0) {
      return InvalidArgument("devices.sharing[{}].shares is missing; how many of each device?", i);
    }
  }
  return absl::OkStatus();
}

Status CheckEndpoint(std::string_view key, const EndpointDevice& endpoint) {
  const StatusOr<Url> url = ParseUrl(endpoint.url());
  if (!url.ok()) return InvalidArgument("{}.url {}", key, MessageOf(url.status()));
  if (url->path.ends_with("/v1")) {
    return InvalidArgument("{}.url is \"{}\"; leave out /v1, requests bring it along", key,
                           endpoint.url());
  }
  if (!url->secure && !endpoint.ca_file().empty()) {
    return InvalidArgument("{}.ca_file is set, but its url is not https://", key);
  }
  const std::string& path = endpoint.health_path();
  if (!path.empty() &&
      (!path.starts_with('/') || path.find_first_of(" \t\r\n#") != std::string::npos)) {
    return InvalidArgument("{}.health_path is \"{}\"; give a path like /v1/models", key, path);
  }
  return absl::OkStatus();
}

}  // namespace

Status Check(const Scheduler& scheduler) {
  RETURN_IF_ERROR(CheckListen("listen", scheduler.listen(), "tcp://", scheduler.local()));
  RETURN_IF_ERROR(CheckListen("http_listen", scheduler.http_listen(), "", scheduler.local()));
  RETURN_IF_ERROR(CheckAuth(scheduler.auth(), scheduler.local()));
  if (scheduler.auth() != "none" && scheduler.tokens_file().empty()) {
    return InvalidArgument(
        "tokens_file is missing; the API asks for tokens, which `allot keys token` makes. On a "
        "machine of yours alone local: true with auth: none does without, and then everybody on it "
        "runs jobs as this scheduler's nodes do");
  }
  for (int i = 0; i < scheduler.advertise_size(); ++i) {
    RETURN_IF_ERROR(CheckAdvertise(fmt::format("advertise[{}]", i), scheduler.advertise(i),
                                   "tcp://", scheduler.listen()));
  }
  RETURN_IF_ERROR(
      CheckAdvertise("http_advertise", scheduler.http_advertise(), "", scheduler.http_listen()));
  Duration lease = std::chrono::seconds(15), heartbeat = std::chrono::seconds(1);
  RETURN_IF_ERROR(TakeDuration("lease", scheduler.lease(), &lease));
  RETURN_IF_ERROR(TakeDuration("heartbeat_every", scheduler.heartbeat_every(), &heartbeat));
  Duration task_lease = std::chrono::minutes(1), margin = std::chrono::seconds(15);
  RETURN_IF_ERROR(TakeDuration("task_lease", scheduler.task_lease(), &task_lease));
  RETURN_IF_ERROR(TakeDuration("task_lease_margin", scheduler.task_lease_margin(), &margin));
  if (task_lease < 3 * heartbeat) {
    return InvalidArgument(
        "task_lease is {} and heartbeat_every {}; a lease below three heartbeats takes one lost "
        "message for a node that is cut off",
        FormatDuration(task_lease), FormatDuration(heartbeat));
  }
  if (margin < task_lease / 10) {
    return InvalidArgument(
        "task_lease_margin is {} and task_lease {}; it is to be a tenth of that at least, for "
        "clocks that differ and a task that takes its time to end",
        FormatDuration(margin), FormatDuration(task_lease));
  }
  if (lease < 3 * heartbeat) {
    return InvalidArgument(
        "lease is {} and heartbeat_every {}; a lease below three heartbeats takes one lost message "
        "for a lost node",
        FormatDuration(lease), FormatDuration(heartbeat));
  }
  // One that is left out has its default, and a range made of both may be as empty.
  const auto port_min = scheduler.task_port_min() != 0 ? scheduler.task_port_min() : 20'000;
  const auto port_max = scheduler.task_port_max() != 0 ? scheduler.task_port_max() : 29'999;
  if (port_min > port_max) {
    return InvalidArgument("task_port_min is {}, above task_port_max {}; the range has no port",
                           port_min, port_max);
  }
  if (scheduler.has_gateway()) {
    const Gateway& gateway = scheduler.gateway();
    const std::pair<std::string_view, bool> own[] = {
        {"name", !gateway.name().empty()},
        {"state_dir", !gateway.state_dir().empty()},
        {"scheduler", !gateway.scheduler().empty()},
        {"scheduler_public_key", !gateway.scheduler_public_key().empty()},
        {"auth", !gateway.auth().empty()}};
    for (const auto& [key, set] : own) {
      if (set) {
        return InvalidArgument(
            "gateway.{} is set; leave it out, this gateway is inside the "
            "scheduler",
            key);
      }
    }
    RETURN_IF_ERROR(CheckListen("gateway.listen", gateway.listen(), "tcp://", scheduler.local()));
    RETURN_IF_ERROR(
        CheckListen("gateway.http_listen", gateway.http_listen(), "", scheduler.local()));
    RETURN_IF_ERROR(
        CheckAdvertise("gateway.advertise", gateway.advertise(), "tcp://", gateway.listen()));
    RETURN_IF_ERROR(CheckAdvertise("gateway.http_advertise", gateway.http_advertise(), "",
                                   gateway.http_listen()));
    // Agents that reach the scheduler from elsewhere are told of a gateway they cannot reach.
    const bool near = scheduler.listen().empty() || IsLoopbackAddress(scheduler.listen());
    if (!near && gateway.advertise().empty() && IsLoopbackAddress(gateway.listen())) {
      return InvalidArgument(
          "gateway.listen is \"{}\", where agents on other machines cannot reach it, and listen is "
          "\"{}\"; leave gateway.listen out, or give gateway.advertise",
          gateway.listen(), scheduler.listen());
    }
  }
  return absl::OkStatus();
}

Status Check(const Gateway& gateway) {
  const std::pair<std::string_view, const std::string*> needed[] = {
      {"name", &gateway.name()},
      {"state_dir", &gateway.state_dir()},
      {"scheduler_public_key", &gateway.scheduler_public_key()},
      {"key_file", &gateway.key_file()}};
  for (const auto& [key, value] : needed) {
    if (value->empty()) {
      return InvalidArgument("{} is missing; a gateway that is a program of its own needs it", key);
    }
  }
  if (gateway.scheduler().empty()) {
    return InvalidArgument("scheduler is missing; a gateway that is a program of its own needs it");
  }
  RETURN_IF_ERROR(CheckAuth(gateway.auth(), gateway.local()));
  RETURN_IF_ERROR(CheckListen("listen", gateway.listen(), "tcp://", gateway.local()));
  RETURN_IF_ERROR(CheckListen("http_listen", gateway.http_listen(), "", gateway.local()));
  RETURN_IF_ERROR(CheckAdvertise("advertise", gateway.advertise(), "tcp://", gateway.listen()));
  RETURN_IF_ERROR(
      CheckAdvertise("http_advertise", gateway.http_advertise(), "", gateway.http_listen()));
  RETURN_IF_ERROR(CheckEndpoints("scheduler", gateway.scheduler()));
  return CheckPublicKey("scheduler_public_key", gateway.scheduler_public_key());
}

Status Check(const Agent& agent) {
  RETURN_IF_ERROR(CheckEndpoints("scheduler", agent.scheduler()));
  RETURN_IF_ERROR(CheckPublicKey("scheduler_public_key", agent.scheduler_public_key()));
  RETURN_IF_ERROR(CheckListen("http_listen", agent.http_listen(), "", false));
  RETURN_IF_ERROR(
      CheckAdvertise("http_advertise", agent.http_advertise(), "", agent.http_listen()));
  if (IsWildcardHost(agent.address())) {
    return InvalidArgument(
        "address is \"{}\", which means nothing on another machine; leave it out, or give a name "
        "or "
        "an address by which peers reach this node",
        agent.address());
  }
  uint64_t emulated = 0;
  for (const EmulatedDevices& devices : agent.devices().emulated()) {
    emulated += std::max<uint32_t>(devices.count(), 1);
  }
  if (emulated > DeviceSet::kMax) {
    return InvalidArgument("devices.emulated names {} devices; a node has {} at most", emulated,
                           DeviceSet::kMax);
  }
  RETURN_IF_ERROR(CheckStatic(agent.devices()));
  RETURN_IF_ERROR(CheckSharing(agent.devices()));
  uint64_t remote = 0;
  std::set<std::string_view> names;
  for (int i = 0; i < agent.devices().endpoints_size(); ++i) {
    const EndpointDevice& endpoint = agent.devices().endpoints(i);
    const std::string key = fmt::format("devices.endpoints[{}]", i);
    if (!names.insert(endpoint.name()).second) {
      return InvalidArgument("{}: the name \"{}\" is here twice", key, endpoint.name());
    }
    RETURN_IF_ERROR(CheckEndpoint(key, endpoint));
    remote += std::max<uint32_t>(endpoint.capacity(), 1);
  }
  if (remote > DeviceSet::kMax) {
    return InvalidArgument("devices.endpoints have a capacity of {}; a node has {} devices at most",
                           remote, DeviceSet::kMax);
  }
  return absl::OkStatus();
}

Status Check(const Tokens& tokens) {
  std::set<std::string_view> names, digests;
  for (int i = 0; i < tokens.tokens_size(); ++i) {
    const Token& token = tokens.tokens(i);
    if (token.sha256().size() != 64 ||
        token.sha256().find_first_not_of("0123456789abcdef") != std::string::npos) {
      return InvalidArgument(
          "tokens[{}].sha256 is not a digest; it has 64 digits 0-9, a-f, as "
          "`allot keys token` prints",
          i);
    }
    if (!names.insert(token.name()).second) {
      return InvalidArgument("tokens[{}]: the name \"{}\" is here twice", i, token.name());
    }
    if (!token.expires().empty() && !ParseUtc(token.expires())) {
      return InvalidArgument(
          "tokens[{}].expires is \"{}\"; give a moment like 2027-01-31T18:00:00Z (UTC), or a date",
          i, Shown(token.expires()));
    }
    for (const std::string& glob : token.deployments()) {
      if (glob.empty() || glob.size() > kGlobBytesMax)
        return InvalidArgument(
            "tokens[{}].deployments names \"{}\"; give names of deployments, which may hold * and "
            "?",
            i, Shown(glob));
    }
    if (!digests.insert(token.sha256()).second) {
      return InvalidArgument("tokens[{}]: the digest of \"{}\" is here twice", i, token.name());
    }
  }
  return absl::OkStatus();
}

Status Check(const AllowList& list) {
  std::set<std::string_view> names, keys;
  for (int i = 0; i < list.peers_size(); ++i) {
    const AllowedPeer& peer = list.peers(i);
    RETURN_IF_ERROR(CheckPublicKey(fmt::format("peers[{}].public_key", i), peer.public_key()));
    if (!peer.retired_key().empty())
      RETURN_IF_ERROR(CheckPublicKey(fmt::format("peers[{}].retired_key", i), peer.retired_key()));
    if (!names.insert(peer.name()).second) {
      return InvalidArgument("peers[{}]: the name \"{}\" is here twice", i, peer.name());
    }
    if (!keys.insert(peer.public_key()).second) {
      return InvalidArgument(
          "peers[{}]: the key of \"{}\" is another peer's too; one key, one name", i, peer.name());
    }
  }
  return absl::OkStatus();
}

Status Check(const Invitations& list) {
  std::set<std::string_view> keys;
  for (int i = 0; i < list.invitations_size(); ++i) {
    const Invitation& invitation = list.invitations(i);
    RETURN_IF_ERROR(
        CheckPublicKey(fmt::format("invitations[{}].public_key", i), invitation.public_key()));
    if (!keys.insert(invitation.public_key()).second) {
      return InvalidArgument("invitations[{}]: the key is here twice", i);
    }
  }
  return absl::OkStatus();
}

}  // namespace allot::config
