// The slow work on the state folder, on a thread that only exists while there is some.
#pragma once

#include <string>

#include "common/base/units.h"

namespace allot::agent {

// Empties `folder`, keeping it.
void EmptyFolder(const std::string& folder);

struct LogLimits {
  Duration kept;  // after the last write, for processes without a record
  size_t files_max = 100'000;
  Bytes bytes_max =
      256 * kMiB;  // on disk, of one log; beyond, all but the last half of this is given back
};
void SweepLogFolder(const std::string& logs, const std::string& processes, const LogLimits& limits);

}  // namespace allot::agent
