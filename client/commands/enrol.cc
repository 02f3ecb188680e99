// `allot node`, `allot gateway`, `allot user`: who belongs to a cluster.
#include "client/commands/commands.h"
#include "client/enroll/ask.h"
#include "client/enroll/head.h"
#include "client/enroll/join.h"
#include "client/interrupts.h"
#include "client/tokens.h"
#include "common/auth/uses.h"
#include "common/json/json.h"

namespace allot::client {
namespace {

struct EnrolFlags {
  std::string dir, config, name, word, expires = "1h", role = "user", tenant;
  std::vector<std::string> labels;
  JoinOptions join;
  bool again = false, no_unit = false;
};
using EnrolFlagsPtr = std::shared_ptr<EnrolFlags>;

// What differs between a node and a gateway, in words.
struct Kind {
  transport::Role role;
  std::string verb, noun;
};

StatusOr<Head> LoadHead(const EnrolFlags& flags) {
  return Head::Load(Places::Find(flags.dir), flags.config);
}

int Undone() { return Interrupted("nothing was changed"); }

StatusOr<int> Add(const Session& session, const Kind& kind, const EnrolFlags& flags) {
  ASSIGN_OR_RETURN(const Duration good_for, DurationOf("--expires", flags.expires));
  if (good_for < std::chrono::seconds(1) || good_for > std::chrono::hours(24 * 7))
    return InvalidArgument("--expires {}: give 1s to 7d; the line holds a secret", flags.expires);
  ASSIGN_OR_RETURN(const Head head, LoadHead(flags));
  NoteInterrupts();
  const StatusOr<enroll::InvitationWord> invitation =
      InvitePeer(head, flags.name, kind.role, good_for, flags.again);
  if (absl::IsCancelled(invitation.status())) return Undone();
  RETURN_IF_ERROR(invitation.status());
  const std::string word = Spell(*invitation);
  const std::string line = fmt::format("allot {} join {}", kind.verb, word);
  if (session.json) {
    json::array endpoints;
    for (const std::string& endpoint : head.endpoints) endpoints.emplace_back(endpoint);
    Print(json::serialize(json::object{{"version", 1},
                                       {"name", flags.name},
                                       {"role", std::string(transport::RoleName(kind.role))},
                                       {"command", line},
                                       {"invitation", word},
                                       {"expires_seconds", good_for.count() / 1'000'000},
                                       {"endpoints", std::move(endpoints)}}));
    return kOk;
  }
  Say(fmt::format("run this as root on {}; it holds a secret, works once and for {}:", flags.name,
                  FormatDuration(good_for)));
  Print(line);
  return kOk;
}

StatusOr<int> JoinHere(const Session& session, const Kind& kind, EnrolFlags& flags) {
  ASSIGN_OR_RETURN(const enroll::InvitationWord invitation, enroll::ParseInvitation(flags.word));
  if (invitation.role != kind.role)
    return InvalidArgument("this invitation is for a {}; give it to `allot {} join`",
                           transport::RoleName(invitation.role),
                           invitation.role == transport::Role::kAgent ? "node" : "gateway");
  for (const std::string& label : flags.labels) {
    const size_t equals = label.find('=');
    if (equals == std::string::npos || equals == 0)
      return InvalidArgument("--label {}: give NAME=VALUE", label);
    flags.join.labels[label.substr(0, equals)] = label.substr(equals + 1);
  }
  ASSIGN_OR_RETURN(const enroll::Asking ask, AskThrough(ProgramOf(invitation)));
  NoteInterrupts();
  const StatusOr<JoinResult> joined = Join(Places::Find(flags.dir), invitation, flags.join, ask);
  if (absl::IsCancelled(joined.status())) return Undone();
  RETURN_IF_ERROR(joined.status());
  ASSIGN_OR_RETURN(const Started started, StartForGood(joined->unit, !flags.no_unit));
  if (session.json) {
    Print(json::serialize(json::object{{"version", 1},
                                       {"name", invitation.name},
                                       {"role", std::string(transport::RoleName(kind.role))},
                                       {"config", joined->config},
                                       {"fresh", joined->fresh},
                                       {"unit", started.unit},
                                       {"start", started.line}}));
    return kOk;
  }
  const std::string text =
      fmt::format("{} {}: {}\n", invitation.name,
                  joined->fresh ? "has joined" : "had joined already", joined->config);
  Print(text + started.shown);
  return kOk;
}

StatusOr<int> Remove(const Session& session, const Kind& kind, const EnrolFlags& flags) {
  ASSIGN_OR_RETURN(const Head head, LoadHead(flags));
  RETURN_IF_ERROR(RemovePeer(head, flags.name, kind.role));
  if (session.json) {
    Print(json::serialize(json::object{{"version", 1}, {"name", flags.name}, {"removed", true}}));
    return kOk;
  }
  Print(
      fmt::format("{} is heard no more, within a second; what runs there ends with its lease or "
                  "by hand",
                  flags.name));
  return kOk;
}

void AddPlaces(CLI::App* command, const EnrolFlagsPtr& flags, bool head) {
  command->add_option("--dir", flags->dir,
                      "Folder of this machine's files; default ALLOT_DIR, else the system's");
  if (head)
    command->add_option("--config", flags->config,
                        "The scheduler's config; default scheduler.yaml there");
}

void AddPeers(CLI::App& app, Session& session, const Kind& kind) {
  auto flags = std::make_shared<EnrolFlags>();
  CLI::App* group = AddCommand(
      app, kind.verb, fmt::format("Let {}s join and leave the cluster", kind.noun),
      fmt::format("  allot {0} add {1}-1       on the head; prints one line to run there",
                  kind.verb, kind.role == transport::Role::kAgent ? "gpu" : "gw"));
  group->require_subcommand(1);

  CLI::App* add = AddCommand(
      *group, "add", fmt::format("Invite a {}: prints the line to run on it", kind.noun),
      fmt::format(
          "  allot {} add NAME\n"
          "The line carries a one-time key, which serves to have a key made there enrolled;\n"
          "keep it as you keep a password for as long as it is good. A running scheduler\n"
          "takes it up within a second.",
          kind.verb));
  AddName(add, "NAME", flags->name, "Of the " + kind.noun);
  add->add_option("--expires", flags->expires, "How long the line is good; default 1h");
  add->add_flag("--again", flags->again, "It has joined before: it gets a new key");
  AddPlaces(add, flags, true);
  AddJson(add, session);
  OnRun(add, session, [&session, flags, kind] { return Add(session, kind, *flags); });

  CLI::App* join = AddCommand(
      *group, "join", "Join with what was printed; makes the key and the config, starts the unit",
      fmt::format("  allot {} join allot1.eyJ…\n"
                  "Again is fine: who has joined stays.",
                  kind.verb));
  AddName(join, "INVITATION", flags->word, "As `add` printed it");
  if (kind.role == transport::Role::kAgent) {
    join->add_option("--address", flags->join.address,
                     "Name or address by which peers reach this node; default found by itself");
    join->add_option("--label", flags->labels, "NAME=VALUE shown with the node; repeatable");
    join->add_option("--emulated", flags->join.emulated,
                     "MODEL:COUNT of `allot catalogue`, run by the processors; repeatable");
  } else {
    join->add_option("--listen", flags->join.listen, "HOST:PORT for agents; default port 7410");
    join->add_option("--http-listen", flags->join.http_listen,
                     "HOST:PORT for model clients; default port 7411");
    join->add_option("--tls-certificate", flags->join.certificate,
                     "What its HTTPS shows, with the key in it, as `allot cluster certificate` "
                     "prints it; default plain HTTP");
  }
  join->add_flag("--replace", flags->join.replace,
                 "This machine belongs to another cluster or has another name: forget that");
  join->add_flag("--no-unit", flags->no_unit, "Start nothing, say how");
  AddPlaces(join, flags, false);
  AddJson(join, session);
  OnRun(join, session, [&session, flags, kind] { return JoinHere(session, kind, *flags); });

  CLI::App* remove = AddCommand(
      *group, "remove", fmt::format("Take a {} or its invitation away", kind.noun),
      fmt::format("  allot {} remove NAME\nIts key is refused within a second.", kind.verb));
  AddName(remove, "NAME", flags->name, "Of the " + kind.noun);
  AddPlaces(remove, flags, true);
  AddJson(remove, session);
  OnRun(remove, session, [&session, flags, kind] { return Remove(session, kind, *flags); });
}

// Of `allot user add`: what limits a token beside role and tenant.
struct TokenFlags {
  std::string expires;
  std::vector<std::string> only, deployments;
};

void AddLimits(CLI::App* command, const std::shared_ptr<TokenFlags>& limits) {
  command->add_option("--expires", limits->expires,
                      "How long it is good (30d), or until when (2027-01-31); default for ever");
  command
      ->add_option("--only", limits->only,
                   "What it is for: models, jobs, deployments, cluster, metrics; repeatable")
      ->delimiter(',')
      ->check(CLI::IsMember({"models", "jobs", "deployments", "cluster", "metrics"}));
  command
      ->add_option("--deployments", limits->deployments,
                   "The only deployments that are there for it, with * and ?; repeatable")
      ->delimiter(',');
}

StatusOr<std::string> TokensFile(const EnrolFlags& flags) {
  ASSIGN_OR_RETURN(const Head head, LoadHead(flags));
  if (head.tokens_file.empty())
    return FailedPrecondition("{} names no tokens_file; a local cluster knows no users",
                              head.config_file);
  return head.tokens_file;
}

void AddUsers(CLI::App& app, Session& session) {
  auto flags = std::make_shared<EnrolFlags>();
  CLI::App* group = AddCommand(app, "user", "Give people and programs tokens, and take them back",
                               "  allot user add ada --tenant research > ada.token\n"
                               "  allot tokens list           the same group by another name");
  group->alias("tokens");
  group->require_subcommand(1);
  CLI::App* add = AddCommand(
      *group, "add", "Make a token and print it, once",
      "  allot user add ada --role user --tenant research > ada.token\n"
      "  allot user add ci --only jobs --expires 30d > ci.token\n"
      "Roles: viewer reads, user also submits and deploys, admin also sets policy and drains.\n"
      "Scheduler and gateways take it up by themselves.");
  AddName(add, "NAME", flags->name, "Whose it is");
  add->add_option("--role", flags->role, "viewer, user or admin; default user")
      ->check(CLI::IsMember({"viewer", "user", "admin"}));
  add->add_option("--tenant", flags->tenant, "The only tenant it may submit and deploy for");
  auto limits = std::make_shared<TokenFlags>();
  AddLimits(add, limits);
  add->add_flag("--replace", flags->again, "Make it anew; the old one is refused");
  AddPlaces(add, flags, true);
  AddJson(add, session);
  OnRun(add, session, [&session, flags, limits]() -> StatusOr<int> {
    ASSIGN_OR_RETURN(const std::string file, TokensFile(*flags));
    ASSIGN_OR_RETURN(const std::string expires, ExpiryOf(limits->expires, auth::WallClock()));
    ASSIGN_OR_RETURN(const std::string token, AddUserToken(file,
                                                           {.name = flags->name,
                                                            .role = flags->role,
                                                            .tenant = flags->tenant,
                                                            .expires = expires,
                                                            .only = limits->only,
                                                            .deployments = limits->deployments},
                                                           flags->again));
    if (!session.json) {
      Print(token);
      return kOk;
    }
    Print(json::serialize(json::object{{"version", 1},
                                       {"name", flags->name},
                                       {"role", flags->role},
                                       {"tenant", flags->tenant},
                                       {"token", token}}));
    return kOk;
  });
  CLI::App* list =
      AddCommand(*group, "list", "Tokens: whose, for what, until when, and when each was used last",
                 "  allot user list\n"
                 "Uses are written down each minute, those at gateways too.");
  AddPlaces(list, flags, true);
  AddJson(list, session);
  OnRun(list, session, [&session, flags]() -> StatusOr<int> {
    ASSIGN_OR_RETURN(const Head head, LoadHead(*flags));
    ASSIGN_OR_RETURN(const std::string file, TokensFile(*flags));
    ASSIGN_OR_RETURN(const std::vector<TokenRow> rows, ListTokens(file));
    ASSIGN_OR_RETURN(const std::vector<auth::TokenUse> uses,
                     auth::LoadUses(fmt::format("{}/{}", head.state_dir, auth::kUsesFileName)));
    const Time now = auth::WallClock();
    Print(session.json ? TokensJson(rows, uses, now) : TokensText(rows, uses, now));
    return kOk;
  });
  CLI::App* remove = AddCommand(*group, "remove", "Take a token back", "  allot user remove ada");
  remove->alias("revoke");
  AddName(remove, "NAME", flags->name, "Whose it is");
  AddPlaces(remove, flags, true);
  AddJson(remove, session);
  OnRun(remove, session, [&session, flags]() -> StatusOr<int> {
    ASSIGN_OR_RETURN(const std::string file, TokensFile(*flags));
    RETURN_IF_ERROR(RemoveUserToken(file, flags->name));
    if (session.json)
      Print(
          json::serialize(json::object{{"version", 1}, {"name", flags->name}, {"removed", true}}));
    else
      Print(flags->name + " is refused from now on");
    return kOk;
  });
}

}  // namespace

void AddEnrol(CLI::App& app, Session& session) {
  AddPeers(app, session, {transport::Role::kAgent, "node", "node"});
  AddPeers(app, session, {transport::Role::kGateway, "gateway", "gateway"});
  AddUsers(app, session);
}

}  // namespace allot::client
