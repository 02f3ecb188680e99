#include "client/commands/commands.h"
#include "client/enroll/head.h"
#include "client/interrupts.h"
#include "client/local/files.h"
#include "common/json/json.h"

namespace allot::client {
namespace {

struct InitFlags {
  std::string dir;
  InitOptions init;
  bool no_unit = false;
};

StatusOr<int> Init(const Session& session, const InitFlags& flags) {
  NoteInterrupts();
  const StatusOr<InitResult> made = InitCluster(Places::Find(flags.dir), flags.init);
  if (absl::IsCancelled(made.status())) return Interrupted("nothing was made");
  RETURN_IF_ERROR(made.status());
  ASSIGN_OR_RETURN(const Started started, StartForGood(made->unit, !flags.no_unit));
  if (session.json) {
    json::array endpoints;
    for (const std::string& endpoint : made->endpoints) endpoints.emplace_back(endpoint);
    json::object out{{"version", 1},
                     {"config", made->config},
                     {"fresh", made->fresh},
                     {"endpoints", std::move(endpoints)},
                     {"api", made->api},
                     {"gateway", made->gateway},
                     {"public_key", made->public_key},
                     {"admin_token_file", made->admin_token_file},
                     {"client_file", made->client_file},
                     {"authority_file", made->authority_file},
                     {"unit", started.unit},
                     {"start", started.line}};
    Print(json::serialize(out));
    return kOk;
  }
  std::string text = fmt::format(
      "{}\n"
      "nodes dial   {}\n"
      "API          {}\n",
      made->fresh ? "a cluster is configured in " + made->config
                  : "there was a cluster already: " + made->config,
      fmt::join(made->endpoints, ", "), made->api);
  if (!made->gateway.empty())
    text += fmt::format("models       {}/v1  (OpenAI-compatible)\n", made->gateway);
  text +=
      fmt::format("admin token  {}  (`allot` on this machine finds it)\n", made->admin_token_file);
  if (!made->authority_file.empty())
    text += fmt::format("authority    {}  (others name it with --ca; nodes are told)\n",
                        made->authority_file);
  text += started.shown + "add a node   allot node add NAME\n";
  Print(text);
  return kOk;
}

struct CertificateFlags {
  std::string dir, config, out;
  std::vector<std::string> names;
};

StatusOr<int> Renew(const Session& session, const CertificateFlags& flags) {
  const Places places = Places::Find(flags.dir);
  ASSIGN_OR_RETURN(const Head head, Head::Load(places, flags.config));
  ASSIGN_OR_RETURN(const RenewResult made, RenewCertificate(places, head, flags.names));
  if (session.json) {
    json::array names;
    for (const std::string& name : made.names) names.emplace_back(name);
    Print(json::serialize(json::object{{"version", 1},
                                       {"certificate_file", made.certificate_file},
                                       {"authority_file", made.authority_file},
                                       {"good_until", made.good_until},
                                       {"names", std::move(names)},
                                       {"in_config", made.in_config}}));
    return kOk;
  }
  std::string text = fmt::format("{}\ngood until   {}\nfor          {}\n", made.certificate_file,
                                 made.good_until, fmt::join(made.names, ", "));
  if (!made.in_config)
    text += fmt::format(
        "add this to {} and restart the scheduler; then others need {}:\n"
        "tls: {{certificate: \"{}\"}}\n",
        head.config_file, made.authority_file, made.certificate_file);
  Print(text);
  return kOk;
}

StatusOr<int> Certify(const Session& session, const CertificateFlags& flags) {
  ASSIGN_OR_RETURN(const std::string pem, CertificateFor(Places::Find(flags.dir), flags.names));
  if (!flags.out.empty()) RETURN_IF_ERROR(local::WriteFile(flags.out, pem, 0600));
  if (session.json)
    Print(json::serialize(json::object{{"version", 1}, {"pem", pem}}));
  else if (!flags.out.empty())
    Print(fmt::format("{} holds the certificate and its key", flags.out));
  else
    PrintRaw(pem);
  return kOk;
}

void AddCertificates(CLI::App& cluster, Session& session) {
  auto flags = std::make_shared<CertificateFlags>();
  CLI::App* renew = AddCommand(
      cluster, "renew", "Make the head another certificate; it is in use at once",
      "  allot cluster renew\n"
      "  allot cluster renew head.lab.example    for one more name\n"
      "Good for a year, for the names of the one before; `allot doctor` says when it is time.");
  renew->add_option("NAME", flags->names, "Further names and addresses of the head");
  CLI::App* certificate = AddCommand(
      cluster, "certificate", "Make a certificate for another machine and print it with its key",
      "  allot cluster certificate gw-1 10.0.0.7 --out gw-1.pem\n"
      "Signed by the head's authority, good for a year. For `tls` of a gateway's or an agent's\n"
      "config, or for --certificate of `allot` where a server asks for one (client_ca).");
  certificate->add_option("NAME", flags->names, "Names and addresses by which it is called")
      ->required();
  certificate->add_option("--out", flags->out, "File in place of standard output; mode 0600");
  for (CLI::App* command : {renew, certificate}) {
    command->add_option("--dir", flags->dir,
                        "Folder of this machine's files; default ALLOT_DIR, else the system's");
    AddJson(command, session);
  }
  renew->add_option("--config", flags->config,
                    "The scheduler's config; default scheduler.yaml there");
  OnRun(renew, session, [&session, flags] { return Renew(session, *flags); });
  OnRun(certificate, session, [&session, flags] { return Certify(session, *flags); });
}

}  // namespace

void AddCluster(CLI::App& app, Session& session) {
  CLI::App* cluster = AddCommand(app, "cluster", "A cluster over several machines: docs/deploy.md",
                                 "  allot cluster init\n  allot node add gpu-1");
  cluster->require_subcommand(1);
  auto flags = std::make_shared<InitFlags>();
  CLI::App* init = AddCommand(
      *cluster, "init", "Make this machine the head: keys, config, an admin token, the unit",
      "  allot cluster init\n"
      "  allot cluster init --listen 10.0.0.5 --advertise head.lab.example\n"
      "Writes /etc/allotrope/scheduler.yaml and what it names below /var/lib/allotrope, and "
      "starts\n"
      "allot-scheduler.service where systemd runs. Again is fine: what is there stays.\n"
      "HTTPS, by an authority of the cluster's own, unless it listens on loopback.");
  init->add_option("--dir", flags->dir,
                   "All files in this folder; default ALLOT_DIR, else /etc/allotrope and "
                   "/var/lib/allotrope");
  init->add_option("--listen", flags->init.listen,
                   "HOST or HOST:PORT to bind; default everywhere, 7400 (and 7401, 7410, 7411)");
  init->add_option("--advertise", flags->init.advertise,
                   "Name or address of this machine that nodes dial; default the one towards the "
                   "world");
  init->add_option("--name", flags->init.names,
                   "Another name or address of this machine, for its certificate; repeatable")
      ->allow_extra_args(false);
  init->add_flag("--plain-http", flags->init.plain_http,
                 "No HTTPS: tokens travel in the clear, on a network that is trusted");
  init->add_flag("--no-unit", flags->no_unit, "Start nothing, say how");
  AddJson(init, session);
  OnRun(init, session, [&session, flags] { return Init(session, *flags); });
  AddCertificates(*cluster, session);
}

}  // namespace allot::client
