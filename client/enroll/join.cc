#include "client/enroll/join.h"

#include <filesystem>

#include "client/enroll/authority.h"
#include "client/local/files.h"
#include "common/base/address.h"
#include "common/base/text.h"
#include "common/config/convert.h"
#include "common/http/tls_identity.h"
#include "common/proto/config.pb.h"

namespace allot::client {
namespace {

using enroll::InvitationWord;

std::string Quoted(const std::string& text) { return fmt::format("\"{}\"", text); }

std::string Common(const InvitationWord& invitation, const std::vector<std::string>& endpoints,
                   const std::string& state, const std::string& key) {
  std::vector<std::string> quoted;
  for (const std::string& endpoint : endpoints) quoted.push_back(Quoted(endpoint));
  return fmt::format(
      "name: {}\nstate_dir: {}\nkey_file: {}\nscheduler: [{}]   # dialled in turn\n"
      "scheduler_public_key: {}\n",
      invitation.name, Quoted(state), Quoted(key), fmt::join(quoted, ", "),
      Quoted(invitation.scheduler_public_key));
}

StatusOr<std::string> AgentYaml(const JoinOptions& options) {
  std::string text;
  if (!options.address.empty()) text += fmt::format("address: {}\n", Quoted(options.address));
  if (!options.labels.empty()) text += "labels:\n";
  for (const auto& [name, value] : options.labels)
    text += fmt::format("  {}: {}\n", Quoted(name), Quoted(value));
  if (!options.emulated.empty()) text += "devices:\n  emulated:\n";
  for (const std::string& device : options.emulated) {
    const size_t colon = device.rfind(':');
    text += fmt::format("    - {{model: {}, count: {}}}\n", Quoted(device.substr(0, colon)),
                        colon == std::string::npos ? "1" : device.substr(colon + 1));
  }
  return text;
}

// A gateway listens where the scheduler is reached from; loopback for one on this machine's.
std::string GatewayYaml(const InvitationWord& invitation, const JoinOptions& options,
                        const std::string& certificate) {
  bool loopback = true, v6 = false;
  for (const std::string& endpoint : invitation.endpoints) {
    loopback = loopback && IsLoopbackAddress(endpoint);
    v6 = v6 || endpoint.find('[') != std::string::npos;
  }
  const std::string host = loopback ? "127.0.0.1" : v6 ? "::" : "0.0.0.0";
  const std::string listen = options.listen.empty() ? JoinHostPort(host, "7410") : options.listen;
  const std::string http =
      options.http_listen.empty() ? JoinHostPort(host, "7411") : options.http_listen;
  return fmt::format(
      "listen: \"tcp://{}\"     # agents\nhttp_listen: \"{}\"  # model clients\n{}", listen, http,
      certificate.empty() ? "" : fmt::format("tls: {{certificate: {}}}\n", Quoted(certificate)));
}

// Whether the config that is there is that of this name in this cluster.
template <class File>
bool IsSame(const std::string& path, const InvitationWord& invitation) {
  const StatusOr<File> there = config::LoadChecked<File>(path);
  return there.ok() && there->name() == invitation.name &&
         there->scheduler_public_key() == invitation.scheduler_public_key;
}

template <class File>
Status CheckText(const std::string& text, const std::string& path) {
  File checked;
  return config::BindChecked(text, path, &checked);
}

}  // namespace

std::string ProgramOf(const InvitationWord& invitation) {
  return invitation.role == transport::Role::kAgent ? "allot-agent" : "allot-gateway";
}

StatusOr<JoinResult> Join(const Places& places, const InvitationWord& invitation,
                          const JoinOptions& options, const enroll::Asking& ask) {
  const bool node = invitation.role == transport::Role::kAgent;
  const std::string program = node ? "agent" : "gateway";
  JoinResult result;
  result.config = places.Config(program + ".yaml");
  result.unit = {ProgramOf(invitation), result.config};
  std::string shown, certificate;  // what is copied, and where to
  if (!options.certificate.empty()) {
    ASSIGN_OR_RETURN(shown, local::ReadFile(options.certificate));
    RETURN_IF_ERROR(http::TlsIdentity::Load({options.certificate}).status());
    certificate = places.State(program) + "/tls.pem";
  }
  const bool there = local::Exists(result.config);
  const bool same = there && (node ? IsSame<config::Agent>(result.config, invitation)
                                   : IsSame<config::Gateway>(result.config, invitation));
  if (there && !same && !options.replace)
    return AlreadyExists(
        "{} is of another name or another cluster; --replace takes its place, and its work is lost "
        "to that cluster",
        result.config);

  Draft draft;
  const std::string state = places.State(program), key = state + "/" + program + ".key";
  RETURN_IF_ERROR(draft.Folder(places.config, 0755));
  RETURN_IF_ERROR(draft.Folder(places.state, 0755));
  RETURN_IF_ERROR(draft.Folder(state, 0700));
  // A key is proven under one name: another name or cluster gets another.
  if (there && !same && local::Exists(key)) {
    std::error_code moved;
    std::filesystem::rename(key, key + ".replaced", moved);
    if (moved) return FailedPrecondition("cannot move {}: {}", key, moved.message());
  }
  const bool had_key = local::Exists(key);
  if (!had_key) {
    draft.Note(key);
    RETURN_IF_ERROR(transport::SaveKeyFile(key, transport::NewKeyPair()));
  }
  enroll::Question enrol{enroll::Wish::kEnroll, invitation, key, options.timeout},
      admitted{enroll::Wish::kAdmitted, invitation, key, options.timeout};

  enroll::Answer joined;
  if (same && had_key) {
    ASSIGN_OR_RETURN(joined, ask(admitted));
  }
  std::vector<std::string> endpoints;
  std::string authority;
  if (!joined.admitted) {
    StatusOr<enroll::Answer> enrolled = ask(enrol);
    // The invitation may have been used by us, before something kept us from writing the config.
    if (absl::IsPermissionDenied(enrolled.status()) && had_key) {
      ASSIGN_OR_RETURN(joined, ask(admitted));
    }
    if (!joined.admitted) {
      RETURN_IF_ERROR(enrolled.status());
      endpoints = std::move(enrolled->endpoints);
      authority = std::move(enrolled->authority);
    }
  }
  if (endpoints.empty()) endpoints = invitation.endpoints;
  // From here on the key is the cluster's: it stays, so that joining again finishes what lacks.
  draft.Keep();
  result.fresh = !joined.admitted;
  if (same && joined.admitted) return result;

  std::string text =
      fmt::format("# Written once by `allot {} join`; yours to change (docs/config.md, {}).\n",
                  node ? "node" : "gateway", node ? "Agent" : "Gateway");
  text += Common(invitation, endpoints, state, key);
  if (node) {
    ASSIGN_OR_RETURN(const std::string more, AgentYaml(options));
    text += more;
    RETURN_IF_ERROR(CheckText<config::Agent>(text, result.config));
  } else {
    text += GatewayYaml(invitation, options, certificate);
    RETURN_IF_ERROR(CheckText<config::Gateway>(text, result.config));
  }
  Draft written;
  if (!certificate.empty()) RETURN_IF_ERROR(written.File(certificate, shown, 0600));
  // Told by the scheduler, whose key is proven: `allot` of this machine believes it.
  // But a head's own is not another cluster's to replace.
  if (!authority.empty() && !local::Exists(places.Config("ca.key"))) {
    const StatusOr<std::string> pem = OnlyCertificate(authority);
    if (!pem.ok()) return InvalidArgument("the scheduler's authority: {}", MessageOf(pem.status()));
    RETURN_IF_ERROR(written.File(places.Config("ca.crt"), *pem, 0644));
  }
  RETURN_IF_ERROR(written.File(result.config, text, 0600));
  if (!node)
    for (const std::string& path : {state, key, result.config})
      RETURN_IF_ERROR(written.GiveAway(path));
  if (!certificate.empty()) RETURN_IF_ERROR(written.GiveAway(certificate));
  written.Keep();
  return result;
}

}  // namespace allot::client
