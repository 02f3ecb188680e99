// The slow work on the state folder, on a thread that only exists while there is some.
#pragma once

#include <string>

#include "common/base/units.h"

namespace allot::agent {

struct LogLimits {
  Duration kept;  // after the last write, for processes without a record
  size_t files_max = 100'000;
  // On disk, of one log; beyond it all but the last half of this is given back, and a line in the
  // log says so.
  Bytes bytes_max = kGiB;
  // To be free on the disk. Where there is less, logs of ended processes go, the oldest first, and
  // if that is not enough all but the ends of the others.
  Bytes free_wanted = 0;
};
// What is no regular file does not belong there: once it is as old as a log that goes, it is moved
// to `trash` (empty: left alone).
void SweepLogFolder(const std::string& logs, const std::string& processes, const LogLimits& limits,
                    const std::string& trash = "");

}  // namespace allot::agent
