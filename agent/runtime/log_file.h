// Reading pieces of a log that may be growing.
#pragma once

#include <string>

#include "common/base/status.h"

namespace allot::agent {

struct LogPiece {
  int64_t offset = 0;  // of the first byte; larger than asked for where the beginning was given up
  std::string data;    // empty at the end of what is there
};

// Of the log `name` in our folder `logs`. One that does not exist is empty: a process that wrote
// nothing leaves none. FailedPrecondition if something else is in its place (beneath.h).
StatusOr<LogPiece> ReadLogPiece(const std::string& logs, const std::string& name, int64_t offset,
                                size_t bytes_max);
// As above, by path.
StatusOr<LogPiece> ReadLogPiece(const std::string& path, int64_t offset, size_t bytes_max);

}  // namespace allot::agent
