#include "common/base/file_limit.h"

#include <sys/resource.h>

#include <cerrno>
#include <cstring>

#include "common/base/logging.h"

namespace allot {
namespace {

uint64_t before_raise = 0;  // 0: not raised

uint64_t Current() {
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
}

}  // namespace

void RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  const rlim_t before = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
    SPDLOG_WARN("the limit of open files stays at {}: {}", before, std::strerror(errno));
    return;
  }
  if (before_raise == 0) before_raise = before;
}

uint64_t FileLimitBeforeRaise() { return before_raise != 0 ? before_raise : Current(); }

}  // namespace allot
