#include "client/enroll/head.h"

#include <ifaddrs.h>
#include <netdb.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "client/enroll/authority.h"
#include "client/interrupts.h"
#include "client/local/addresses.h"
#include "client/local/files.h"
#include "client/tokens.h"
#include "common/auth/tokens.h"
#include "common/base/address.h"
#include "common/base/loopback.h"
#include "common/base/text.h"
#include "common/config/convert.h"
#include "common/program/own_address.h"
#include "common/proto/config.pb.h"
#include "common/transport/invitations.h"

namespace allot::client {

using enroll::InvitationWord;

namespace {

constexpr char kAdmin[] = "admin";
constexpr int kPort = 7400, kApi = 1, kGateway = 10,
              kGatewayHttp = 11;  // the others from the first

struct Ports {
  std::string listen;     // host to bind, with brackets if it needs them
  std::string advertise;  // host others are told, likewise
  int first = kPort;

  std::string Bind(int offset) const {
    return JoinHostPort(listen, std::to_string(first + offset));
  }
  std::string Told(int offset) const {
    return JoinHostPort(advertise, std::to_string(first + offset));
  }
};

bool IsIPv6(std::string_view host) { return host.find(':') != std::string_view::npos; }

StatusOr<Ports> ChoosePorts(const InitOptions& options) {
  Ports ports;
  if (!options.listen.empty()) {
    const std::optional<Address> address = ParseAddress(options.listen);
    ports.listen = address ? address->host : options.listen;
    if (address) ports.first = std::stoi(address->port);
    if (ports.listen.starts_with('[') && ports.listen.ends_with(']'))
      ports.listen = ports.listen.substr(1, ports.listen.size() - 2);
    if (ports.first < 1 || ports.first + kGatewayHttp > 65535)
      return InvalidArgument("--listen {}: give a port from 1 to {}; the {} after it are used too",
                             options.listen, 65535 - kGatewayHttp, kGatewayHttp);
  }
  const bool everywhere = ports.listen.empty() || IsWildcardHost(ports.listen);
  ports.advertise = options.advertise;
  if (ports.advertise.empty()) ports.advertise = everywhere ? program::OwnAddress() : ports.listen;
  if (IsWildcardHost(ports.advertise))
    return InvalidArgument(
        "--advertise {} means nothing on another machine; give a name or an address of this one",
        ports.advertise);
  if (ParseAddress(ports.advertise))
    return InvalidArgument("--advertise {}: give the host alone; ports follow --listen",
                           ports.advertise);
  if (IsLoopbackHost(ports.advertise) && !IsLoopbackHost(ports.listen))
    return InvalidArgument(
        "--advertise {} is every machine itself; give a name or an address that nodes reach",
        ports.advertise);
  if (ports.listen.empty()) ports.listen = IsIPv6(ports.advertise) ? "::" : "0.0.0.0";
  return ports;
}

std::string CertificateFile(const Places& places) { return places.State("scheduler") + "/tls.pem"; }
std::string AuthorityFile(const Places& places) { return places.Config("ca.crt"); }
std::string AuthorityKeyFile(const Places& places) { return places.Config("ca.key"); }

void AddOnce(const std::string& name, std::vector<std::string>* names) {
  if (!name.empty() && std::find(names->begin(), names->end(), name) == names->end())
    names->push_back(name);
}

// How this machine is called by itself and by others, as far as it can tell.
std::vector<std::string> OwnNames(const std::string& advertise) {
  std::vector<std::string> names = {advertise};
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  for (const char* name : {static_cast<const char*>(host), "localhost", "127.0.0.1", "::1"})
    AddOnce(name, &names);
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return names;
  for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr) continue;
    const int family = one->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    char text[NI_MAXHOST];
    if (getnameinfo(one->ifa_addr, family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6),
                    text, sizeof text, nullptr, 0, NI_NUMERICHOST) != 0)
      continue;
    // One with a zone means something on that link only.
    if (std::string_view(text).find('%') == std::string_view::npos) AddOnce(text, &names);
  }
  freeifaddrs(all);
  return names;
}

StatusOr<AuthorityPair> LoadAuthority(const Places& places) {
  AuthorityPair pair;
  if (!local::Exists(AuthorityKeyFile(places)))
    return NotFound(
        "there is no {}: is this the head? `allot cluster renew` there makes an authority where "
        "there is none yet",
        AuthorityKeyFile(places));
  ASSIGN_OR_RETURN(pair.certificate, local::ReadFile(AuthorityFile(places)));
  ASSIGN_OR_RETURN(pair.key, local::ReadFile(AuthorityKeyFile(places)));
  return pair;
}

