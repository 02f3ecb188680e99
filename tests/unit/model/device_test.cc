#include "common/model/device.h"

#include <regex>

#include "common/model/deployment.h"
#include "common/model/job.h"
#include "common/model/messages.h"
#include "gtest/gtest.h"
#include "rapidcheck.h"

namespace allot {
namespace {

TEST(GlobMatch, KnowsStarAndQuestionMark) {
  const std::tuple<const char*, const char*, bool> rows[] = {
      {"nvidia/h100*", "nvidia/h100-sxm-80g", true},
      {"nvidia/h100*", "nvidia/h100", true},
      {"nvidia/h100*", "nvidia/h200", false},
      {"*", "", true},
      {"", "", true},
      {"", "a", false},
      {"?", "", false},
      {"a?c", "abc", true},
      {"*-80g", "nvidia/a100-sxm-80g", true},
      {"*/*-80g", "nvidia/a100-sxm-80g", true},
      {"a*b*c", "aXbXbc", true},
      {"a*b*c", "aXcXb", false},
      {"**a**", "bab", true},
      {"A", "a", false},
  };
  for (const auto& [pattern, text, matches] : rows) {
    EXPECT_EQ(GlobMatch(pattern, text), matches) << pattern << " on " << text;
  }
}

TEST(GlobMatch, AgreesWithARegularExpression) {
  const auto word = [](const char* alphabet) {
    return rc::gen::container<std::string>(rc::gen::elementOf(std::string(alphabet)));
  };
  EXPECT_TRUE(rc::check([&] {
    const std::string pattern = *word("ab*?"), text = *word("ab");
    RC_PRE(pattern.size() < 20 && text.size() < 20);
    std::string expression;
    for (char c : pattern) expression += c == '*' ? ".*" : c == '?' ? "." : std::string(1, c);
    RC_ASSERT(GlobMatch(pattern, text) == std::regex_match(text, std::regex(expression)));
  }));
}

TEST(GlobMatch, IsQuickOnPatternsMadeToBeSlow) {
  std::string pattern;
  for (int i = 0; i < 30; ++i) pattern += "*a";
  EXPECT_FALSE(GlobMatch(pattern + "b", std::string(200, 'a')));
}

Device H100() {
  return {.id = "0000:01:00.0",
          .kind = DeviceKind::kGpu,
          .vendor = "nvidia",
          .model = "nvidia/h100-sxm-80g",
          .memory = 80 * kGiB};
}

TEST(Matches, NeedsEveryFieldThatIsSet) {
  const std::pair<DeviceRequest, bool> rows[] = {
      {{}, true},
      {{.kind = DeviceKind::kGpu}, true},
      {{.kind = DeviceKind::kAsic}, false},
      {{.vendor = "nvidia"}, true},
      {{.vendor = "amd"}, false},
      {{.model = "nvidia/h100*"}, true},
      {{.model = "nvidia/h200*"}, false},
      {{.min_memory = 80 * kGiB}, true},
      {{.min_memory = 80 * kGiB + 1}, false},
      {{.kind = DeviceKind::kGpu, .count = 128}, true},  // How many is somebody else's question.
  };
  for (const auto& [request, matches] : rows) {
    EXPECT_EQ(Matches(request, H100()), matches) << request.vendor << request.model;
  }
}

// Each asks for at least so much; "none" still means closed to strangers.
TEST(Matches, IsolationIsAtLeastWhatWasAsked) {
  constexpr Isolation kLevels[] = {Isolation::kShared, Isolation::kNone, Isolation::kMemory,
                                   Isolation::kHard};
  Device device = H100();
  for (const Isolation has : kLevels) {
    device.isolation = has;
    EXPECT_TRUE(Matches({}, device));
    for (const Isolation asked : kLevels)
      EXPECT_EQ(Matches({.isolation = asked}, device), has >= asked)
          << ToString(asked) << " of " << ToString(has);
  }
  device.isolation = Isolation::kShared;
  EXPECT_FALSE(Matches({.isolation = Isolation::kNone}, device));
}

TEST(Matches, UnknownMemoryPromisesNone) {
  Device device = H100();
  device.memory.reset();
  EXPECT_FALSE(Matches({.min_memory = 1}, device));
  EXPECT_TRUE(Matches({}, device));
}

TEST(DeviceKind, ReadsBackItsName) {
  for (DeviceKind kind : {DeviceKind::kGpu, DeviceKind::kCpu, DeviceKind::kAsic}) {
    EXPECT_EQ(ParseDeviceKind(ToString(kind)), kind);
  }
  EXPECT_FALSE(ParseDeviceKind("gpu"));
  EXPECT_FALSE(ParseDeviceKind(""));
}

TEST(Names, AreTheWordsOfTheApi) {
  EXPECT_EQ(ToString(DeviceState::kNoDriver), "no_driver");
  EXPECT_EQ(ToString(JobPhase::kStopping), "stopping");
  EXPECT_EQ(ToString(JobOutcome::kTimedOut), "timed_out");
  EXPECT_EQ(ToString(ReplicaPhase::kUnhealthy), "unhealthy");
  EXPECT_EQ(ToString(TaskPhase::kExited), "exited");
  EXPECT_EQ(ToString(RefuseReason::kStaleEpoch), "stale_epoch");
}

}  // namespace
}  // namespace allot
