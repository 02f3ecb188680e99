// Exit codes of the `allot` command, one table for every group (docs/cli.md repeats it).
//
// `allot wait` and `allot submit --wait` return the job's own code instead once the job has
// finished; a message "allot: …" on standard error tells the two apart.
#pragma once

#include "common/base/status.h"

namespace allot::client {

enum ExitCode : int {
  kOk = 0,
  kFailed = 1,
  kUsage = 2,   // bad flags, bad files, bad values
  kDenied = 3,  // no token, or one whose role is too small
  kNotFound = 4,
  kUnavailable = 5,  // nobody answers, or asks to come back later
  kTimedOut = 6,
  kUnwell = 7,  // `allot doctor` found something wrong
};

ExitCode ExitCodeOf(const Status& status);

}  // namespace allot::client