StatusOr<AuthorityPair> MakeAuthority(const Places& places, Draft* draft) {
  if (local::Exists(AuthorityKeyFile(places))) return LoadAuthority(places);
  char host[256] = "head";
  gethostname(host, sizeof host - 1);
  ASSIGN_OR_RETURN(
      AuthorityPair pair,
      NewAuthority(fmt::format("Allotrope cluster of {}", std::string_view(host).substr(0, 40))));
  RETURN_IF_ERROR(draft->File(AuthorityKeyFile(places), pair.key, 0600));
  RETURN_IF_ERROR(draft->File(AuthorityFile(places), pair.certificate, 0644));
  return pair;
}

std::string SchedulerYaml(const Places& places, const Ports& ports, bool tls, bool plain) {
  const std::string state = places.State("scheduler");
  std::string text =
      "# Written once by `allot cluster init`; yours to change (docs/config.md, Scheduler).\n";
  text += fmt::format(
      "state_dir: \"{0}\"\n"
      "key_file: \"{0}/scheduler.key\"\n"
      "allow_file: \"{0}/allow.yaml\"      # kept by `allot node` and `allot gateway`\n"
      "tokens_file: \"{0}/tokens.yaml\"    # kept by `allot user`\n"
      "checkpoint_root: \"{1}/checkpoints\"  # a folder that every node sees\n",
      state, places.state);
  text += fmt::format(
      "listen: \"tcp://{}\"        # agents and gateways\n"
      "advertise: [\"tcp://{}\"]   # what they are told; a second head is a second line here\n"
      "http_listen: \"{}\"         # the API\n"
      "http_advertise: \"{}\"\n"
      "gateway:\n"
      "  listen: \"tcp://{}\"\n  advertise: \"tcp://{}\"\n"
      "  http_listen: \"{}\"       # model clients\n  http_advertise: \"{}\"\n",
      ports.Bind(0), ports.Told(0), ports.Bind(kApi), ports.Told(kApi), ports.Bind(kGateway),
      ports.Told(kGateway), ports.Bind(kGatewayHttp), ports.Told(kGatewayHttp));
  if (tls)
    text += fmt::format(
        "tls:\n  certificate: \"{}\"   # signed by {}; `allot cluster renew` makes another\n",
        CertificateFile(places), AuthorityFile(places));
  if (plain)
    text += "plain_tokens: true   # by --plain-http: whoever is on the way can read them\n";
  return text;
}

// Belongs to whoever the folder belongs to: root edits it, the scheduler's user reads it.
Status OwnAsFolder(const std::string& path) {
  struct stat folder {};
  if (geteuid() != 0 || stat(std::filesystem::path(path).parent_path().c_str(), &folder) != 0)
    return absl::OkStatus();
  if (chown(path.c_str(), folder.st_uid, folder.st_gid) != 0)
    return FailedPrecondition("cannot give {} to the folder's owner", path);
  return absl::OkStatus();
}

// What a file that is there already says, or that which we have just written.
StatusOr<InitResult> Describe(const Places& places, const std::string& config_file) {
  ASSIGN_OR_RETURN(const Head head, Head::Load(places, config_file));
  ASSIGN_OR_RETURN(const auto config, config::LoadChecked<config::Scheduler>(config_file));
  InitResult result;
  result.config = config_file;
  result.endpoints = head.endpoints;
  result.public_key = head.public_key;
  const std::string host = ParseAddress(head.endpoints.front())->host;
  const auto http = [&](const std::string& listen, const std::string& advertise, bool tls) {
    return fmt::format("{}://{}", tls ? "https" : "http", Advertised(listen, advertise, host));
  };
  result.api = http(config.http_listen().empty() ? "127.0.0.1:7401" : config.http_listen(),
                    config.http_advertise(), config.has_tls());
  if (config.has_tls() && local::Exists(AuthorityFile(places)))
    result.authority_file = AuthorityFile(places);
  if (config.has_gateway())
    result.gateway = http(
        config.gateway().http_listen().empty() ? "127.0.0.1:7411" : config.gateway().http_listen(),
        config.gateway().http_advertise(), config.has_tls() || config.gateway().has_tls());
  result.admin_token_file = places.Config("admin.token");
  result.client_file = places.Config("client.yaml");
  result.unit = {"allot-scheduler", config_file};
  return result;
}

}  // namespace

