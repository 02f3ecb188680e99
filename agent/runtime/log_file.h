// Reading pieces of a log that may be growing.
#pragma once

#include <string>

#include "common/base/status.h"

namespace allot::agent {

struct LogPiece {
  int64_t offset = 0;  // of the first byte; larger than asked for where the beginning was given up
  std::string data;    // empty at the end of what is there
};

// A log that does not exist is an empty one: a process that wrote nothing leaves none.
StatusOr<LogPiece> ReadLogPiece(const std::string& path, int64_t offset, size_t bytes_max);

}  // namespace allot::agent
