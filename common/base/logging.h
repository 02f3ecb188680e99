// Structured logs: one line an event, `message key=value …`, to standard error.
//
// A shell calls InitLogging once. The cores do not log; they emit notes.
//
// What outside text is in a message cannot steer a terminal, begin a line of its own or end a JSON
// string, and no line and no kind of line is without end: the logger sees to that, so that whoever
// logs cannot forget it (common/base/limits.h, "Logs"). What is left out is counted, and said once
// there is room again.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "common/base/token_bucket.h"
#include "spdlog/spdlog.h"

namespace allot {

enum class LogFormat { kText, kJson };
// level: trace, debug, info, warn, error. `program` is printed on every line.
void InitLogging(std::string_view program, std::string_view level, LogFormat format);

// Of this process, since it began. Any thread.
uint64_t LogLinesLeftOut();

// Which lines are written. Pure; of one thread at a time.
class LogLimiter {
 public:
  struct Verdict {
    bool write = false;
    uint64_t left_out = 0;  // lines of this kind, since the last that was written
  };
  // `now`: of any clock that only goes forward.
  Verdict Judge(Duration now, std::string_view message);
  // What lines of one call have in common: the words before the first value.
  static std::string_view KindOf(std::string_view message);

 private:
  struct Kind {
    TokenBucket lines;
    uint64_t left_out = 0;
  };
  TokenBucket bytes_ = AllLines();
  std::map<std::string, Kind, std::less<>> kinds_;
  static TokenBucket AllLines();
};

}  // namespace allot