StatusOr<std::string> AddUserToken(const std::string& tokens_file, TokenRow row, bool replace) {
  ASSIGN_OR_RETURN(std::string token, auth::NewToken());
  row.sha256 = auth::Sha256Hex(token);
  RETURN_IF_ERROR(AddToken(tokens_file, row, replace));
  RETURN_IF_ERROR(OwnAsFolder(tokens_file));
  return token;
}

Status RemoveUserToken(const std::string& tokens_file, const std::string& name) {
  RETURN_IF_ERROR(RemoveToken(tokens_file, name));
  return OwnAsFolder(tokens_file);
}

StatusOr<InitResult> InitCluster(const Places& places, const InitOptions& options) {
  Draft draft;
  const std::string config = places.Config("scheduler.yaml"), state = places.State("scheduler");
  const bool fresh = !local::Exists(config);
  RETURN_IF_ERROR(draft.Folder(places.config, 0755));
  RETURN_IF_ERROR(draft.Folder(places.state, 0755));
  RETURN_IF_ERROR(draft.Folder(state, 0700));
  RETURN_IF_ERROR(draft.Folder(places.state + "/checkpoints", 0711));
  if (fresh) {
    ASSIGN_OR_RETURN(const Ports ports, ChoosePorts(options));
    // On loopback nobody is on the way.
    const bool plain = options.plain_http, tls = !plain && !IsLoopbackHost(ports.listen);
    if (tls) {
      std::vector<std::string> names = OwnNames(ports.advertise);
      for (const std::string& name : options.names) AddOnce(name, &names);
      ASSIGN_OR_RETURN(const AuthorityPair authority, MakeAuthority(places, &draft));
      ASSIGN_OR_RETURN(const std::string certificate, IssueCertificate(authority, names));
      RETURN_IF_ERROR(draft.File(CertificateFile(places), certificate, 0600));
      RETURN_IF_ERROR(draft.GiveAway(CertificateFile(places)));
    }
    RETURN_IF_ERROR(draft.File(config, SchedulerYaml(places, ports, tls, plain), 0644));
  } else if (!options.listen.empty() || !options.advertise.empty() || !options.names.empty() ||
             options.plain_http) {
    return AlreadyExists("{} is there already; edit it instead, or take it away to begin anew",
                         config);
  }
  const std::string key = state + "/scheduler.key", allow = state + "/allow.yaml",
                    tokens = state + "/tokens.yaml", admin = places.Config("admin.token");
  if (!local::Exists(key)) {
    draft.Note(key);
    RETURN_IF_ERROR(transport::SaveKeyFile(key, transport::NewKeyPair()));
  }
  if (!local::Exists(allow)) {
    draft.Note(allow);
    RETURN_IF_ERROR(transport::SaveAllowFile(allow, {}));
  }
  if (!local::Exists(admin)) {
    draft.Note(tokens);
    ASSIGN_OR_RETURN(const std::string token,
                     AddUserToken(tokens, {kAdmin, "admin"}, /*replace=*/true));
    RETURN_IF_ERROR(draft.File(admin, token + "\n", 0600));
  }
  for (const std::string& path : {state, key, allow, tokens, places.state + "/checkpoints"})
    RETURN_IF_ERROR(draft.GiveAway(path));
  ASSIGN_OR_RETURN(InitResult result, Describe(places, config));
  result.fresh = fresh;
  if (!local::Exists(result.client_file))
    RETURN_IF_ERROR(
        draft.File(result.client_file,
                   fmt::format("# Where `allot` on this machine finds the cluster.\n"
                               "server: {}\ntoken_file: admin.token\n{}{}",
                               result.api, result.authority_file.empty() ? "" : "ca_file: ca.crt\n",
                               options.plain_http ? "plain_tokens: true\n" : ""),
                   0644));
  if (InterruptedBy() != 0) return absl::CancelledError("interrupted");
  draft.Keep();
  return result;
}

