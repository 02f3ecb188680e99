#include "agent/core/events.h"

#include "fmt/format.h"

namespace allot::agent {

ProcessId ProcessOf(const TaskKey& key) {
  return fmt::format("job-{}.{}.{}{}", key.task.job.value(), key.task.index, key.attempt.value(),
                     Suffix(key.attempt.incarnation(), "."));
}

ProcessId ProcessOf(ReplicaId replica, uint32_t start) {
  return fmt::format("replica-{}.{}{}", replica.value(), start,
                     Suffix(replica.incarnation(), "."));
}

}  // namespace allot::agent
