// What every long-running program does alike around its loop. Main thread, before other threads.
#pragma once

#include <string>

#include "common/base/status.h"
#include "common/proto/config.pb.h"

namespace allot::program {

// Logs as the file says (InitLogging), and libraries that would write to standard error by
// themselves are made to keep silent: what a stranger sends must not fill our log.
void StartLogging(const std::string& program, const config::Logging& logging);

// 0 OK; 2 bad input; 3 denied; 4 not found; 5 an address, the state folder or the disk is not to be
// had; 6 timed out; 1 anything else. The table of docs/operations.md.
int ExitCodeOf(const Status& status);

// Says on standard error why `program` ends, and gives the exit code.
int Complain(const std::string& program, const Status& status);

}  // namespace allot::program
