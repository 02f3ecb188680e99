#include "common/program/program.h"

#include <cstdio>

#include "common/base/logging.h"
#include "common/base/printable.h"
#include "google/protobuf/stubs/logging.h"

namespace allot::program {

void StartLogging(const std::string& program, const config::Logging& logging) {
  // Protobuf prints a line for each text that is not UTF-8; common/wire refuses and counts them.
  google::protobuf::SetLogHandler(nullptr);
  InitLogging(program, logging.level().empty() ? "info" : logging.level(),
              logging.format() == "json" ? LogFormat::kJson : LogFormat::kText);
}

int ExitCodeOf(const Status& status) {
  switch (status.code()) {
    case StatusCode::kOk:
      return 0;
    case StatusCode::kInvalidArgument:
    case StatusCode::kOutOfRange:
      return 2;
    case StatusCode::kPermissionDenied:
    case StatusCode::kUnauthenticated:
      return 3;
    case StatusCode::kNotFound:
      return 4;
    case StatusCode::kAlreadyExists:
    case StatusCode::kFailedPrecondition:
    case StatusCode::kResourceExhausted:
    case StatusCode::kUnavailable:
      return 5;
    case StatusCode::kDeadlineExceeded:
      return 6;
    default:
      return 1;
  }
}

int Complain(const std::string& program, const Status& status) {
  std::fprintf(stderr, "%s: %s\n", program.c_str(), Printable(MessageOf(status)).c_str());
  return ExitCodeOf(status);
}

}  // namespace allot::program
