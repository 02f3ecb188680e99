// Structured logs: one line an event, `message key=value …`, to standard error.
//
// A shell calls InitLogging once. The cores do not log; they emit notes.
#pragma once

#include <string_view>

#include "spdlog/spdlog.h"

namespace allot {

enum class LogFormat { kText, kJson };
// level: trace, debug, info, warn, error. `program` is printed on every line.
void InitLogging(std::string_view program, std::string_view level, LogFormat format);

}  // namespace allot
