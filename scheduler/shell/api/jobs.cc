#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>
#include <vector>

#include "common/config/convert.h"
#include "scheduler/shell/api/api.h"
#include "scheduler/shell/api/render.h"

namespace allot::scheduler::api {
namespace {

constexpr size_t kIdempotencyKeyMax = 255;
constexpr int64_t kPageMax = 1'000, kPageDefault = 100;
constexpr size_t kScanMax = 20'000;  // jobs looked at for one page
// A page ends with the job that goes beyond.
constexpr size_t kPageBytes = limits::kApiPageBytes.value;

// The job as it is now, from the core or, if it ended long ago, from the history.
StatusOr<http::Response> JobAnswer(Services& services, JobId id, int status) {
  const Core& core = services.pipeline.core();
  const Time now = services.pipeline.Now();
  const JobState* job = core.state().FindJob(id);
  StatusOr<JobState> old;
  if (job == nullptr) {
    old = id <= core.state().last_job()
              ? services.history.Find(id)
              : NotFound("there is no {}; `allot jobs` lists them", ToString(id));
    if (!old.ok()) return old.status();
    job = &*old;
  }
  return JsonResponse(status, [&](JsonWriter& json) {
    json.Key("job");
    RenderJob(core, now, *job, json);
  });
}

http::Response JobAnswerOrError(Services& services, JobId id, int status) {
  StatusOr<http::Response> answer = JobAnswer(services, id, status);
  return answer.ok() ? *std::move(answer) : http::ErrorResponse(answer.status());
}

// Bytes of a header may be anything, and this one is kept with the job. Empty: none was sent.
StatusOr<std::string> IdempotencyKeyOf(const Call& call) {
  const std::string_view key = call.request.Header("idempotency-key");
  if (key.empty()) return std::string();
  const bool printable =
      std::all_of(key.begin(), key.end(), [](char c) { return c >= ' ' && c <= '~'; });
  if (!printable || key.size() > kIdempotencyKeyMax) {
    return InvalidArgument(
        "Idempotency-Key has {} bytes{}; give 1 to {} printable ASCII characters, like a UUID",
        key.size(), printable ? "" : ", some of them not printable ASCII", kIdempotencyKeyMax);
  }
  return fmt::format("{}/{}", call.principal.name, key);  // One user's keys are no other's.
}

std::optional<JobPhase> ParsePhase(std::string_view text) {
  for (const JobPhase phase :
       {JobPhase::kPending, JobPhase::kRunning, JobPhase::kStopping, JobPhase::kFinished}) {
    if (ToString(phase) == text) return phase;
  }
  return std::nullopt;
}

struct Page {
  std::vector<const JobState*> jobs;
  JobId next;  // invalid: there is no more
};

struct Filter {
  const auth::Principal* asker = nullptr;
  std::optional<JobPhase> phase;
  std::string_view tenant;
  JobId before;  // exclusive; invalid: from the newest
  size_t limit = kPageDefault;
  bool Takes(const JobState& job) const {
    return (!phase || job.phase == *phase) && (tenant.empty() || job.spec->tenant == tenant) &&
           auth::Sees(*asker, {auth::Kind::kJob, job.spec->tenant});
  }
};

// Few jobs run or have ended beside a million that wait, and the census knows them.
Page PageOfIds(const ClusterState& state, std::vector<JobId> ids, const Filter& filter) {
  std::sort(ids.begin(), ids.end(), std::greater<>());
  Page page;
  for (const JobId id : ids) {
    const JobState* job = state.FindJob(id);
    if (job == nullptr || (filter.before.valid() && id >= filter.before) || !filter.Takes(*job)) {
      continue;
    }
    if (page.jobs.size() == filter.limit) {
      page.next = page.jobs.back()->id;
      break;
    }
    page.jobs.push_back(job);
  }
  return page;
}

Page PageOfAll(const ClusterState& state, const Filter& filter) {
  Page page;
  const auto& jobs = state.jobs();
  auto it = filter.before.valid() ? jobs.lower_bound(filter.before) : jobs.end();
  for (size_t looked = 0; it != jobs.begin(); ++looked) {
    if (page.jobs.size() == filter.limit || looked == kScanMax) {
      page.next = it == jobs.end() ? JobId(state.last_job().value() + 1) : it->first;
      break;
    }
    --it;
    if (filter.Takes(it->second)) page.jobs.push_back(&it->second);
  }
  return page;
}

StatusOr<Filter> FilterOf(const Call& call) {
  const http::Request& request = call.request;
  Filter filter;
  filter.asker = &call.principal;
  ASSIGN_OR_RETURN(const int64_t limit, QueryInteger(request, "limit", 1, kPageMax, kPageDefault));
  filter.limit = static_cast<size_t>(limit);
  filter.tenant = request.Query("tenant");
  if (const auto text = request.Query("phase"); !text.empty()) {
    filter.phase = ParsePhase(text);
    if (!filter.phase) {
      return InvalidArgument("phase is \"{}\"; give pending, running, stopping or finished", text);
    }
  }
  if (const auto text = request.Query("before"); !text.empty()) {
    const std::optional<JobId> before = ParseJobId(text);
    if (!before) return InvalidArgument("before is \"{}\"; give a job like job-17", text);
    filter.before = *before;
  }
  return filter;
}

}  // namespace

Status ReadJob(Call& call) {
  config::Job body;
  RETURN_IF_ERROR(BindBody(call.request, &body));
  ASSIGN_OR_RETURN(JobSpec spec, config::ToJobSpec(body));
  ASSIGN_OR_RETURN(spec.tenant, TenantFor(call, "submit", body.tenant()));
  JobSubmitted event{.spec = std::make_shared<const JobSpec>(std::move(spec)),
                     .user = call.principal.name};
  RETURN_IF_ERROR(CheckStorable(event));
  call.asked = std::move(event.spec);
  return absl::OkStatus();
}

void SubmitJob(Services& services, Call& call) {
  JobSubmitted event;
  event.spec = std::get<std::shared_ptr<const JobSpec>>(std::move(call.asked));
  event.user = call.principal.name;
  const StatusOr<std::string> key = IdempotencyKeyOf(call);
  if (!key.ok()) return Refuse(call, key.status());
  event.idempotency_key = *key;
  const auto render = [&services, spec = event.spec, audited = call.audited](const Reply& reply) {
    if (audited) audited->What(ToString(reply.job));
    const JobState* job = services.pipeline.core().state().FindJob(reply.job);
    StatusOr<JobState> old = NotFound("");
    if (job == nullptr) {  // Its key is remembered longer than the job is.
      old = services.history.Find(reply.job);
      if (old.ok()) job = &*old;
    }
    // Of a finished one the same is kept as would be of this.
    uint64_t cut = 0;
    const JobSpecPtr asked = job != nullptr && job->phase == JobPhase::kFinished
                                 ? ClusterState::KeptOf(spec, &cut)
                                 : spec;
    if (job != nullptr && job->spec != asked && *job->spec != *asked) {
      return http::ErrorResponse(
          AlreadyExists("this Idempotency-Key was used for another job ({})", ToString(reply.job)));
    }
    return JobAnswerOrError(services, reply.job, 201);
  };
  Decide(services, call, render, std::move(event));
}

void GetJob(Services& services, Call& call) {
  const StatusOr<JobId> id = JobOf(call);
  if (!id.ok()) return Refuse(call, id.status());
  if (Status may = MayJob(services, call, auth::Action::kSee, *id); !may.ok())
    return Refuse(call, may);
  if (services.pipeline.degraded()) return Refuse(call, services.pipeline.Accepting());
  services.held.Send(call.responder, JobAnswerOrError(services, *id, 200));
}

void ListJobs(Services& services, Call& call) {
  const StatusOr<Filter> filter = FilterOf(call);
  if (!filter.ok()) return Refuse(call, filter.status());
  const Core& core = services.pipeline.core();
  const JobCensus& census = services.pipeline.census();
  Page page;
  if (filter->phase == JobPhase::kFinished) {
    page = PageOfIds(core.state(), {census.finished_jobs().begin(), census.finished_jobs().end()},
                     *filter);
  } else if (filter->phase == JobPhase::kRunning || filter->phase == JobPhase::kStopping) {
    std::vector<JobId> ids;
    for (const auto& [id, phase] : census.placed()) ids.push_back(id);
    page = PageOfIds(core.state(), std::move(ids), *filter);
  } else {
    page = PageOfAll(core.state(), *filter);
  }
  AnswerJson(services, call, [&](JsonWriter& json) {
    const Time now = services.pipeline.Now();
    json.Key("jobs").Array([&] {
      for (const JobState* job : page.jobs) {
        RenderJob(core, now, *job, json);
        if (json.size() < kPageBytes || job == page.jobs.back()) continue;
        page.next = job->id;
        break;
      }
    });
    if (page.next.valid()) json.Field("next", ToString(page.next));
  });
}

void CancelJob(Services& services, Call& call) {
  const StatusOr<JobId> id = JobOf(call);
  if (!id.ok()) return Refuse(call, id.status());
  if (Status may = MayJob(services, call, auth::Action::kChange, *id); !may.ok())
    return Refuse(call, may);
  const JobState* job = services.pipeline.core().state().FindJob(*id);
  if (job == nullptr) {  // Long finished, or never there: either way there is nothing to cancel.
    return GetJob(services, call);
  }
  Decide(
      services, call,
      [&services, id = *id](const Reply&) { return JobAnswerOrError(services, id, 200); },
      JobCancelRequested{.job = *id, .user = call.principal.name});
}

void WaitForJob(Services& services, Call& call) {
  const StatusOr<JobId> id = JobOf(call);
  if (!id.ok()) return Refuse(call, id.status());
  double seconds = 30;
  if (const auto text = call.request.Query("timeout_seconds"); !text.empty()) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error != std::errc() || end != text.data() + text.size() || !(seconds >= 0) ||
        seconds > 600) {
      return Refuse(call, InvalidArgument("timeout_seconds is \"{}\"; give 0 to 600", text));
    }
  }
  if (Status may = MayJob(services, call, auth::Action::kSee, *id); !may.ok())
    return Refuse(call, may);
  const JobState* job = services.pipeline.core().state().FindJob(*id);
  if (job == nullptr || job->phase == JobPhase::kFinished || seconds == 0) {
    return GetJob(services, call);
  }
  if (services.waiters.waiting() >= services.limits.waits_max) {
    return Refuse(call, Unavailable("{} callers wait for jobs; ask again in a second",
                                    services.waiters.waiting()));
  }
  const std::string sender = call.Sender();
  if (const size_t its = services.waiters.waiting(sender);
      its >= services.limits.waits_of_sender_max) {
    return Refuse(call,
                  ResourceExhausted("{} callers of {} wait for jobs, which is its share of {}; "
                                    "ask again in a second",
                                    its, sender, services.limits.waits_max));
  }
  services.waiters.UntilEnd(*id, sender, call.responder,
                            Duration(static_cast<int64_t>(std::llround(seconds * 1e6))),
                            [&services, id = *id] { return JobAnswerOrError(services, id, 200); });
}

void ExplainJob(Services& services, Call& call) {
  const StatusOr<JobId> id = JobOf(call);
  if (!id.ok()) return Refuse(call, id.status());
  if (Status may = MayJob(services, call, auth::Action::kSee, *id); !may.ok())
    return Refuse(call, may);
  const StatusOr<JobExplanation> explanation =
      services.pipeline.core().ExplainJob(services.pipeline.Now(), *id);
  if (!explanation.ok()) return Refuse(call, explanation.status());
  if (services.pipeline.degraded()) return Refuse(call, services.pipeline.Accepting());
  JsonWriter json;
  RenderExplanation(*explanation, json);
  services.held.Send(call.responder, {.body = json.Take()});
}

}  // namespace allot::scheduler::api
