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

// Looks at a file only when it has changed; one stat call otherwise.
class ProgressFile {
 public:
  explicit ProgressFile(std::string path) : path_(std::move(path)) {}
  std::optional<TaskProgress> Poll();  // set when it differs from the one before

 private:
  std::string path_;
  int64_t size_ = -1, changed_nanos_ = 0;
  std::optional<TaskProgress> last_;
};

}  // namespace allot::agent
