// The audit log: a line of JSON for each thing that somebody did or was refused, appended to one
// file (O_APPEND, 0600) by a thread of its own. Full files become FILE.1, FILE.2, …, and so many
// are kept. Whoever moves the file away (logrotate) gets a new one.
//
// A disk that does not take lines stops nobody: they wait, up to a budget, then are lost, counted
// and said in the program's log. Text from outside is escaped and cut. Refusals are bounded for
// each who and for all strangers together, so that nobody can push others' lines out of the files
// that are kept: those left out are counted, and the next line of that who says how many they were.
// Note may be called from any thread and does not wait for the disk.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/limits.h"
#include "common/base/status.h"
#include "common/base/token_bucket.h"
#include "common/base/units.h"

namespace allot::audit {

struct Entry {
  std::string who = {};   // a token's name, a peer's, a user of this machine; empty: a stranger
  std::string role = {};  // "admin", "agent", …
  std::string tenant = {};
  std::string from = {};  // address; empty: this machine
  std::string verb = {};  // "POST /v1/jobs", "enrol", "backup"
  std::string what = {};  // "/v1/jobs/job-17", "agent n1"
  bool allowed = true;
  int code = 0;          // HTTP's, where there is one
  std::string why = {};  // of a refusal
};

// Without the newline. `left_out`: refusals of that who before it that have no line.
std::string Line(const Entry& entry, Time time, uint64_t left_out);

// Which refusals are written. Pure; one thread.
class Limiter {
 public:
  struct Verdict {
    bool write = true;
    uint64_t left_out = 0;
  };
  Verdict Judge(Duration now, const Entry& entry);

 private:
  struct Sender {
    TokenBucket lines{limits::kAuditRefusalsPerSecond, limits::kAuditRefusalsBurst};
    uint64_t left_out = 0;
  };
  std::map<std::string, Sender, std::less<>> senders_;  // by who; "" for strangers
};

struct Counters {
  std::atomic<uint64_t> written{0};   // lines
  std::atomic<uint64_t> left_out{0};  // refusals beyond their budget
  std::atomic<uint64_t> lost{0};      // lines that the disk did not take
  std::atomic<bool> failing{false};   // the last write failed, and it is being tried again
};

class Log {
 public:
  struct Options {
    std::string file;
    int64_t size_max = 64 << 20;
    size_t files = 8;                     // with the one that is written to
    // The machine's clock, and what has passed by one that nobody sets; a test has others.
    std::function<Time()> now = nullptr;
    std::function<Duration()> passed = nullptr;
  };
  // PermissionDenied, FailedPrecondition: it cannot be opened, or is no plain file. A full disk is
  // no error.
  static StatusOr<std::unique_ptr<Log>> Open(Options options);
  ~Log();  // writes what waits, once

  void Note(const Entry& entry);
  // Until what was noted is written, or could not be.
  void Flush();
  const Counters& counters() const;

 private:
  class Impl;
  explicit Log(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// One line from a command that writes no other: whoever rotates the file is not in the way.
Status NoteOnce(const std::string& file, const Entry& entry);

}  // namespace allot::audit
