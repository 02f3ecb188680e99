#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "client/commands/commands.h"
#include "client/enroll/places.h"
#include "client/local/files.h"

namespace allot::client {
namespace {

struct StoreFlags {
  std::string store, config, file, to, files_to;
  bool with_config = false, accept = false, dry_run = false;
};

// Which scheduler's: as named, else the local cluster of this folder, else this machine's.
StatusOr<std::string> ConfigOf() {
  const std::string local = std::string(kLocalFolder) + "/scheduler.yaml";
  if (local::Exists(local)) return local;
  const std::string own = Places::Find("").Config("scheduler.yaml");
  if (local::Exists(own)) return own;
  return NotFound(
      "there is no scheduler here: neither {} nor {}; name its config with --config, or "
      "its state_dir with --store",
      local, own);
}

// The store is the scheduler's own affair: what is done with it is done by its program.
StatusOr<int> RunScheduler(const Session& session, const StoreFlags& flags,
                           std::vector<std::string> words) {
  ASSIGN_OR_RETURN(const std::string program, local::FindProgram("allot-scheduler"));
  std::string config = flags.config;
  if (config.empty() && (flags.store.empty() || flags.with_config)) {
    ASSIGN_OR_RETURN(config, ConfigOf());
  }
  const auto add = [&words](const char* flag, const std::string& value) {
    if (value.empty()) return;
    words.emplace_back(flag);
    words.push_back(value);
  };
  add("--config", config);
  add("--store", flags.store);
  if (session.json) words.emplace_back("--json");
  words.insert(words.begin(), program);
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  execv(program.c_str(), argv.data());
  return FailedPrecondition("cannot run {}: {}", program, std::strerror(errno));
}

void AddPlace(CLI::App* command, StoreFlags& flags) {
  command->add_option("--store", flags.store,
                      "The scheduler's state_dir; default: as its config says");
  command->add_option("--config", flags.config,
                      "The scheduler's config; default: of the local cluster of this folder, else "
                      "this machine's");
}

}  // namespace

void AddStore(CLI::App& app, Session& session) {
  auto flags = std::make_shared<StoreFlags>();
  CLI::App* backup = AddCommand(
      app, "backup", "Copy the scheduler's store into one file, also while it runs",
      "  allot backup --to /backup/head.backup\n"
      "  allot backup --store /var/lib/allotrope/scheduler --json\n"
      "  allot backup --with-config          keys, lists and config too\n"
      "On the scheduler's machine, as a user who may read its store. The copy is of one\n"
      "moment and is checked before it has its name; the scheduler goes on meanwhile.\n"
      "Ctrl-C leaves nothing behind.");
  AddPlace(backup, *flags);
  backup->add_option("--to", flags->to, "The file to make; default allot-TIME.backup here");
  backup->add_flag(
      "--with-config", flags->with_config,
      "Put the config and the files it names into it: keys, allow list, tokens, policy");
  AddJson(backup, session);
  OnRun(backup, session, [&session, flags]() -> StatusOr<int> {
    std::vector<std::string> words = {"backup"};
    if (!flags->to.empty()) words.insert(words.end(), {"--to", flags->to});
    if (flags->with_config) words.emplace_back("--with-config");
    return RunScheduler(session, *flags, std::move(words));
  });

  CLI::App* restore = AddCommand(
      app, "restore", "Put a backup in place of the scheduler's store, or accept the one there",
      "  allot restore head.backup --dry-run        what it would do\n"
      "  allot restore head.backup --store /var/lib/allotrope/scheduler\n"
      "  allot restore --accept --store DIR         go on with the store that is there, where the\n"
      "                                             scheduler refuses it as damaged or too old\n"
      "The scheduler must be stopped. The store that is there is moved aside, not deleted. Jobs "
      "that\n"
      "are newer than the backup are gone; their numbers are not given again. Agents may run all\n"
      "the while: they are told what to stop when the scheduler is back.");
  AddPlace(restore, *flags);
  restore->add_option("FILE", flags->file, "What `allot backup` made, or another copy of a store");
  restore->add_flag("--accept", flags->accept,
                    "No backup: the store that is there, as far as it can be read");
  restore->add_option("--files-to", flags->files_to,
                      "Put the config and keys that are in the backup into this folder");
  restore->add_flag("--dry-run", flags->dry_run, "Say what would be done, change nothing");
  AddJson(restore, session);
  OnRun(restore, session, [&session, flags]() -> StatusOr<int> {
    std::vector<std::string> words = {"restore"};
    if (!flags->file.empty()) words.push_back(flags->file);
    if (flags->accept) words.emplace_back("--accept");
    if (!flags->files_to.empty()) words.insert(words.end(), {"--files-to", flags->files_to});
    if (flags->dry_run) words.emplace_back("--dry-run");
    return RunScheduler(session, *flags, std::move(words));
  });
}

}  // namespace allot::client
