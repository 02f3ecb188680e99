#include <signal.h>
#include <unistd.h>

#include <filesystem>

#include "client/commands/commands.h"
#include "client/follow.h"
#include "client/submit_spec.h"
#include "client/text.h"

namespace allot::client {
namespace {

struct SubmitCommandFlags {
  SubmitFlags job;
  std::string idempotency_key;
  bool wait = false, follow = false;
};

// Ctrl-C while waiting: the job is the cluster's, not this terminal's. The handler may only call
// what is async-signal-safe, so the words are prepared before.
char farewell[256];
size_t farewell_size = 0;

void LeaveRunning(int) {
  (void)!write(STDERR_FILENO, farewell, farewell_size);
  _exit(130);
}

void SayOnInterrupt(const std::string& id) {
  const std::string text = fmt::format(
      "\nallot: {} keeps running; `allot wait {}` waits again, `allot cancel {}` stops it\n", id,
      id, id);
  farewell_size = text.copy(farewell, sizeof(farewell));
  struct sigaction action {};
  action.sa_handler = LeaveRunning;
  sigaction(SIGINT, &action, nullptr);
}

StatusOr<int> Submit(const Session& session, const SubmitCommandFlags& flags) {
  SubmitFlags wish = flags.job;
  wish.command = session.trailing;
  std::error_code error;
  const std::string folder = std::filesystem::current_path(error).string();
  if (error) return FailedPrecondition("the current folder is gone: {}", error.message());
  ASSIGN_OR_RETURN(const std::string body, WriteJob(wish, folder));
  ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, session.Connect());
  ASSIGN_OR_RETURN(const Answer<JobView> submitted,
                   api->Submit(body, flags.idempotency_key, [&body] { return CheckJob(body); }));
  const std::string id = submitted.view.id;
  if (!flags.wait && !flags.follow) {
    Print(session.json ? submitted.body : id);
    return 0;
  }
  SayOnInterrupt(id);
  if (flags.follow) {
    Say(id);
    RETURN_IF_ERROR(PrintJobLogs(api->endpoint(), id, {.follow = true}));
  } else if (!session.json) {
    Print(id);
  }
  ASSIGN_OR_RETURN(const Answer<JobView> done, WaitForJob(*api, id, std::nullopt));
  if (session.json && !flags.follow) Print(done.body);
  const int code = static_cast<int>(done.view.code.value_or(kFailed));
  if (!session.json)
    Say(fmt::format("{} {} with code {}{}{}", id, done.view.outcome, code,
                    done.view.message.empty() ? "" : ": ", done.view.message));
  return code;
}

}  // namespace

void AddSubmit(CLI::App& app, Session& session) {
  CLI::App* command = AddCommand(
      app, "submit", "Submit a job and print its id",
      "  allot submit job.yaml\n"
      "  allot submit --tasks 2 --device kind=GPU,count=1 --follow -- python3 train.py\n"
      "Everything after -- is the command, word by word; no shell reads it.\n"
      "The job runs in the current folder unless --work-dir or the file's work_dir say otherwise\n"
      "(--work-dir \"\" gives each task a scratch folder). Flags override what the file says.\n"
      "Several --device are alternatives. With --wait or --follow the exit code is the job's;\n"
      "Ctrl-C then leaves the job running.");
  auto flags = std::make_shared<SubmitCommandFlags>();
  SubmitFlags& job = flags->job;
  command->add_option("FILE", job.file, "Job as YAML (docs/config.md)");
  command->add_option("--name", job.name, "For people");
  command->add_option("--tenant", job.tenant, "Whose queue; default \"default\"");
  command->add_option("--priority", job.priority, "Higher goes first, -1000 to 1000");
  command->add_option("--tasks", job.tasks, "Processes in the gang, placed all or none");
  command
      ->add_option("--device", job.devices,
                   "Devices of each task, as kind=GPU,count=2 or model=nvidia/h100*; repeat for "
                   "alternatives")
      ->allow_extra_args(false);
  command->add_option("--cpus", job.cpus, "Processor share of each task: 2, 0.5, 500m");
  command->add_option("--memory", job.memory, "Memory of each task: 512MiB, 16GiB");
  command->add_option("--env", job.environment, "NAME=value; repeatable")->allow_extra_args(false);
  command->add_option("--work-dir", job.work_dir, "Folder the tasks run in");
  command->add_option("--checkpoint-dir", job.checkpoint_dir, "Folder kept across attempts");
  command->add_option("--time-limit", job.time_limit, "Of one attempt: 90s, 2h");
  command->add_option("--grace", job.grace, "Between SIGTERM and SIGKILL; default 10s");
  command->add_option("--restarts", job.restarts, "Attempts after a failure; default 0");
  command->add_flag("--at-most-one", job.at_most_one,
                    "Never two attempts alive at once, even when a node is cut off");
  command->add_option("--scratch-max", job.scratch_max,
                      "What a task may keep in its scratch folder: 10GiB");
  command->add_option("--runtime", job.runtime, "process, or noop to measure the control plane");
  command->add_option("--idempotency-key", flags->idempotency_key,
                      "The same key twice is one job; default a new one");
  command->add_flag("--wait", flags->wait, "Wait for the end and return the job's code");
  command->add_flag("--follow", flags->follow, "Print the logs, then as --wait");
  AddJson(command, session);
  OnRun(command, session, [&session, flags] { return Submit(session, *flags); });
}

}  // namespace allot::client
