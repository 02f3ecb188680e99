#include "client/follow.h"

#include <algorithm>
#include <cstdio>
#include <thread>

#include "client/session.h"
#include "common/base/thread.h"

namespace allot::client {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int64_t kFollowedMax = 64;  // one connection and thread each
constexpr Duration kGlance = std::chrono::milliseconds(200);

// One task's (or replica's) stream to its end, taken up again where it broke off.
Status CopyStream(Api& api, LogQuery query, LogSink& sink) {
  Patience patience(query.follow ? api.endpoint().patience : Duration(0));
  while (true) {
    bool any = false;
    const Status status = api.Logs(query, [&](std::string_view piece) {
      any = true;
      query.offset += static_cast<int64_t>(piece.size());
      sink.Write(query.task, piece);
      return true;
    });
    if (any) patience.AfterSuccess();
    if (status.ok() || !patience.AfterFailure(status)) {
      sink.Flush(query.task);
      return status;
    }
  }
}

Status CopyTasks(const Endpoint& endpoint, const std::string& id, const std::vector<int64_t>& ranks,
                 int64_t attempt, bool follow, LogSink& sink) {
  const auto copy = [&](int64_t rank) -> Status {
    ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, Api::Connect(endpoint));
    return CopyStream(
        *api, {.id = id, .task = rank, .attempt = attempt, .offset = 0, .follow = follow}, sink);
  };
  Status result;
  if (!follow || ranks.size() == 1) {
    for (const int64_t rank : ranks)
      if (Status status = copy(rank); !status.ok() && result.ok()) result = status;
    return result;
  }
  std::vector<Status> statuses(ranks.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < ranks.size(); ++i)
    threads.push_back(StartThread([&, i] { statuses[i] = copy(ranks[i]); }));
  for (std::thread& thread : threads) thread.join();
  for (const Status& status : statuses)
    if (!status.ok() && result.ok()) result = status;
  return result;
}

bool HasStarted(const JobView& job) {
  return std::any_of(job.tasks.begin(), job.tasks.end(),
                     [](const TaskView& t) { return t.phase == "running" || t.phase == "exited"; });
}

}  // namespace

StatusOr<Answer<JobView>> WaitForJob(Api& api, const std::string& id, Deadline deadline,
                                     Duration look_every) {
  while (true) {
    Duration look = look_every;
    if (deadline) {
      const auto left = std::chrono::duration_cast<Duration>(*deadline - Clock::now());
      look = std::clamp<Duration>(left, Duration(0), look_every);
    }
    StatusOr<Answer<JobView>> job = api.Wait(id, look, deadline);
    if (job.ok() && job->view.done()) return job;
    if (deadline && Clock::now() >= *deadline && (job.ok() || IsAway(job.status())))
      return DeadlineExceeded("{} is not finished yet; it goes on, and `allot wait {}` waits again",
                              id, id);
    RETURN_IF_ERROR(job.status());
  }
}

std::string& LogSink::PartialOf(int64_t rank) {
  for (auto& [r, text] : partial_)
    if (r == rank) return text;
  return partial_.emplace_back(rank, "").second;
}

void LogSink::Write(int64_t rank, std::string_view piece) {
  const std::lock_guard lock(mutex_);
  if (!ranks_) {
    std::fwrite(piece.data(), 1, piece.size(), stdout);
    std::fflush(stdout);
    return;
  }
  std::string& partial = PartialOf(rank);
  partial += piece;
  size_t start = 0;
  for (size_t end; (end = partial.find('\n', start)) != std::string::npos; start = end + 1)
    fmt::print("{}: {}\n", rank, std::string_view(partial).substr(start, end - start));
  partial.erase(0, start);
  std::fflush(stdout);
}

void LogSink::Flush(int64_t rank) {
  const std::lock_guard lock(mutex_);
  std::string& partial = PartialOf(rank);
  if (!partial.empty()) fmt::print("{}: {}\n", rank, partial);
  partial.clear();
  std::fflush(stdout);
}

Status PrintJobLogs(const Endpoint& endpoint, const std::string& id, const LogWish& wish) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, Api::Connect(endpoint));
  ASSIGN_OR_RETURN(const Answer<JobView> first, api->Job(id));
  JobView job = first.view;
  std::vector<int64_t> ranks = wish.tasks;
  if (ranks.empty())
    for (int64_t rank = 0; rank < std::max<int64_t>(job.tasks_total, 1); ++rank)
      ranks.push_back(rank);
  if (wish.follow && static_cast<int64_t>(ranks.size()) > kFollowedMax)
    return InvalidArgument("{} has {} tasks; follow at most {} at once, chosen with --task N", id,
                           ranks.size(), kFollowedMax);
  LogSink sink(/*ranks=*/wish.tasks.empty() && ranks.size() > 1);
  if (!wish.follow) return CopyTasks(endpoint, id, ranks, wish.attempt, false, sink);

  int64_t shown = 0;  // the last attempt that was printed to its end
  while (true) {
    while (!job.done() && !HasStarted(job)) {
      ASSIGN_OR_RETURN(const Answer<JobView> next, api->Wait(id, kGlance));
      job = next.view;
    }
    const int64_t attempt = wish.attempt != 0 ? wish.attempt : job.attempt;
    if (!HasStarted(job) || attempt == shown) {
      if (job.done()) return absl::OkStatus();
    } else {
      if (shown != 0) Say(fmt::format("allot: attempt {} of {}", attempt, id));
      const Status copied = CopyTasks(endpoint, id, ranks, attempt, true, sink);
      // Once the next attempt runs the log of this one may not be had any more.
      const bool passed = copied.code() == StatusCode::kNotFound && wish.attempt == 0;
      if (!copied.ok() && !passed) return copied;
      shown = attempt;
    }
    if (wish.attempt != 0) return absl::OkStatus();
    // The streams end with the tasks; the job may be about to finish, or to be tried again.
    ASSIGN_OR_RETURN(const Answer<JobView> next, api->Wait(id, kGlance));
    job = next.view;
    if (job.done() && job.attempt == shown) return absl::OkStatus();
  }
}

Status PrintReplicaLogs(const Endpoint& endpoint, const std::string& id, bool follow) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, Api::Connect(endpoint));
  LogSink sink(/*ranks=*/false);
  return CopyStream(*api, {.id = id, .follow = follow}, sink);
}

}  // namespace allot::client