StatusOr<Head> Head::Load(const Places& places, const std::string& config_file) {
  Head head;
  head.config_file =
      config_file.empty() ? places.Config("scheduler.yaml") : local::Absolute(config_file);
  if (!local::Exists(head.config_file))
    return NotFound(
        "there is no {}: is this the head? `allot cluster init` makes one, --config FILE names "
        "another",
        head.config_file);
  ASSIGN_OR_RETURN(const auto config, config::LoadChecked<config::Scheduler>(head.config_file));
  head.allow_file = config.allow_file();
  head.tokens_file = config.tokens_file();
  head.state_dir = config.state_dir();
  head.certificate_file = config.tls().certificate();
  ASSIGN_OR_RETURN(const transport::KeyPair keys, transport::LoadKeyFile(config.key_file()));
  head.public_key = keys.public_key;
  for (const std::string& endpoint : config.advertise())
    head.endpoints.push_back(WithScheme(endpoint));
  if (head.endpoints.empty()) {
    std::string listen = config.listen().empty() ? "tcp://127.0.0.1:7400" : config.listen();
    // A port that the scheduler chose itself stands in what it has written.
    if (listen.ends_with(":0")) {
      ASSIGN_OR_RETURN(const local::Addresses running, local::ReadAddresses(config.state_dir()));
      listen = running.endpoint;
    }
    head.endpoints.push_back(Advertised(listen, "", program::OwnAddress()));
  }
  return head;
}

StatusOr<InvitationWord> InvitePeer(const Head& head, const std::string& name, transport::Role role,
                                    Duration good_for, bool again) {
  if (!IsName(name)) return InvalidArgument("\"{}\" is no name; {}", name, kNameHelp);
  const transport::KeyPair pair = transport::NewKeyPair();
  const Time now = transport::WallClock();
  RETURN_IF_ERROR(transport::Invite(
      head.allow_file,
      {.name = name, .public_key = pair.public_key, .role = role, .expires = now + good_for}, now,
      again));
  if (InterruptedBy() != 0) {
    (void)transport::Uninvite(head.allow_file, name);
    return absl::CancelledError("interrupted");
  }
  return InvitationWord{name, role, head.endpoints, head.public_key, pair.secret_key};
}

Status RemovePeer(const Head& head, const std::string& name, transport::Role role) {
  const bool invited = transport::Uninvite(head.allow_file, name).ok();
  ASSIGN_OR_RETURN(const auto peers, transport::LoadAllowFile(head.allow_file));
  for (const transport::AllowedPeer& peer : peers) {
    if (peer.name != name) continue;
    if (peer.role != role)
      return InvalidArgument("\"{}\" is a {}; `allot {} remove {}` takes it away", name,
                             transport::RoleName(peer.role),
                             peer.role == transport::Role::kAgent ? "node" : "gateway", name);
    return transport::RevokePeer(head.allow_file, name);
  }
  if (invited) return absl::OkStatus();
  return NotFound("\"{}\" has neither joined nor been invited; {} lists who has", name,
                  head.allow_file);
}

StatusOr<RenewResult> RenewCertificate(const Places& places, const Head& head,
                                       const std::vector<std::string>& names) {
  RenewResult result;
  result.in_config = !head.certificate_file.empty();
  result.certificate_file = result.in_config ? head.certificate_file : CertificateFile(places);
  result.authority_file = AuthorityFile(places);
  Draft draft;
  const bool had_authority = local::Exists(AuthorityKeyFile(places));
  if (result.in_config && !had_authority && local::Exists(result.certificate_file))
    return FailedPrecondition(
        "{} is not from an authority of this cluster's ({} is not there): whoever has signed it "
        "signs the next one, and it is taken up when the file changes",
        result.certificate_file, AuthorityKeyFile(places));
  ASSIGN_OR_RETURN(const AuthorityPair authority, MakeAuthority(places, &draft));
  if (local::Exists(result.certificate_file)) {
    ASSIGN_OR_RETURN(const std::string before, local::ReadFile(result.certificate_file));
    const StatusOr<CertificateFacts> facts = FactsOf(before, authority.certificate);
    if (!facts.ok())
      return FailedPrecondition("{}: {}; take it away to have another made here",
                                result.certificate_file, MessageOf(facts.status()));
    result.names = facts->names;
  } else {
    result.names = OwnNames(ParseAddress(head.endpoints.front())->host);
  }
  for (const std::string& name : names) AddOnce(name, &result.names);
  ASSIGN_OR_RETURN(const std::string certificate, IssueCertificate(authority, result.names));
  ASSIGN_OR_RETURN(const CertificateFacts facts, FactsOf(certificate, authority.certificate));
  result.good_until = facts.good_until;
  RETURN_IF_ERROR(draft.File(result.certificate_file, certificate, 0600));
  RETURN_IF_ERROR(OwnAsFolder(result.certificate_file));
  draft.Keep();
  return result;
}

StatusOr<std::string> CertificateFor(const Places& places, const std::vector<std::string>& names) {
  ASSIGN_OR_RETURN(const AuthorityPair authority, LoadAuthority(places));
  return IssueCertificate(authority, names);
}

}  // namespace allot::client
