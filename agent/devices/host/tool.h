// A vendor's command-line tool as a bounded child: it gets a deadline, its output a limit, and
// whatever it started ends with it.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "agent/devices/host/host.h"
#include "common/base/status.h"

namespace allot::agent {

struct ToolLimits {
  std::chrono::milliseconds deadline{3000};
  size_t output_max = 4 << 20;
};

// What the tool writes to standard output. On a recorded machine, what TREE/cli/<sample> holds.
// NotFound: no such tool, which is no news. DeadlineExceeded, ResourceExhausted (output) and
// Unavailable (it failed) say which tool and what it did. Blocks up to the deadline; any thread.
StatusOr<std::string> RunTool(const Host& host, const std::vector<std::string>& command,
                              const std::string& sample, const ToolLimits& limits = {});

}  // namespace allot::agent
