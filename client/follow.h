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

// Until the job is finished. DeadlineExceeded once the deadline has passed; the job runs on.
// `look_every`: how long one question may wait for its answer; below what proxies tend to cut.
StatusOr<Answer<JobView>> WaitForJob(Api& api, const std::string& id, Deadline deadline,
                                     Duration look_every = std::chrono::seconds(25));

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
};
// Prints the logs of a job; with `follow` until it is finished.
Status PrintJobLogs(const Endpoint& endpoint, const std::string& id, const LogWish& wish);
Status PrintReplicaLogs(const Endpoint& endpoint, const std::string& id, bool follow);

}  // namespace allot::client
