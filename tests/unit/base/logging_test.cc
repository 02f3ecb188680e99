// What the logger does to every message, whoever logs it.
#include "common/base/logging.h"

#include <chrono>

#include "common/base/limits.h"
#include "common/base/printable.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace allot {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

std::string Logged(LogFormat format, const std::string& message) {
  const auto before = spdlog::default_logger();
  ::testing::internal::CaptureStderr();
  InitLogging("test", "info", format);
  spdlog::warn("{}", message);
  spdlog::set_default_logger(before);
  return ::testing::internal::GetCapturedStderr();
}

TEST(Logging, OutsideTextStaysInItsLine) {
  const std::string forged =
      "node=\"n1\nE scheduler all is lost\r\x1b[2J\x7f\xc2\x9b\u202etxt\u2028\xff";
  for (const LogFormat format : {LogFormat::kText, LogFormat::kJson}) {
    const std::string line = Logged(format, forged);
    EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1) << line;
    EXPECT_EQ(line.back(), '\n');
    for (const char* steering : {"\r", "\x1b", "\x7f", "\xc2\x9b", "\u202e", "\u2028", "\xff"})
      EXPECT_THAT(line, Not(HasSubstr(steering)));
    EXPECT_THAT(line, HasSubstr("\\u001b[2J"));
  }
}

TEST(Logging, JsonIsJsonWhateverIsSaid) {
  const std::string line = Logged(LogFormat::kJson, R"(say "hi", C:\x","level":"error)");
  EXPECT_THAT(
      line,
      HasSubstr(
          R"("level":"warning","program":"test","message":"say \"hi\", C:\\x\",\"level\":\"error"})"));
}

TEST(Logging, ALineHasAnEnd) {
  const std::string line = Logged(LogFormat::kText, "why=" + std::string(1 << 20, 'a'));
  EXPECT_LT(line.size(), static_cast<size_t>(limits::kLogLineBytes.value) + 200);
  EXPECT_THAT(line, EndsWith(" … 1044484 bytes more\n"));
  const std::string controls = Logged(LogFormat::kJson, std::string(1 << 20, '\x01'));
  EXPECT_LT(controls.size(), static_cast<size_t>(limits::kLogLineBytes.value) + 200);
}

TEST(Logging, WhatIsLeftOutIsCountedAndSaid) {
  const uint64_t before = LogLinesLeftOut();
  const auto logger = spdlog::default_logger();
  ::testing::internal::CaptureStderr();
  InitLogging("test", "info", LogFormat::kText);
  constexpr int kLines = 20'000;
  for (int i = 0; i < kLines; ++i) spdlog::warn("message refused node=n{}", i);
  spdlog::warn("something else");
  spdlog::set_default_logger(logger);
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_GT(LogLinesLeftOut(), before);
  EXPECT_THAT(text, HasSubstr("something else")) << "one kind does not crowd out another";
}

TEST(LogLimiter, AKindHasABurstAndARate) {
  LogLimiter limiter;
  const int64_t burst = limits::kLogLinesOfAKindBurst.value;
  const Duration start = std::chrono::seconds(100);
  for (int64_t i = 0; i < burst; ++i)
    ASSERT_TRUE(limiter.Judge(start, fmt::format("message refused node=n{}", i)).write) << i;
  for (int i = 0; i < 7; ++i)
    EXPECT_FALSE(limiter.Judge(start, "message refused node=x: why").write);
  EXPECT_TRUE(limiter.Judge(start, "node found node=x").write);
  const auto later = limiter.Judge(start + std::chrono::seconds(1), "message refused node=y");
  EXPECT_TRUE(later.write);
  EXPECT_EQ(later.left_out, 7u);
  EXPECT_EQ(limiter.Judge(start + std::chrono::seconds(1), "message refused node=z").left_out, 0u);
}

TEST(LogLimiter, KindsThatOthersMakeUpShareOneBudget) {
  LogLimiter limiter;
  int64_t written = 0;
  for (int i = 0; i < 100'000; ++i) {
    std::string name;
    for (int n = i; n > 0; n /= 26) name += static_cast<char>('a' + n % 26);
    written += limiter.Judge(std::chrono::seconds(100), name + " speaks another version").write;
  }
  EXPECT_LE(written, 256 + limits::kLogLinesOfAKindBurst.value);
}

TEST(LogLimiter, AllTogetherKeepToAMebibyteAMinute) {
  LogLimiter limiter;
  size_t bytes = 0;
  for (int64_t ms = 0; ms < 60'000; ++ms)
    for (const char* kind : {"one", "two", "three", "four", "five", "six"}) {
      const std::string line = fmt::format("{} name={}", kind, std::string(300, 'x'));
      if (limiter.Judge(std::chrono::milliseconds(ms), line).write) bytes += line.size();
    }
  EXPECT_LE(bytes, size_t{1} << 20);
  EXPECT_GT(bytes, size_t{1} << 19);
}

}  // namespace
}  // namespace allot
