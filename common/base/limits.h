// Every budget that outside bytes meet, in one table: docs/limits.md is made of it.
//
// A budget is a `Limit` here, and the code that keeps it reads its value from here. Adding one is a
// constant below, in the group of the door it guards, and its name in the list of limits.cc; the
// page follows with `ALLOT_UPDATE=1 build/dev/bin/test_base --gtest_filter='Limits.*'`.
// Pure values; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace allot {

enum class LimitUnit { kBytes, kCount, kPerSecond, kBytesPerSecond, kMilliseconds };

struct Limit {
  std::string_view name;  // what is counted, in words: "connections that have not proven a key"
  int64_t value = 0;
  LimitUnit unit = LimitUnit::kCount;
  std::string_view scope;    // of what it is the most: "a connection", "an address", "a port"
  std::string_view reason;   // why this much
  std::string_view refusal;  // what happens to what is over it
  std::string_view metric;   // where it is counted: name{label="value"}; "" if it cannot be refused
};

namespace limits {

// ---- lines of log -------------------------------------------------------------------------------
inline constexpr Limit kLogLineBytes{"text of a line of log",
                                     4096,
                                     LimitUnit::kBytes,
                                     "a line",
                                     "a reason with a path and a name in it is a tenth of it",
                                     "cut, with the number of bytes that were left out",
                                     ""};

}  // namespace limits

// One group a door, in the order of the page.
struct LimitGroup {
  std::string_view door, about;
  std::span<const Limit* const> limits;
};
std::span<const LimitGroup> LimitGroups();

}  // namespace allot
