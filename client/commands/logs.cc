#include "client/commands/commands.h"
#include "client/follow.h"
#include "client/verbs.h"

namespace allot::client {
namespace {

struct LogFlags {
  std::string id;
  LogWish wish;
};

StatusOr<int> Logs(const Session& session, const LogFlags& flags) {
  ASSIGN_OR_RETURN(const Endpoint endpoint, session.FindEndpoint());
  if (!flags.id.starts_with("replica-")) {
    RETURN_IF_ERROR(PrintJobLogs(endpoint, JobId(flags.id), flags.wish));
    return 0;
  }
  if (!flags.wish.tasks.empty() || flags.wish.attempt != 0)
    return InvalidArgument("a replica has neither tasks nor attempts; leave out --task, --attempt");
  RETURN_IF_ERROR(PrintReplicaLogs(endpoint, flags.id, flags.wish.follow));
  return 0;
}

}  // namespace

void AddLogs(CLI::App& app, Session& session) {
  CLI::App* command =
      AddCommand(app, "logs", "Print what a job's tasks or a replica wrote",
                 "  allot logs -f job-17\n"
                 "  allot logs job-17 --task 0 --attempt 1\n"
                 "  allot logs replica-3\n"
                 "Standard output and error together, byte by byte as written, so what steers a "
                 "terminal is not\n"
                 "kept from it; without --task the lines of a gang begin with the task's rank.");
  auto flags = std::make_shared<LogFlags>();
  AddName(command, "ID", flags->id, "job-N or replica-N");
  command->add_flag("-f,--follow", flags->wish.follow, "Go on until it has ended");
  command->add_option("--task", flags->wish.tasks, "Only this rank; repeatable")
      ->check(CLI::Range(0, 4095))
      ->allow_extra_args(false);
  command
      ->add_option("--attempt", flags->wish.attempt,
                   "An earlier attempt, while it is known; default the last")
      ->check(CLI::Range(1, 1'000'000'000));
  OnRun(command, session, [&session, flags] { return Logs(session, *flags); });
}

}  // namespace allot::client
