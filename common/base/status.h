// absl::Status with fmt messages: InvalidArgument("tasks is {}; it must be at least 1", n).
//
// A message says what, where and what to do next. Debian's absl::string_view is not
// std::string_view, so text() converts what absl hands back.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"

namespace allot {

using absl::Status;
using absl::StatusCode;
using absl::StatusOr;

#define ALLOT_STATUS_MAKER(Name)                                            \
  template <class... Args>                                                  \
  Status Name(fmt::format_string<Args...> format, Args&&... args) {         \
    return absl::Name##Error(fmt::format(format, std::forward<Args>(args)...)); \
  }
ALLOT_STATUS_MAKER(InvalidArgument)
ALLOT_STATUS_MAKER(NotFound)
ALLOT_STATUS_MAKER(AlreadyExists)
ALLOT_STATUS_MAKER(FailedPrecondition)
ALLOT_STATUS_MAKER(PermissionDenied)
ALLOT_STATUS_MAKER(Unauthenticated)
ALLOT_STATUS_MAKER(Unavailable)
ALLOT_STATUS_MAKER(ResourceExhausted)
ALLOT_STATUS_MAKER(DeadlineExceeded)
ALLOT_STATUS_MAKER(Internal)
ALLOT_STATUS_MAKER(OutOfRange)
#undef ALLOT_STATUS_MAKER

inline std::string MessageOf(const Status& status) {
  return std::string(status.message().data(), status.message().size());
}

#define ALLOT_CONCAT_INNER(a, b) a##b
#define ALLOT_CONCAT(a, b) ALLOT_CONCAT_INNER(a, b)
#define RETURN_IF_ERROR(expr)                                \
  do {                                                       \
    if (::absl::Status status_ = (expr); !status_.ok()) return status_; \
  } while (false)
#define ASSIGN_OR_RETURN(lhs, expr) ASSIGN_OR_RETURN_IMPL(ALLOT_CONCAT(or_, __LINE__), lhs, expr)
#define ASSIGN_OR_RETURN_IMPL(tmp, lhs, expr) \
  auto tmp = (expr);                          \
  if (!tmp.ok()) return tmp.status();         \
  lhs = *std::move(tmp)

}  // namespace allot
