#include "common/transport/keys.h"
#include "client/commands/commands.h"
#include "client/tokens.h"
#include "common/auth/tokens.h"
#include "common/config/bind.h"

namespace allot::client {
namespace {

struct KeyFlags {
  std::string file, allow_file, tokens_file, name, role, tenant, public_key, key_file;
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
  command->add_flag("--replace", flags->replace, "Make the token of that name anew");
  OnRun(command, session, [flags]() -> StatusOr<int> {
    ASSIGN_OR_RETURN(const std::string token, auth::NewToken());
    RETURN_IF_ERROR(AddToken(flags->tokens_file,
                             {flags->name, flags->role, flags->tenant, auth::Sha256Hex(token)},
                             flags->replace));
    Print(token);
    return 0;
  });
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
}

}  // namespace allot::client
