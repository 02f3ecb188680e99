// Who is put out, for how long, and what brings it back; to the microsecond.
#include "scheduler/router/conduct.h"

#include <string_view>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace allot::router {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;

constexpr Time kStart = FromMicros(1'000'000'000);
constexpr Duration kTick(1);
constexpr Conduct::Share kFlawless{0, 1};

class ConductTest : public ::testing::Test {
 protected:
  // "SSF": two that succeed and one that fails, each forwarded just now.
  void Ends(std::string_view outcomes, Conduct::Share peer = kFlawless) {
    for (const char outcome : outcomes) {
      now_ += kTick;
      outcome == 'F' ? conduct_.Failed(now_, now_, false, peer) : conduct_.Succeeded(now_);
    }
  }
  Duration OutFor() const { return conduct_.until() - now_; }
  // Its time over, the request on trial fails.
  Duration FailsItsTrial() {
    now_ = conduct_.until();
    conduct_.BeginTrial();
    conduct_.Failed(now_, now_, true, kFlawless);
    return OutFor();
  }
  Duration Refuses(std::optional<Duration> retry_after = std::nullopt) {
    now_ = std::max(now_ + kTick, conduct_.until());
    conduct_.Refused(now_, now_, conduct_.troubled(), retry_after);
    return OutFor();
  }
  Duration Dawdles() {
    now_ = std::max(now_ + kTick, conduct_.until());
    conduct_.Dawdled(now_, now_, conduct_.troubled());
    return OutFor();
  }

  Conduct conduct_;
  Time now_ = kStart;
};

TEST(Pace, IsByTokensWhereTheyAreKnown) {
  EXPECT_EQ(PaceOf(milliseconds(120), 512, 0).micros, 120'000);
  EXPECT_FALSE(PaceOf(milliseconds(120), 512, 0).sized);
  EXPECT_TRUE(PaceOf(milliseconds(120), 512, 1).sized);
  EXPECT_EQ(PaceOf(milliseconds(120), 255, 1).micros, 24'000);  // 4 + 1 + 0 units
  EXPECT_EQ(PaceOf(milliseconds(120), 256, 1).micros, 20'000);  // 4 + 1 + 1
  EXPECT_EQ(PaceOf(milliseconds(120), 512, 6).micros, 10'000);  // 4 + 6 + 2
}

TEST_F(ConductTest, RemembersTheLast32Outcomes) {
  EXPECT_EQ(conduct_.share().outcomes, 0u);
  Ends("F" + std::string(30, 'S'));
  EXPECT_EQ(conduct_.share().outcomes, 31u);
  Ends("S");
  EXPECT_EQ(conduct_.share().outcomes, 32u);
  EXPECT_EQ(conduct_.share().failures, 1u);
  Ends("S");
  EXPECT_EQ(conduct_.share().outcomes, 32u);
  EXPECT_EQ(conduct_.share().failures, 0u);
}

TEST_F(ConductTest, ThreeFailuresInARowPutItOutForASecond) {
  Ends("FF");
  EXPECT_EQ(conduct_.failures_in_row(), 2u);
  EXPECT_FALSE(conduct_.troubled());
  Ends("SFF");
  EXPECT_FALSE(conduct_.troubled());
  Ends("F");
  EXPECT_TRUE(conduct_.troubled());
  EXPECT_EQ(conduct_.cause(), OutCause::kFailures);
  EXPECT_EQ(OutFor(), seconds(1));
  // What was before is over with it.
  EXPECT_EQ(conduct_.failures_in_row(), 0u);
  EXPECT_EQ(conduct_.share().outcomes, 0u);
  EXPECT_EQ(conduct_.share().failures, 0u);
}

TEST_F(ConductTest, ThreeInTenPutItOutToo) {
  Ends("SSSFSSFSSF");
  EXPECT_TRUE(conduct_.troubled());
}

TEST_F(ConductTest, FewerThanTenTellNothing) {
  Ends("SSFSSFSSF");
  EXPECT_FALSE(conduct_.troubled());
}

TEST_F(ConductTest, ThreeInElevenAreTooFew) {
  Ends("SSSSFSSFSSF");
  EXPECT_FALSE(conduct_.troubled());
}

// Twice as often as the best of its peers is not more than that.
TEST_F(ConductTest, WhereAllFailTheRequestsAreToBlame) {
  Ends("FFF", {1, 2});
  EXPECT_FALSE(conduct_.troubled());
  Ends("F", {49, 100});
  EXPECT_TRUE(conduct_.troubled());
}

TEST_F(ConductTest, MayServeWhenItsTimeIsOverOneRequestAtATime) {
  EXPECT_TRUE(conduct_.MayServe(now_));
  EXPECT_FALSE(conduct_.Out(now_));
  Ends("FFF");
  const Time until = conduct_.until();
  EXPECT_TRUE(conduct_.Out(until - kTick));
  EXPECT_FALSE(conduct_.MayServe(until - kTick));
  EXPECT_FALSE(conduct_.Out(until));
  EXPECT_TRUE(conduct_.MayServe(until));
  conduct_.BeginTrial();
  EXPECT_FALSE(conduct_.MayServe(until));
  conduct_.AbandonTrial();
  EXPECT_TRUE(conduct_.MayServe(until));
  FailsItsTrial();
  EXPECT_FALSE(conduct_.MayServe(conduct_.until() - kTick));
  EXPECT_TRUE(conduct_.MayServe(conduct_.until())) << "the trial is over";
}

TEST_F(ConductTest, OneThatFailsItsTrialsComesBackEverLaterUpToAMinute) {
  Ends("FFF");
  std::vector<int64_t> times;
  for (int i = 0; i < 7; ++i) times.push_back(FailsItsTrial() / seconds(1));
  EXPECT_THAT(times, ElementsAre(2, 4, 8, 16, 32, 60, 60));
}

TEST_F(ConductTest, RefusalsAreShortAndAsLongAsItAsksFor) {
  std::vector<int64_t> times;
  for (int i = 0; i < 8; ++i) times.push_back(Refuses() / milliseconds(1));
  EXPECT_THAT(times, ElementsAre(250, 500, 1'000, 2'000, 4'000, 8'000, 16'000, 16'000));
  EXPECT_EQ(conduct_.cause(), OutCause::kRefusals);
  EXPECT_EQ(Refuses(seconds(17)), seconds(17));
  EXPECT_EQ(Refuses(seconds(15)), seconds(16));
  EXPECT_EQ(Refuses(seconds(61)), seconds(60));
}

TEST_F(ConductTest, OneThatTakesRequestsAgainHasRefusedForTheFirstTime) {
  EXPECT_EQ(Refuses(), milliseconds(250));
  EXPECT_EQ(Refuses(), milliseconds(500));
  now_ = conduct_.until();
  conduct_.Succeeded(now_);
  EXPECT_FALSE(conduct_.troubled());
  EXPECT_EQ(Refuses(), milliseconds(250));
}

TEST_F(ConductTest, OneThatIsSlowIsLookedAtEveryFourSeconds) {
  std::vector<int64_t> times;
  for (int i = 0; i < 4; ++i) times.push_back(Dawdles() / seconds(1));
  EXPECT_THAT(times, ElementsAre(1, 2, 4, 4));
  EXPECT_EQ(conduct_.cause(), OutCause::kSlow);
}

// Half a minute, or ten times as long as it was out.
TEST_F(ConductTest, OneThatHasLastedStartsWithACleanSlate) {
  const auto lasts = [this](Duration time) {
    conduct_.Succeeded(conduct_.until());
    now_ = conduct_.until() + time - 3 * kTick;
    Ends("FFF");
    return OutFor();
  };
  Ends("FFF");
  EXPECT_EQ(lasts(seconds(30)), seconds(2));
  EXPECT_EQ(lasts(seconds(30) + kTick), seconds(1));
  EXPECT_EQ(lasts(seconds(30)), seconds(2));
  EXPECT_EQ(lasts(seconds(30)), seconds(4));
  EXPECT_EQ(lasts(seconds(40)), seconds(8));
  EXPECT_EQ(lasts(seconds(80) + kTick), seconds(1));
}

TEST_F(ConductTest, OneThatWasNotTriedForLongHasNotLasted) {
  Ends("FFF");
  now_ = conduct_.until() + std::chrono::minutes(5);
  conduct_.Failed(now_, now_, true, kFlawless);
  EXPECT_EQ(OutFor(), seconds(2));
}

// Of requests that it was given before it was put out, or in that moment.
TEST_F(ConductTest, WhatItWasGivenBeforeSaysNothingNew) {
  Ends("FFF");
  const Time out = now_, until = conduct_.until();
  now_ = until;
  conduct_.Succeeded(out);
  EXPECT_TRUE(conduct_.troubled());
  conduct_.Failed(now_, now_, false, kFlawless);  // Not the one on trial.
  conduct_.Refused(now_, now_, false, std::nullopt);
  conduct_.Dawdled(now_, now_, false);
  EXPECT_EQ(conduct_.until(), until);
  EXPECT_EQ(conduct_.share().outcomes, 0u);
  conduct_.Succeeded(out + kTick);
  EXPECT_FALSE(conduct_.troubled());
  EXPECT_EQ(conduct_.share().outcomes, 1u);
  // It is in again, and the last of them come in.
  conduct_.Failed(now_, out, false, kFlawless);
  conduct_.Refused(now_, out, false, std::nullopt);
  conduct_.Dawdled(now_, out, false);
  EXPECT_FALSE(conduct_.troubled());
  EXPECT_EQ(conduct_.share().failures, 0u);
  conduct_.Failed(now_, out + kTick, false, kFlawless);
  EXPECT_EQ(conduct_.share().failures, 1u);
  conduct_.Refused(now_, out + kTick, false, std::nullopt);
  EXPECT_TRUE(conduct_.troubled());
}

TEST(Statuses, OfWhichAnotherReplicaMayDoBetter) {
  for (const int32_t status : {429, 503}) EXPECT_TRUE(IsRefusal(status)) << status;
  for (const int32_t status : {428, 430, 500, 502, 504}) EXPECT_FALSE(IsRefusal(status)) << status;
  for (const int32_t status : {429, 500, 502, 503})
    EXPECT_TRUE(WorthTryingElsewhere(status)) << status;
  for (const int32_t status : {200, 400, 428, 430, 499, 501, 504})
    EXPECT_FALSE(WorthTryingElsewhere(status)) << status;
}

// "SD": one that is answered and one that is declined.
class DeclinesTest : public ConductTest {
 protected:
  void Answers(std::string_view answers, Conduct::Share peer) {
    for (const char answer : answers) {
      now_ += kTick;
      answer == 'D' ? conduct_.Declined(now_, now_, false, peer) : conduct_.Succeeded(now_);
    }
  }
  static constexpr Conduct::Share kNotAsked{0, 0}, kFourth{2, 8}, kMore{3, 8};
};

TEST_F(DeclinesTest, SixteenThatAPeerWouldAnswerPutItOut) {
  for (const Conduct::Share peer : {kNotAsked, Conduct::Share{0, 8}, kFourth}) {
    conduct_ = Conduct();
    Answers(std::string(15, 'D'), peer);
    EXPECT_FALSE(conduct_.troubled());
    Answers("D", peer);
    EXPECT_EQ(conduct_.cause(), OutCause::kDeclines);
    EXPECT_EQ(OutFor(), seconds(1));
    EXPECT_EQ(conduct_.declines().outcomes, 0u) << "it begins anew";
  }
}

TEST_F(DeclinesTest, WhatAllDeclineIsTheClients) {
  Answers(std::string(40, 'D'), kMore);
  EXPECT_FALSE(conduct_.troubled());
  EXPECT_EQ(conduct_.declines().outcomes, 32u);
  EXPECT_EQ(conduct_.declines().failures, 32u);
}

TEST_F(DeclinesTest, OneInTenThatIsAnsweredIsEnough) {
  Answers("SS" + std::string(14, 'D'), kNotAsked);
  EXPECT_FALSE(conduct_.troubled()) << "14 of 16";
  conduct_ = Conduct();
  Answers("S" + std::string(15, 'D'), kNotAsked);
  EXPECT_TRUE(conduct_.troubled()) << "15 of 16";
}

TEST_F(DeclinesTest, WhatItWasGivenBeforeSaysNothingNew) {
  Answers(std::string(16, 'D'), kNotAsked);
  const Time until = conduct_.until();
  conduct_.Declined(now_ + kTick, now_, false, kNotAsked);
  EXPECT_EQ(conduct_.until(), until);
  EXPECT_EQ(conduct_.declines().outcomes, 0u);
  conduct_.Succeeded(until + kTick);
  conduct_.Declined(until + kTick, now_, false, kNotAsked);
  EXPECT_EQ(conduct_.declines().outcomes, 1u) << "only the one that was answered";
}

TEST_F(DeclinesTest, ATrialThatIsDeclinedDoublesUnlessAllDecline) {
  Answers(std::string(16, 'D'), kNotAsked);
  now_ = conduct_.until();
  conduct_.BeginTrial();
  conduct_.Declined(now_, now_, true, kFourth);
  EXPECT_EQ(OutFor(), seconds(2));
  now_ = conduct_.until();
  conduct_.BeginTrial();
  conduct_.Declined(now_, now_, true, kMore);
  EXPECT_FALSE(conduct_.troubled());
  // On trial for something else, a 4xx says nothing.
  Ends("FFF");
  const Time until = conduct_.until();
  conduct_.BeginTrial();
  conduct_.Declined(until, until, true, kNotAsked);
  EXPECT_EQ(conduct_.until(), until);
  EXPECT_EQ(conduct_.cause(), OutCause::kFailures);
}

}  // namespace
}  // namespace allot::router
