#include "agent/core/events.h"

#include "fmt/format.h"

namespace allot::agent {

ProcessId ProcessOf(const TaskKey& key) {
  return fmt::format("job-{}.{}.{}", key.task.job.value(), key.task.index, key.attempt.value());
}

ProcessId ProcessOf(ReplicaId replica, uint32_t start) {
  return fmt::format("replica-{}.{}", replica.value(), start);
}

}  // namespace allot::agent
