#include "common/base/logging.h"

#include <string>

#include "spdlog/sinks/stdout_sinks.h"

namespace allot {

void InitLogging(std::string_view program, std::string_view level, LogFormat format) {
  auto logger = spdlog::stderr_logger_mt(std::string(program));
  logger->set_level(spdlog::level::from_str(std::string(level)));
  logger->set_pattern(format == LogFormat::kJson
                          ? R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","program":"%n","message":"%v"})"
                          : "%Y-%m-%dT%H:%M:%S.%e %L %n %v");
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace allot
