#include <map>

#include "client/commands/commands.h"
#include "client/follow.h"
#include "client/table.h"
#include "client/text.h"
#include "client/verbs.h"

namespace allot::client {
namespace {

std::string ResultOf(const JobView& job) {
  if (!job.done()) return job.phase;
  if (!job.code || *job.code == 0) return job.outcome;
  return fmt::format("{} ({})", job.outcome, *job.code);
}

std::string WhereOf(const JobView& job) {
  std::vector<DeviceRef> devices;
  std::string node;
  for (const TaskView& task : job.tasks) {
    devices.insert(devices.end(), task.devices.begin(), task.devices.end());
    if (node.find(task.node) == std::string::npos) node += (node.empty() ? "" : ",") + task.node;
  }
  if (devices.empty()) return node;
  return node + " " + Devices(devices);
}

// Why a job is where it is: what ended it, or what it waits for.
using Reasons = std::map<std::string, std::string>;

// Each is a question of its own, so only for the first that wait; the rest say where to ask.
constexpr size_t kReasonsAsked = 20;

Reasons ReasonsOf(Api& api, const std::vector<JobView>& jobs) {
  Reasons out;
  size_t asked = 0;
  for (const JobView& job : jobs) {
    if (job.done()) {
      out[job.id] = job.message;
    } else if (job.phase == "pending" && asked++ < kReasonsAsked) {
      const auto why = api.ExplainJob(job.id);
      if (!why.ok()) continue;  // It may have been placed meanwhile.
      if (why->view.never) {
        out[job.id] = "never";
      } else if (!why->view.reasons.empty()) {
        out[job.id] = why->view.reasons[0].reason;
      }
    } else if (job.phase == "pending") {
      out[job.id] = "(allot explain)";
    }
  }
  return out;
}

std::string JobTable(const std::vector<JobView>& jobs, const Reasons& reasons) {
  Table table({{"JOB"},
               {"NAME"},
               {"TENANT"},
               {"STATE"},
               {"TASKS", Table::Align::kRight},
               {"PRIO", Table::Align::kRight},
               {"WAITED", Table::Align::kRight},
               {"RAN", Table::Align::kRight},
               {"COST", Table::Align::kRight},
               {"WHERE"},
               {""},
               {"REASON"}});
  const auto reason = [&](const JobView& job) {
    const auto it = reasons.find(job.id);
    return it == reasons.end() || it->second.empty() ? std::string(" ") : it->second;
  };
  for (const JobView& job : jobs)
    table.Add({job.id, job.name, job.tenant, ResultOf(job), std::to_string(job.tasks_total),
               std::to_string(job.priority), Seconds(job.waited_seconds), Seconds(job.ran_seconds),
               Money(job.cost_usd), WhereOf(job), job.emulated ? "emulated" : " ", reason(job)});
  return table.ToString();
}

std::string JobPageText(const JobView& job) {
  std::string out;
  const auto line = [&](std::string_view what, const std::string& text) {
    if (!text.empty()) out += fmt::format("{:<10} {}\n", what, text);
  };
  line("job", job.id + (job.name.empty() ? "" : " (" + job.name + ")"));
  line("state", ResultOf(job));
  line("message", job.message);
  line("tenant", job.tenant + (job.user.empty() ? "" : ", submitted by " + job.user));
  line("command", Shell(job.command));
  if (job.spec_bytes_dropped > 0)
    line("not kept", fmt::format("{} of its environment and command, as it has ended",
                                 FormatBytes(job.spec_bytes_dropped)));
  line("attempt", std::to_string(job.attempt) +
                      (job.at_most_one ? ", of which one is alive at most (at_most_one)" : ""));
  if (job.scratch_max_bytes > 0) line("scratch", FormatBytes(job.scratch_max_bytes) + " at most");
  line("submitted", job.submitted);
  line("placed", job.placed);
  line("finished", job.finished);
  line("waited", Seconds(job.waited_seconds));
  line("ran", Seconds(job.ran_seconds));
  line("price", PerHour(job.price_usd_per_hour));
  line("cost", Money(job.cost_usd));
  if (job.energy_joules)
    line("energy",
         Energy(job.energy_joules) + (job.energy_source.empty() ? "" : ", ") + job.energy_source);
  Table table({{"RANK", Table::Align::kRight},
               {"NODE"},
               {"STATE"},
               {"PID", Table::Align::kRight},
               {"CODE", Table::Align::kRight},
               {"STEP", Table::Align::kRight},
               {"LOSS", Table::Align::kRight},
               {"DEVICES"},
               {"ISOLATION"},
               {""},
               {"MESSAGE"}});
  for (const TaskView& t : job.tasks) {
    std::string code = t.code ? std::to_string(*t.code) : "";
    if (t.signal && *t.signal != 0) code = fmt::format("signal {}", *t.signal);
    std::string step = t.step ? std::to_string(*t.step) : "";
    if (t.step && t.total.value_or(0) > 0) step += "/" + std::to_string(*t.total);
    table.Add({std::to_string(t.rank), t.node, t.phase, t.pid != 0 ? std::to_string(t.pid) : "",
               code, step, t.loss ? fmt::format("{:.4f}", *t.loss) : "", Devices(t.devices),
               LeastIsolation(t.devices), AnyEmulated(t.devices) ? "emulated" : " ", t.message});
  }
  if (!job.tasks.empty()) out += "\n" + table.ToString();
  if (!job.done() && job.phase == "pending")
    out += fmt::format("\n`allot explain {}` tells why it waits.\n", job.id);
  return out;
}

struct ListFlags {
  std::string phase, tenant, before;
  int limit = 100;
  bool all = false;
};

StatusOr<int> List(const Session& session, const ListFlags& flags) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, session.Connect());
  return session.Show([&]() -> StatusOr<std::string> {
    JobQuery query{flags.phase, flags.tenant, JobId(flags.before), flags.limit};
    if (session.json && !flags.all) {
      ASSIGN_OR_RETURN(Answer<JobPage> page, api->Jobs(query));
      return std::move(page.body);
    }
    std::vector<JobView> jobs;
    if (flags.all) query.limit = 1000;
    std::string next, bodies;
    do {
      ASSIGN_OR_RETURN(const Answer<JobPage> page, api->Jobs(query));
      jobs.insert(jobs.end(), page.view.jobs.begin(), page.view.jobs.end());
      next = query.before = page.view.next;
      bodies += page.body + (flags.all && !next.empty() ? "\n" : "");
    } while (flags.all && !next.empty());
    if (session.json) return bodies;  // One page a line.
    if (jobs.empty()) return std::string("no jobs\n");
    std::string out = JobTable(jobs, ReasonsOf(*api, jobs));
    if (!next.empty())
      out += fmt::format("… and older ones: --all, or --before {} for the next page\n", next);
    return out;
  });
}

