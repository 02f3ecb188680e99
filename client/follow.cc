#include "client/follow.h"

#include <algorithm>
#include <cstdio>
#include <thread>

#include "client/session.h"

namespace allot::client {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kRetryEvery = std::chrono::milliseconds(200);
constexpr int64_t kFollowedMax = 64;  // one connection and thread each

// Tries again while the scheduler is away, for as long as kAwayMax at a stretch.
class Patience {
 public:
  // False: give up.
  bool AfterFailure(const Status& status) {
    // One that takes a connection and says nothing is as much away as one that takes none.
    if (status.code() != StatusCode::kUnavailable && status.code() != StatusCode::kDeadlineExceeded)
      return false;
    const auto now = Clock::now();
    if (!away_) {
      away_ = true;
      since_ = now;
      Say("allot: the scheduler does not answer; trying again …");
    }
    if (now - since_ > kAwayMax) return false;
    Pause(kRetryEvery);
    return true;
  }
  void AfterSuccess() { away_ = false; }

 private:
  bool away_ = false;
  Clock::time_point since_;
};

// One task's (or replica's) stream to its end, taken up again where it broke off.
Status CopyStream(Api& api, LogQuery query, LogSink& sink) {
  Patience patience;
  while (true) {
    bool any = false;
    const Status status = api.Logs(query, [&](std::string_view piece) {
      any = true;
      query.offset += static_cast<int64_t>(piece.size());
      sink.Write(query.task, piece);
      return true;
    });
    if (any) patience.AfterSuccess();
    if (status.ok() || !query.follow || !patience.AfterFailure(status)) {
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
    threads.emplace_back([&, i] { statuses[i] = copy(ranks[i]); });
  for (std::thread& thread : threads) thread.join();
  for (const Status& status : statuses)
    if (!status.ok() && result.ok()) result = status;
  return result;
}

StatusOr<JobView> PatientJob(Api& api, const std::string& id) {
  Patience patience;
  while (true) {
    const auto job = api.Job(id);
    if (job.ok()) return job->view;
    if (!patience.AfterFailure(job.status())) return job.status();
  }
}

bool HasStarted(const JobView& job) {
  return std::any_of(job.tasks.begin(), job.tasks.end(),
                     [](const TaskView& t) { return t.phase == "running" || t.phase == "exited"; });
}

}  // namespace

Deadline DeadlineAfter(std::optional<Duration> timeout) {
  if (!timeout) return std::nullopt;
  return Clock::now() + *timeout;
}

StatusOr<Answer<JobView>> WaitForJob(Api& api, const std::string& id, Deadline deadline,
                                     Duration look_every, Known known) {
  Patience patience;
  bool reached = known == Known::kAnswered;
  while (true) {
    Duration look = look_every;
    if (deadline) {
      const auto left = std::chrono::duration_cast<Duration>(*deadline - Clock::now());
      look = std::clamp<Duration>(left, Duration(0), look_every);
    }
    StatusOr<Answer<JobView>> job = api.Wait(id, look);
    if (job.ok()) {
      reached = true;
      patience.AfterSuccess();
      if (job->view.done()) return job;
    } else {
      reached |= job.status().code() == StatusCode::kDeadlineExceeded;
      if (!reached || !patience.AfterFailure(job.status())) return job.status();
    }
    if (deadline && Clock::now() >= *deadline)
      return DeadlineExceeded("{} is not finished yet; it goes on, and `allot wait {}` waits again",
                              id, id);
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
  JobView job;
  if (wish.known == Known::kAnswered) {
    ASSIGN_OR_RETURN(job, PatientJob(*api, id));
  } else {
    ASSIGN_OR_RETURN(const Answer<JobView> answer, api->Job(id));
    job = answer.view;
  }
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
      const auto next = api->Wait(id, std::chrono::milliseconds(200));
      if (next.ok()) {
        job = next->view;
      } else {
        ASSIGN_OR_RETURN(job, PatientJob(*api, id));
      }
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
    const auto next = api->Wait(id, std::chrono::milliseconds(200));
    if (next.ok()) {
      job = next->view;
    } else {
      ASSIGN_OR_RETURN(job, PatientJob(*api, id));
    }
    if (job.done() && job.attempt == shown) return absl::OkStatus();
  }
}

Status PrintReplicaLogs(const Endpoint& endpoint, const std::string& id, bool follow) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, Api::Connect(endpoint));
  LogSink sink(/*ranks=*/false);
  return CopyStream(*api, {.id = id, .follow = follow}, sink);
}

}  // namespace allot::client
