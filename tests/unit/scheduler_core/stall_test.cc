// The scheduler itself stands still: its process is stopped, its machine paused. What the nodes
// said meanwhile lies unread, so their silence means nothing.
#include "gtest/gtest.h"
#include "tests/unit/scheduler_core/world.h"

namespace allot::scheduler {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kLease = seconds(3);

class Stall : public testing::Test {
 protected:
  explicit Stall(bool alone = false) : world_(CoreOptions{.lease = kLease}) {
    world_.Register({"n1", {{1, "h200"}}});
    if (!alone) world_.Register({"n2", {{1, "h200"}}});
  }
  bool Alive(const std::string& node) const { return world_.state().FindNode(node)->alive; }
  static Duration Stalled(const Effects& effects) {
    Duration late{};
    for (const Note& note : effects.notes) {
      if (const auto* stalled = std::get_if<scheduler::Stalled>(&note)) late += stalled->late;
    }
    return late;
  }

  World world_;
};

TEST_F(Stall, LongerThanALeaseLosesNoNode) {
  const Effects effects = world_.Stall(seconds(4));
  EXPECT_TRUE(Alive("n1") && Alive("n2"));
  EXPECT_EQ(Stalled(effects), seconds(3));  // it was due after a heartbeat, 1 s
}

TEST_F(Stall, OfAnyLengthLosesNoNodeThatSpeaksAfterIt) {
  for (int hours = 1; hours < 30; ++hours) {
    world_.Stall(std::chrono::hours(hours));
    world_.Advance(milliseconds(900));
    world_.Beat("n1");
    world_.Beat("n2");
  }
  EXPECT_TRUE(Alive("n1") && Alive("n2"));
}

TEST_F(Stall, JustAfterALeaseWasNearlyOverWaitsForWhatIsUnread) {
  world_.Advance(milliseconds(2900));
  world_.Stall(seconds(2));
  EXPECT_TRUE(Alive("n1") && Alive("n2"));
  for (int i = 0; i < 3; ++i) {
    world_.Beat("n1");  // the first had arrived meanwhile
    world_.Advance(milliseconds(1000));
  }
  EXPECT_TRUE(Alive("n1"));
  EXPECT_FALSE(Alive("n2"));
}

TEST_F(Stall, DelaysTheLossOfANodeThatIsGone) {
  world_.Stall(seconds(10));
  for (int i = 0; i < 4; ++i) {
    world_.Beat("n1");
    world_.Advance(seconds(1));
  }
  EXPECT_TRUE(Alive("n1"));
  EXPECT_FALSE(Alive("n2"));
}

// With one node alone nobody can tell whose line is cut.
class StallOfOne : public Stall {
 protected:
  StallOfOne() : Stall(/*alone=*/true) {}
};

TEST_F(StallOfOne, IsNotATimerThatFiresALittleLate) {
  Duration silent{};
  while (Alive("n1") && silent < seconds(20)) {
    const Time due = *world_.core().NextWakeup();
    const Duration step = due - world_.now() + milliseconds(20);
    EXPECT_EQ(Stalled(world_.Stall(step)), Duration(0));
    silent += step;
  }
  EXPECT_LT(silent, kLease + seconds(1));
}

// Nothing was late: the lease's end is what we slept towards. Found with seed 4000069564.
TEST_F(StallOfOne, UntilTheVeryEndOfALeaseWaitsForWhatIsUnread) {
  world_.Advance(milliseconds(2200));
  EXPECT_EQ(Stalled(world_.Stall(milliseconds(800))), Duration(0));
  EXPECT_TRUE(Alive("n1"));
  world_.Beat("n1");  // it had arrived meanwhile
  world_.Advance(kLease - milliseconds(1));
  EXPECT_TRUE(Alive("n1"));
  world_.Advance(milliseconds(1));
  EXPECT_FALSE(Alive("n1"));
}

TEST_F(StallOfOne, UntilTheVeryEndOfALeaseGivesASilentNodeAMomentMore) {
  world_.Advance(milliseconds(2200));
  world_.Stall(milliseconds(800));
  world_.Advance(milliseconds(249));
  EXPECT_TRUE(Alive("n1"));
  world_.Advance(milliseconds(1));
  EXPECT_FALSE(Alive("n1"));
}

TEST_F(StallOfOne, OfANodeIsStillSilence) {
  world_.Advance(kLease);
  EXPECT_FALSE(Alive("n1"));
}

TEST_F(StallOfOne, BeforeARestartIsOver) {
  world_.Stall(seconds(10));
  world_.Crash();
  world_.Step(Restarted{});
  world_.Advance(kLease);
  EXPECT_FALSE(Alive("n1"));
}

// Nobody is heard: our own line is cut.
class CutOffTest : public Stall {};

TEST_F(CutOffTest, LosesNobodyForAsLongAsItLasts) {
  world_.Advance(std::chrono::hours(30));
  EXPECT_TRUE(Alive("n1") && Alive("n2"));
  for (int i = 0; i < 4; ++i) {
    world_.Beat("n2");
    world_.Advance(milliseconds(500));
    EXPECT_TRUE(Alive("n1") && Alive("n2")) << i;
    world_.Advance(milliseconds(200));
  }
  world_.Beat("n2");
  world_.Advance(milliseconds(500));
  EXPECT_FALSE(Alive("n1"));  // A lease after the line was whole again.
  EXPECT_TRUE(Alive("n2"));
}

TEST_F(CutOffTest, IsSaidOnceEachTime) {
  for (int time = 0; time < 2; ++time) {
    const Effects effects = world_.Advance(std::chrono::hours(1));
    EXPECT_EQ(std::count_if(effects.notes.begin(), effects.notes.end(),
                            [](const Note& n) { return std::holds_alternative<CutOff>(n); }),
              1)
        << time;
    for (const char* node : {"n1", "n2"}) world_.Beat(node);
    world_.Advance(milliseconds(500));
  }
}

TEST_F(CutOffTest, IsNoExcuseForOneThatWasSilentBefore) {
  for (int i = 0; i < 4; ++i) {
    world_.Advance(milliseconds(500));
    world_.Beat("n2");
  }
  world_.Advance(milliseconds(1100));  // n1 has been silent for 3.1 s, n2 for 1.1 s.
  EXPECT_FALSE(Alive("n1"));
  EXPECT_TRUE(Alive("n2"));
}

TEST_F(CutOffTest, AfterARestartTooLosesNobody) {
  world_.Crash();
  world_.Step(Restarted{});
  world_.Advance(std::chrono::hours(1));
  EXPECT_TRUE(Alive("n1") && Alive("n2"));
}

}  // namespace
}  // namespace allot::scheduler
