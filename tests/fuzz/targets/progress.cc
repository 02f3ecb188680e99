// What a task writes of its progress: any program of anybody.
#include <cmath>

#include "agent/runtime/progress.h"
#include "common/wire/codec.h"
#include "tests/fuzz/fuzz.h"

namespace allot::agent {
namespace {

FUZZ(progress) {
  const std::optional<TaskProgress> progress = ParseProgress(input);
  if (!progress) return;
  if (progress->loss) HOLDS(std::isfinite(*progress->loss));
  // It is told to the scheduler in one message with all other tasks' reports, which it must not
  // spoil.
  wire::TaskStatus told;
  TaskStatus status;
  status.key = TaskKey{{JobId(1), 0}, Attempt(1)};
  status.progress = *progress;
  wire::Encode(status, &told);
  const StatusOr<TaskStatus> heard = wire::Decode(told);
  HOLDS_FOR(heard.ok(), MessageOf(heard.status()));
  HOLDS(heard->progress.has_value());
  HOLDS(heard->progress->step == progress->step && heard->progress->total == progress->total);
}

}  // namespace
}  // namespace allot::agent