struct WaitFlags {
  std::vector<std::string> ids;
  std::string timeout;
};

StatusOr<int> Wait(const Session& session, const WaitFlags& flags) {
  std::optional<Duration> timeout;
  if (!flags.timeout.empty()) {
    ASSIGN_OR_RETURN(timeout, DurationOf("--timeout", flags.timeout));
  }
  const Deadline deadline = DeadlineAfter(timeout);
  ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, session.Connect());
  int code = 0;
  for (const std::string& given : flags.ids) {
    const std::string id = JobId(given);
    ASSIGN_OR_RETURN(const Answer<JobView> job, WaitForJob(*api, id, deadline));
    const int its = static_cast<int>(job.view.code.value_or(kFailed));
    if (code == 0) code = its;
    Print(session.json ? job.body
                       : fmt::format("{} {} with code {}{}{}", id, job.view.outcome, its,
                                     job.view.message.empty() ? "" : ": ", job.view.message));
  }
  return code;
}

StatusOr<int> Cancel(const Session& session, const std::vector<std::string>& ids) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, session.Connect());
  Status first;
  for (const std::string& given : ids) {
    const std::string id = JobId(given);
    const StatusOr<Answer<JobView>> job = api->Cancel(id);
    if (!job.ok()) {
      Say(Complaint(job.status()));
      if (first.ok()) first = job.status();
      continue;
    }
    const JobView& view = job->view;
    Print(session.json  ? job->body
          : view.done() ? fmt::format("{} {}", id, view.outcome)
                        : fmt::format("{} is being stopped", id));
  }
  return ExitCodeOf(first);
}

}  // namespace

void AddJobs(CLI::App& app, Session& session) {
  CLI::App* jobs = AddCommand(app, "jobs", "List jobs, newest first",
                              "  allot jobs --phase running --watch\n"
                              "  allot jobs --tenant research --all --json\n"
                              "REASON is what ended a job, or the first thing it waits for; `allot "
                              "explain` tells all.");
  auto list = std::make_shared<ListFlags>();
  jobs->add_option("--phase", list->phase, "pending, running, stopping or finished")
      ->check(CLI::IsMember({"pending", "running", "stopping", "finished"}));
  jobs->add_option("--tenant", list->tenant, "Only this tenant's");
  jobs->add_option("--limit", list->limit, "How many")->check(CLI::Range(1, 1000));
  jobs->add_option("--before", list->before, "Only those older than this job");
  jobs->add_flag("--all", list->all, "All pages (as JSON: one page a line)");
  AddJson(jobs, session);
  AddWatch(jobs, session);
  OnRun(jobs, session, [&session, list] { return List(session, *list); });

  CLI::App* job = AddCommand(app, "job", "Show one job with its tasks", "  allot job job-17");
  auto id = std::make_shared<std::string>();
  AddName(job, "ID", *id, "Job, as submit printed it");
  AddJson(job, session);
  AddWatch(job, session);
  OnRun(job, session, [&session, id]() -> StatusOr<int> {
    ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, session.Connect());
    return session.Show([&]() -> StatusOr<std::string> {
      ASSIGN_OR_RETURN(Answer<JobView> answer, api->Job(JobId(*id)));
      return session.json ? std::move(answer.body) : JobPageText(answer.view);
    });
  });

  CLI::App* wait =
      AddCommand(app, "wait", "Wait until jobs are finished; returns the job's code",
                 "  allot wait job-17 && echo trained\n"
                 "  allot wait job-17 job-18 --timeout 10m\n"
                 "With several jobs the code is the first that is not 0. A restarting\n"
                 "scheduler is waited for.");
  auto flags = std::make_shared<WaitFlags>();
  AddNames(wait, "ID", flags->ids, "Jobs");
  wait->add_option("--timeout", flags->timeout, "Give up after: 90s, 10m (exit code 6)");
  AddJson(wait, session);
  OnRun(wait, session, [&session, flags] { return Wait(session, *flags); });

  CLI::App* cancel = AddCommand(app, "cancel", "Cancel jobs: SIGTERM, then SIGKILL after the grace",
                                "  allot cancel job-17");
  auto ids = std::make_shared<std::vector<std::string>>();
  AddNames(cancel, "ID", *ids, "Jobs");
  AddJson(cancel, session);
  OnRun(cancel, session, [&session, ids] { return Cancel(session, *ids); });
}

}  // namespace allot::client
