#include "common/http/overload.h"

#include <algorithm>

namespace allot::http {
namespace {

// Without anybody turned away for so long, too much is over. Longer pauses clients do not obey.
constexpr auto kEnds = std::chrono::seconds(10);
constexpr auto kRetryAfterMax = std::chrono::seconds(59);

}  // namespace

std::chrono::seconds Overload::RetryAfter(Clock::time_point now) {
  if (now - last_ > kEnds) since_ = now;
  last_ = now;
  const auto lasted = std::chrono::duration_cast<std::chrono::seconds>(now - since_);
  return std::clamp(lasted, std::chrono::seconds(1), kRetryAfterMax);
}

}  // namespace allot::http
