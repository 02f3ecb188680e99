#include "scheduler/shell/cuts.h"

#include <gmock/gmock.h>

namespace allot::scheduler {

static bool operator==(const Unreached& a, const Unreached& b) {
  return a.gateway == b.gateway && a.node == b.node && a.why == b.why;
}

namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class CutsTest : public ::testing::Test {
 protected:
  std::vector<Unreached> Look(Duration at) {
    healed_.clear();
    return cuts_.Look(Time(at), nodes_, &healed_);
  }
  static constexpr Duration kSecond = std::chrono::seconds(1);
  std::vector<std::string> nodes_ = {"n1", "n2"};
  std::vector<Unreached> healed_;
  Cuts cuts_;
};

TEST_F(CutsTest, NothingIsKnownOfAGatewayThatNeverSpoke) {
  EXPECT_THAT(Look(100 * kSecond), IsEmpty());
  EXPECT_EQ(cuts_.LinkedTo("g"), std::nullopt);
}

TEST_F(CutsTest, ANodeThatIsMissingForAWhileIsSaidOnceAndStays) {
  cuts_.Told("g", {"n1"}, {{"n2", "no route"}});
  EXPECT_EQ(cuts_.LinkedTo("g"), 1u);
  EXPECT_THAT(Look(0 * kSecond), IsEmpty());
  EXPECT_THAT(Look(Cuts::kLinkingMax - Duration(1)), IsEmpty());
  EXPECT_THAT(cuts_.All(), IsEmpty());
  EXPECT_THAT(Look(Cuts::kLinkingMax), ElementsAre(Unreached{"g", "n2", "no route"}));
  EXPECT_THAT(Look(Cuts::kLinkingMax + kSecond), IsEmpty());
  EXPECT_THAT(cuts_.All(), ElementsAre(Unreached{"g", "n2", "no route"}));
  EXPECT_THAT(cuts_.WhoMisses("n2"), ElementsAre("g"));
  EXPECT_THAT(cuts_.WhoMisses("n1"), IsEmpty());
}

TEST_F(CutsTest, WhatIsLinkedAgainIsHealedAndStartsAnew) {
  cuts_.Told("g", {"n1"}, {});
  Look(0 * kSecond);
  Look(10 * kSecond);
  cuts_.Told("g", {"n1", "n2"}, {});
  EXPECT_THAT(Look(11 * kSecond), IsEmpty());
  EXPECT_THAT(healed_, ElementsAre(Unreached{"g", "n2", ""}));
  EXPECT_THAT(cuts_.All(), IsEmpty());
  cuts_.Told("g", {"n1"}, {});
  EXPECT_THAT(Look(12 * kSecond), IsEmpty());
  EXPECT_THAT(Look(19 * kSecond), IsEmpty());
  EXPECT_THAT(Look(20 * kSecond), ElementsAre(Unreached{"g", "n2", ""}));
}

// One that was missing for less than it takes to say so heals without a word.
TEST_F(CutsTest, WhatWasNotSaidIsNotHealed) {
  cuts_.Told("g", {"n1"}, {});
  Look(0 * kSecond);
  cuts_.Told("g", {"n1", "n2"}, {});
  Look(1 * kSecond);
  EXPECT_THAT(healed_, IsEmpty());
}

TEST_F(CutsTest, ANodeThatIsGoneIsMissedByNobody) {
  cuts_.Told("g", {}, {});
  Look(0 * kSecond);
  Look(10 * kSecond);
  nodes_ = {"n2"};
  EXPECT_THAT(Look(11 * kSecond), IsEmpty());
  EXPECT_THAT(healed_, ElementsAre(Unreached{"g", "n1", ""}));
  EXPECT_THAT(cuts_.All(), ElementsAre(Unreached{"g", "n2", ""}));
}

TEST_F(CutsTest, EachGatewayIsJudgedForItselfAndMayBeForgotten) {
  cuts_.Told("g1", {"n1"}, {});
  cuts_.Told("g2", {"n1"}, {});
  Look(0 * kSecond);
  EXPECT_THAT(Look(10 * kSecond),
              ElementsAre(Unreached{"g1", "n2", ""}, Unreached{"g2", "n2", ""}));
  cuts_.Forget("g1");
  EXPECT_THAT(cuts_.WhoMisses("n2"), ElementsAre("g2"));
  EXPECT_EQ(cuts_.LinkedTo("g1"), std::nullopt);
}

}  // namespace
}  // namespace allot::scheduler
