// Staying with a job: waiting for its end and following its logs, across restarts of the
// scheduler and new attempts of the gang.
#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/api.h"

namespace allot::client {

using Deadline = std::optional<std::chrono::steady_clock::time_point>;
Deadline DeadlineAfter(std::optional<Duration> timeout);

// How long a scheduler may be away before a wait gives up.
inline constexpr std::chrono::seconds kAwayMax{60};

// Until the job is finished. DeadlineExceeded once the deadline has passed; the job runs on.
// `look_every`: how long one question may wait for its answer; below what proxies tend to cut.
// A scheduler that never answered is more likely a wrong address than a restart, and waited for
// only if it is kAnswered: it was spoken to before.
enum class Known : uint8_t { kNever, kAnswered };
StatusOr<Answer<JobView>> WaitForJob(Api& api, const std::string& id, Deadline deadline,
                                     Duration look_every = std::chrono::seconds(25),
                                     Known known = Known::kNever);

// Where log bytes go: standard output, whole lines with the task's rank before each where there
// are several tasks. Safe from several threads.
class LogSink {
 public:
  explicit LogSink(bool ranks) : ranks_(ranks) {}
  void Write(int64_t rank, std::string_view piece);
  void Flush(int64_t rank);  // the rest of a last line without a newline

 private:
  const bool ranks_;
  std::mutex mutex_;
  std::vector<std::pair<int64_t, std::string>> partial_;
  std::string& PartialOf(int64_t rank);
};

struct LogWish {
  std::vector<int64_t> tasks;  // empty: all of the job
  int64_t attempt = 0;         // 0: the last
  bool follow = false;
  Known known = Known::kNever;
};
// Prints the logs of a job; with `follow` until it is finished.
Status PrintJobLogs(const Endpoint& endpoint, const std::string& id, const LogWish& wish);
Status PrintReplicaLogs(const Endpoint& endpoint, const std::string& id, bool follow);

}  // namespace allot::client
