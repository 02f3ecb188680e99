#include "client/exit_code.h"

namespace allot::client {

ExitCode ExitCodeOf(const Status& status) {
  switch (status.code()) {
    case StatusCode::kOk:
      return kOk;
    case StatusCode::kInvalidArgument:
    case StatusCode::kOutOfRange:
      return kUsage;
    case StatusCode::kPermissionDenied:
    case StatusCode::kUnauthenticated:
      return kDenied;
    case StatusCode::kNotFound:
      return kNotFound;
    case StatusCode::kUnavailable:
    case StatusCode::kResourceExhausted:
      return kUnavailable;
    case StatusCode::kDeadlineExceeded:
      return kTimedOut;
    default:
      return kFailed;
  }
}

}  // namespace allot::client
