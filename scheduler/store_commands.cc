#include "scheduler/store_commands.h"

#include <pwd.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "common/audit/settings.h"
#include "common/json/json.h"
#include "common/program/arguments.h"
#include "common/program/program.h"
#include "scheduler/shell/backup.h"
#include "scheduler/shell/settings.h"

namespace allot::scheduler {
namespace {

namespace fs = std::filesystem;

volatile sig_atomic_t interrupted_by = 0;

void NoteInterrupts() {
  struct sigaction action {};
  action.sa_handler = [](int signal) { interrupted_by = signal; };
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaction(signal, &action, nullptr);
}

// Whoever waits for more than a moment is told what for.
Progress Telling(std::string what) {
  using std::chrono::steady_clock;
  return [what = std::move(what), begun = steady_clock::now(), told = steady_clock::time_point()](
             int64_t done, int64_t total) mutable {
    const auto now = steady_clock::now();
    if (now - begun > std::chrono::seconds(2) && now - told > std::chrono::seconds(1)) {
      told = now;
      std::fprintf(stderr, "%s … %s\n", what.c_str(),
                   total > 0 ? fmt::format("{} of about {} MiB", done >> 20, total >> 20).c_str()
                             : "still at it");
    }
    return interrupted_by == 0;
  };
}

int End(const std::string& program, const Status& status) {
  if (!absl::IsCancelled(status)) return program::Complain(program, status);
  std::fprintf(stderr, "%s: interrupted; nothing was changed\n", program.c_str());
  return 128 + interrupted_by;
}

std::string At(Time time) {
  const std::time_t seconds =
      std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

json::object ToJson(const BackupFacts& facts) {
  json::array files;
  for (const std::string& name : facts.files) files.emplace_back(name);
  json::object out{{"record", facts.seq},
                   {"jobs", facts.job_count},
                   {"last_job", facts.last_job},
                   {"bytes", facts.bytes},
                   {"files", std::move(files)}};
  if (!facts.plain) {
    out["taken"] = At(facts.taken);
    out["made_by"] = facts.made_by;
    out["sha256"] = facts.sha256;
  }
  return out;
}

struct Words {
  std::string config, store, to, file, files_to;
  bool with_config = false, accept = false, dry_run = false, as_json = false;
};

// The store's folder, by name or as the config says; which also says what files a head has.
StatusOr<std::string> StoreOf(const Words& words, std::optional<config::Scheduler>* config) {
  if (!words.config.empty()) {
    ASSIGN_OR_RETURN(*config, LoadConfig(words.config));
    if (words.store.empty()) return (*config)->state_dir();
  }
  if (words.store.empty())
    return InvalidArgument("name the store with --store DIR or --config FILE");
  return fs::absolute(words.store).lexically_normal().string();
}

std::vector<BackupRequest::File> FilesOf(const std::string& file, const config::Scheduler& config) {
  std::vector<BackupRequest::File> files = {{fs::path(file).filename().string(), file}};
  const std::string gateway_key =
      (fs::path(config.key_file()).parent_path() / "gateway.key").string();
  for (const std::string& path :
       {config.key_file(), config.allow_file(), config.tokens_file(), config.policy_file(),
        config.tls().certificate(), config.tls().key(), config.tls().client_ca(), gateway_key}) {
    std::error_code none;
    if (path.empty() || (path == gateway_key && !fs::exists(path, none))) continue;
    const std::string name = fs::path(path).filename().string();
    const bool known = std::any_of(files.begin(), files.end(),
                                   [&](const auto& each) { return each.name == name; });
    if (!known) files.push_back({name, path});
  }
  return files;
}

Status Backup(const Words& words) {
  std::optional<config::Scheduler> config;
  BackupRequest request;
  ASSIGN_OR_RETURN(request.state_dir, StoreOf(words, &config));
  request.to = words.to;
  if (request.to.empty()) {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    std::string when = At(Time(std::chrono::duration_cast<Duration>(now)));
    std::erase(when, ':');
    request.to = "allot-" + when + ".backup";
  }
  if (words.with_config) {
    if (!config) return InvalidArgument("--with-config needs --config FILE, which names the files");
    request.files = FilesOf(words.config, *config);
  }
  request.progress = Telling("copying the store");
  ASSIGN_OR_RETURN(const BackupFacts facts, MakeBackup(request));
  const std::string path = fs::absolute(request.to).lexically_normal().string();
  if (words.as_json) {
    json::object out = ToJson(facts);
    json::object whole{{"version", 1}, {"file", path}};
    for (auto& [key, value] : out) whole[key] = value;
    std::printf("%s\n", json::serialize(whole).c_str());
    return absl::OkStatus();
  }
  std::printf(
      "%s\n"
      "up to record %lld, %llu jobs, %lld KiB, checked; sha256 of its rows %s\n"
      "%s"
      "It holds what jobs' environments hold: keep it as you keep the store.\n",
      path.c_str(), static_cast<long long>(facts.seq),
      static_cast<unsigned long long>(facts.job_count), static_cast<long long>(facts.bytes >> 10),
      facts.sha256.c_str(),
      facts.files.empty() ? "" : fmt::format("with {}\n", fmt::join(facts.files, ", ")).c_str());
  return absl::OkStatus();
}

std::string Told(const Words& words, const std::string& dir, const RestoreReport& r) {
  std::string text;
  if (!words.file.empty())
    text += fmt::format("{}: {}up to record {}, {} jobs\n", words.file,
                        r.backup.plain ? "a copy of a store, " : "of " + At(r.backup.taken) + ", ",
                        r.backup.seq, r.backup.job_count);
  if (r.records_dropped > 0)
    text += fmt::format("record {} was damaged: it and all behind it, {} records, are gone\n",
                        r.backup.seq + 1, r.records_dropped);
  if (r.old_seq > r.backup.seq)
    text += fmt::format("the store here had {}{} records: what happened since is gone\n",
                        r.old_readable ? "" : "at least ", r.old_seq);
  if (r.jobs_lost > 0)
    text += fmt::format(
        "{} jobs that are newer are gone (job-{} to job-{}); what runs of them is stopped when its "
        "agent is heard\n",
        r.jobs_lost, r.first_lost, r.last_lost);
  text += fmt::format(
      "new jobs begin with job-{}, new replicas with replica-{}{}\n", r.jobs_from, r.replicas_from,
      r.guessed ? ": what numbers were given since is not known, so they jump" : "");
  if (words.dry_run) return text + "nothing was changed (--dry-run)\n";
  if (!r.moved_to.empty()) text += fmt::format("the old store is in {}\n", r.moved_to);
  for (const std::string& file : r.files) text += fmt::format("put {}\n", file);
  return text + fmt::format("{} is ready: start the scheduler\n", dir);
}

Status Restore(const Words& words) {
  std::optional<config::Scheduler> config;
  RestoreRequest request;
  ASSIGN_OR_RETURN(request.state_dir, StoreOf(words, &config));
  if (words.file.empty() != words.accept)
    return InvalidArgument(
        "either a backup, `allot restore FILE`, or the store that is there, `allot restore "
        "--accept`");
  if (words.accept && !words.files_to.empty())
    return InvalidArgument("--files-to takes files out of a backup; --accept has none");
  request.file = words.file;
  request.files_to = words.files_to;
  request.dry_run = words.dry_run;
  request.progress = Telling("restoring the store");
  ASSIGN_OR_RETURN(const RestoreReport report, RestoreStore(request));
  if (!words.as_json) {
    std::printf("%s", Told(words, request.state_dir, report).c_str());
    return absl::OkStatus();
  }
  json::array files;
  for (const std::string& file : report.files) files.emplace_back(file);
  const json::object out{{"version", 1},
                         {"store", request.state_dir},
                         {"dry_run", words.dry_run},
                         {"backup", ToJson(report.backup)},
                         {"old_record", report.old_seq},
                         {"old_readable", report.old_readable},
                         {"jobs_lost", report.jobs_lost},
                         {"records_dropped", report.records_dropped},
                         {"jobs_from", report.jobs_from},
                         {"replicas_from", report.replicas_from},
                         {"guessed", report.guessed},
                         {"moved_to", report.moved_to},
                         {"files", std::move(files)}};
  std::printf("%s\n", json::serialize(out).c_str());
  return absl::OkStatus();
}

// To the log of the store that it was about; whoever has no right to write there has read it at
// least.
void Audit(std::string_view verb, const Words& words, const Status& status) {
  std::optional<config::Scheduler> config;
  const StatusOr<std::string> store = StoreOf(words, &config);
  if (!store.ok() || words.dry_run) return;
  const auto log = audit::ToOptions(config ? config->audit() : config::Audit(),
                                    fmt::format("{}/{}", *store, audit::kFileName));
  std::error_code none;
  if (!log.ok() || !*log || !fs::exists(fs::path((*log)->file).parent_path(), none)) return;
  const passwd* const user = getpwuid(getuid());
  const Status noted = audit::NoteOnce(
      (*log)->file, {.who = user != nullptr ? user->pw_name : fmt::format("uid {}", getuid()),
                     .verb = std::string(verb),
                     .what = words.file.empty() ? words.to : words.file,
                     .allowed = status.ok(),
                     .why = status.ok() ? "" : MessageOf(status)});
  if (!noted.ok()) std::fprintf(stderr, "allot: %s\n", MessageOf(noted).c_str());
}

}  // namespace

std::optional<int> RunStoreCommand(int argc, char** argv) {
  const std::string_view verb = argc > 1 ? argv[1] : "";
  if (verb != "backup" && verb != "restore") return std::nullopt;
  const std::string name = "allot-scheduler " + std::string(verb);
  CLI::App app("What `allot " + std::string(verb) + "` does; see its --help.", name);
  Words words;
  app.add_option("--config,-c", words.config, "the scheduler's config file");
  app.add_option("--store", words.store, "the scheduler's state_dir");
  app.add_flag("--json", words.as_json, "JSON");
  if (verb == "backup") {
    app.add_option("--to", words.to, "the file to make");
    app.add_flag("--with-config", words.with_config, "the config and the files it names too");
  } else {
    app.add_option("FILE", words.file, "the backup");
    app.add_flag("--accept", words.accept, "take the store that is there, as it is");
    app.add_option("--files-to", words.files_to, "folder for the files in the backup");
    app.add_flag("--dry-run", words.dry_run, "say what would be done");
  }
  if (const auto ends = program::ParseArguments(app, argc - 1, argv + 1)) return *ends;
  NoteInterrupts();
  const Status status = verb == "backup" ? Backup(words) : Restore(words);
  Audit(verb, words, status);
  return status.ok() ? 0 : End("allot", status);
}

}  // namespace allot::scheduler
