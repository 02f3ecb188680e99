#include "common/transport/keys.h"
#include "client/commands/commands.h"
#include <chrono>
#include <thread>
#include <utility>

#include <fmt/ranges.h>

#include "client/api.h"
#include "client/tokens.h"
#include "common/auth/tokens.h"
#include "common/base/printable.h"
#include "common/config/bind.h"
#include "common/json/json.h"

namespace allot::client {
namespace {

struct KeyFlags {
  std::string file, allow_file, tokens_file, name, role, tenant, public_key, key_file, expires;
  std::vector<std::string> only, deployments;
  bool replace = false;
};
using KeyFlagsPtr = std::shared_ptr<KeyFlags>;

StatusOr<transport::Role> RoleOf(const std::string& word) {
  if (word == "agent") return transport::Role::kAgent;
  if (word == "gateway") return transport::Role::kGateway;
  if (word == "scheduler") return transport::Role::kScheduler;
  const std::string near = config::DidYouMean(word, {"agent", "gateway", "scheduler"});
  return InvalidArgument("--role {} is none of agent, gateway, scheduler{}", word,
                         near.empty() ? "" : "; did you mean " + near + "?");
}

void AddNew(CLI::App& keys, Session& session, const KeyFlagsPtr& flags) {
  CLI::App* command = AddCommand(keys, "new", "Make a key pair and print its public key",
                                 "  allot keys new node-7.key\n"
                                 "The file holds the secret (mode 0600) and is never overwritten.");
  command->add_option("FILE", flags->file, "Where to write it")->required();
  OnRun(command, session, [flags]() -> StatusOr<int> {
    const transport::KeyPair pair = transport::NewKeyPair();
    RETURN_IF_ERROR(transport::SaveKeyFile(flags->file, pair));
    Print(pair.public_key);
    return 0;
  });
}

void AddPublic(CLI::App& keys, Session& session, const KeyFlagsPtr& flags) {
  CLI::App* command = AddCommand(keys, "public", "Print the public key of a key file",
                                 "  allot keys public scheduler.key");
  command->add_option("FILE", flags->file, "Made by `allot keys new`")->required();
  OnRun(command, session, [flags]() -> StatusOr<int> {
    ASSIGN_OR_RETURN(const transport::KeyPair pair, transport::LoadKeyFile(flags->file));
    Print(pair.public_key);
    return 0;
  });
}

void AddEnroll(CLI::App& keys, Session& session, const KeyFlagsPtr& flags) {
  CLI::App* command =
      AddCommand(keys, "enroll", "Let a peer connect: bind its public key to its name and role",
                 "  allot keys enroll allow.yaml --name node-7 --role agent --key-file node-7.key\n"
                 "A running scheduler takes the change up by itself.");
  command->add_option("ALLOWFILE", flags->allow_file, "The scheduler's allow_file")->required();
  command->add_option("--name", flags->name, "The peer's name")->required();
  command->add_option("--role", flags->role, "agent, gateway or scheduler")->required();
  CLI::Option* key = command->add_option("--public-key", flags->public_key, "40 characters");
  command->add_option("--key-file", flags->key_file, "Take the public key from there")
      ->excludes(key);
  command->add_flag("--replace", flags->replace, "The name gets a new key; the old one is refused");
  OnRun(command, session, [flags]() -> StatusOr<int> {
    transport::AllowedPeer peer;
    peer.name = flags->name;
    peer.public_key = flags->public_key;
    ASSIGN_OR_RETURN(peer.role, RoleOf(flags->role));
    if (!flags->key_file.empty()) {
      ASSIGN_OR_RETURN(const transport::KeyPair pair, transport::LoadKeyFile(flags->key_file));
      peer.public_key = pair.public_key;
    }
    if (peer.public_key.empty()) return InvalidArgument("give --public-key or --key-file");
    RETURN_IF_ERROR(transport::EnrollPeer(flags->allow_file, peer, flags->replace));
    Print(fmt::format("{} may connect as {}", peer.name, flags->role));
    return 0;
  });
}

void AddRevoke(CLI::App& keys, Session& session, const KeyFlagsPtr& flags) {
  CLI::App* command = AddCommand(keys, "revoke", "Take a peer off the allow list",
                                 "  allot keys revoke allow.yaml node-7");
  command->add_option("ALLOWFILE", flags->allow_file, "The scheduler's allow_file")->required();
  command->add_option("NAME", flags->name, "The peer's name")->required();
  OnRun(command, session, [flags]() -> StatusOr<int> {
    RETURN_IF_ERROR(transport::RevokePeer(flags->allow_file, flags->name));
    Print(fmt::format("{} is refused from now on", flags->name));
    return 0;
  });
}

void AddTokenCommand(CLI::App& keys, Session& session, const KeyFlagsPtr& flags) {
  CLI::App* command = AddCommand(
      keys, "token", "Make a bearer token for a person or a program and print it once",
      "  allot keys token tokens.yaml --name ada --role user --tenant research\n"
      "Only its SHA-256 is stored. Roles: viewer reads, user also submits and deploys, admin also\n"
      "sets policy and drains nodes.");
  command->add_option("TOKENSFILE", flags->tokens_file, "The scheduler's tokens_file")->required();
  command->add_option("--name", flags->name, "Whose it is")->required();
  command->add_option("--role", flags->role, "viewer, user or admin")
      ->required()
      ->check(CLI::IsMember({"viewer", "user", "admin"}));
  command->add_option("--tenant", flags->tenant, "Bind it to this tenant");
  command->add_option("--expires", flags->expires,
                      "How long it is good (30d), or until when (2027-01-31); default for ever");
  command
      ->add_option("--only", flags->only,
                   "What it is for: models, jobs, deployments, cluster, metrics; repeatable")
      ->delimiter(',')
      ->check(CLI::IsMember({"models", "jobs", "deployments", "cluster", "metrics"}));
  command
      ->add_option("--deployments", flags->deployments,
                   "The only deployments that are there for it, with * and ?; repeatable")
      ->delimiter(',');
  command->add_flag("--replace", flags->replace, "Make the token of that name anew");
  OnRun(command, session, [flags]() -> StatusOr<int> {
    ASSIGN_OR_RETURN(const std::string token, auth::NewToken());
    ASSIGN_OR_RETURN(const std::string expires, ExpiryOf(flags->expires, auth::WallClock()));
    RETURN_IF_ERROR(AddToken(flags->tokens_file,
                             {.name = flags->name,
                              .role = flags->role,
                              .tenant = flags->tenant,
                              .sha256 = auth::Sha256Hex(token),
                              .expires = expires,
                              .only = flags->only,
                              .deployments = flags->deployments},
                             flags->replace));
    Print(token);
    return 0;
  });
}

constexpr auto kLookEvery = std::chrono::milliseconds(300);

struct RotateFlags {
  std::vector<std::string> names;
  bool all = false, head = false, force = false, no_wait = false;
};

std::string TextOf(const json::object& object, std::string_view key) {
  const json::value* const value = object.if_contains(key);
  return value != nullptr && value->is_string() ? OneLine(std::string(value->get_string())) : "";
}

std::vector<json::object> ObjectsOf(const json::object& object, std::string_view key) {
  std::vector<json::object> out;
  const json::value* const list = object.if_contains(key);
  if (list == nullptr || !list->is_array()) return out;
  for (const json::value& item : list->get_array())
    if (item.is_object()) out.push_back(item.get_object());
  return out;
}

// What `allot keys rotate` shows of /v1/keys.
struct RotateState {
  std::string waiting, done;  // in words; nothing to wait for: empty
  bool failed = false;
};

StatusOr<RotateState> StateOf(const std::string& body) {
  boost::system::error_code wrong;
  const json::value parsed = json::parse(body, wrong);
  if (wrong || !parsed.is_object()) return Internal("the scheduler's answer is no JSON");
  RotateState out;
  std::vector<std::string> waiting;
  for (const json::object& peer : ObjectsOf(parsed.get_object(), "peers")) {
    const std::string name = TextOf(peer, "name"), state = TextOf(peer, "state"),
                      why = TextOf(peer, "why");
    const json::value* const connected = peer.if_contains("connected");
    const bool away = connected != nullptr && connected->is_bool() && !connected->get_bool();
    if (state == "asked" && !away) waiting.push_back(name);
    out.failed |= state == "failed";
    out.done += fmt::format("{} {}{}\n", name,
                            state == "asked" ? "is away and is asked when it is back" : state,
                            why.empty() ? "" : ": " + why);
  }
  const json::value* const head = parsed.get_object().if_contains("head");
  if (head != nullptr && head->is_object()) {
    if (head->get_object().contains("next_public_key"))
      waiting.push_back("all that are connected to confirm the head's new key");
    else if (head->get_object().contains("old_public_key"))
      out.done += fmt::format("head renewed: {}; the key before serves until {}\n",
                              TextOf(head->get_object(), "public_key"),
                              TextOf(head->get_object(), "old_until"));
  }
  out.waiting = fmt::format("{}", fmt::join(waiting, ", "));
  return out;
}

StatusOr<int> Rotate(const Session& session, const RotateFlags& flags) {
  if (flags.names.empty() && !flags.all && !flags.head)
    return InvalidArgument("whose keys? name nodes or gateways, or give --all or --head");
  ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, session.Connect());
  std::string target = "/v1/keys/rotate?";
  for (const std::string& name : flags.names) target += "peer=" + UrlEncode(name) + "&";
  if (flags.all) target += "all=1&";
  if (flags.head) target += "head=1&";
  if (flags.force) target += "force=1&";
  target.pop_back();
  ASSIGN_OR_RETURN(std::string body, api->Fetch({.method = "POST", .target = target}));
  std::string said;
  for (;;) {
    ASSIGN_OR_RETURN(const RotateState state, StateOf(body));
    if (state.waiting.empty() || flags.no_wait) {
      Print(session.json ? body : state.done);
      return state.failed ? kFailed : kOk;
    }
    if (std::exchange(said, state.waiting) != state.waiting) Say("waiting for " + state.waiting);
    std::this_thread::sleep_for(kLookEvery);
    ASSIGN_OR_RETURN(body, api->Fetch({.target = "/v1/keys"}));
  }
}

void AddRotate(CLI::App& keys, Session& session) {
  auto flags = std::make_shared<RotateFlags>();
  CLI::App* command = AddCommand(
      keys, "rotate", "Renew keys of nodes, gateways and the head, while all that runs goes on",
      "  allot keys rotate gpu-1 gw-1     those two\n"
      "  allot keys rotate --all          every node and gateway; those that are away when they are back\n"
      "  allot keys rotate --head         the scheduler's own\n"
      "The key before makes no connection any more; those that it has made go on for a day at most.");
  AddNames(command, "NAMES", flags->names, "Nodes and gateways")->required(false);
  command->add_flag("--all", flags->all, "Of every node and gateway");
  command->add_flag("--head", flags->head, "The scheduler's");
  command->add_flag("--force", flags->force,
                    "With --head: now, whoever of the connected has not confirmed it");
  command->add_flag("--no-wait", flags->no_wait, "Do not wait until it is done");
  AddJson(command, session);
  OnRun(command, session, [&session, flags] { return Rotate(session, *flags); });
}

}  // namespace

void AddKeys(CLI::App& app, Session& session) {
  CLI::App* keys =
      AddCommand(app, "keys", "Make and enroll keys of programs, make tokens for people",
                 "  allot keys new node-7.key\n"
                 "  allot keys enroll allow.yaml --name node-7 --role agent --key-file node-7.key");
  keys->require_subcommand(1);
  auto flags = std::make_shared<KeyFlags>();
  AddNew(*keys, session, flags);
  AddPublic(*keys, session, flags);
  AddEnroll(*keys, session, flags);
  AddRevoke(*keys, session, flags);
  AddTokenCommand(*keys, session, flags);
  AddRotate(*keys, session);
}

}  // namespace allot::client
