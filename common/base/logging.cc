#include "common/base/logging.h"

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "common/base/limits.h"
#include "common/base/printable.h"
#include "spdlog/pattern_formatter.h"
#include "spdlog/sinks/base_sink.h"
#include "spdlog/sinks/stdout_sinks.h"

namespace allot {
namespace {

// Kinds are words of our own, but a message may begin with a name.
constexpr size_t kKindsMax = 256;
constexpr size_t kKindBytesMax = 40;

std::atomic<uint64_t> left_out_in_all{0};

class LineFormatter final : public spdlog::formatter {
 public:
  explicit LineFormatter(LogFormat format)
      : format_(format),
        head_(format == LogFormat::kJson
                  ? R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","program":"%n","message":")"
                  : "%Y-%m-%dT%H:%M:%S.%e %L %n ",
              spdlog::pattern_time_type::local, /*eol=*/"") {}

  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    head_.format(message, out);
    const bool json = format_ == LogFormat::kJson;
    std::string line = OneLineCut({message.payload.data(), message.payload.size()},
                                  static_cast<size_t>(limits::kLogLineBytes.value), json);
    line += json ? "\"}\n" : "\n";
    out.append(line.data(), line.data() + line.size());
  }
  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<LineFormatter>(format_);
  }

 private:
  const LogFormat format_;
  spdlog::pattern_formatter head_;
};

// Stands before the sink that writes.
class LimitedSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit LimitedSink(std::shared_ptr<spdlog::sinks::sink> next) : next_(std::move(next)) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const auto now =
        std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch());
    const std::string_view text(message.payload.data(), message.payload.size());
    const LogLimiter::Verdict verdict = limiter_.Judge(now, text);
    if (!verdict.write) {
      ++left_out_in_all;
      return;
    }
    if (verdict.left_out != 0) {
      const std::string said =
          fmt::format("left out lines={} of=\"{}\"", verdict.left_out, LogLimiter::KindOf(text));
      next_->log({message.logger_name, spdlog::level::warn, said});
    }
    next_->log(message);
  }
  void flush_() override { next_->flush(); }
  void set_formatter_(std::unique_ptr<spdlog::formatter> formatter) override {
    next_->set_formatter(std::move(formatter));
  }

 private:
  const std::shared_ptr<spdlog::sinks::sink> next_;
  LogLimiter limiter_;
};

}  // namespace

TokenBucket LogLimiter::AllLines() { return {limits::kLogBytesPerSecond, limits::kLogBytesBurst}; }

std::string_view LogLimiter::KindOf(std::string_view message) {
  return message.substr(0, std::min(message.find_first_of("=:\"{0123456789"), kKindBytesMax));
}

LogLimiter::Verdict LogLimiter::Judge(Duration now, std::string_view message) {
  std::string_view name = KindOf(message);
  auto found = kinds_.find(name);
  if (found == kinds_.end() && kinds_.size() >= kKindsMax) found = kinds_.find(name = "");
  if (found == kinds_.end())
    found =
        kinds_
            .emplace(name, Kind{{limits::kLogLinesOfAKindPerSecond, limits::kLogLinesOfAKindBurst}})
            .first;
  Kind& kind = found->second;
  const auto bytes = static_cast<int64_t>(
      std::min(message.size(), static_cast<size_t>(limits::kLogLineBytes.value)));
  constexpr int64_t kHead = 64;  // time, level, program
  if (!kind.lines.Take(now) || !bytes_.Take(now, bytes + kHead)) {
    ++kind.left_out;
    return {};
  }
  return {.write = true, .left_out = std::exchange(kind.left_out, 0)};
}

uint64_t LogLinesLeftOut() { return left_out_in_all; }

void InitLogging(std::string_view program, std::string_view level, LogFormat format) {
  auto sink = std::make_shared<LimitedSink>(std::make_shared<spdlog::sinks::stderr_sink_mt>());
  auto logger = std::make_shared<spdlog::logger>(std::string(program), std::move(sink));
  logger->set_level(spdlog::level::from_str(std::string(level)));
  logger->set_formatter(std::make_unique<LineFormatter>(format));
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace allot
