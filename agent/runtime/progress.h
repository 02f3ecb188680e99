// A task's progress file: JSON lines {"step": 10, "total": 100, "loss": 2.5}, the last counts.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/model/messages.h"

namespace allot::agent {

// The last whole line that makes sense; unknown keys are ignored. A file without a newline at its
// end is taken as it is if it parses: some programs write one object and no more.
std::optional<TaskProgress> ParseProgress(std::string_view tail);

// Reads a file only when it has changed. It is the task's: whatever else stands in its place is no
// progress (beneath.h), and of one of any size the last few kilobytes are read.
class ProgressFile {
 public:
  // `name` below `folder`, which is ours.
  ProgressFile(std::string folder, std::string name)
      : folder_(std::move(folder)), name_(std::move(name)) {}
  std::optional<TaskProgress> Poll();  // set when it differs from the one before

 private:
  std::string folder_, name_;
  int64_t size_ = -1, changed_nanos_ = 0;
  std::optional<TaskProgress> last_;
};

}  // namespace allot::agent
