#include "common/http/turns.h"

#include <memory>
#include <vector>

#include "gtest/gtest.h"

namespace allot::http {
namespace {

struct Connection {
  Connection(Turns::Group& group, int64_t c) : cost(c) { member.group = &group; }
  int64_t cost = 0;
  int served = 0;
  Turns::Member member{this};
};

// Each asks again as soon as it was served.
void Serve(Turns& turns, int count) {
  for (int i = 0; i < count; ++i) {
    Turns::Member* const next = turns.Next();
    ASSERT_NE(next, nullptr);
    auto& connection = *static_cast<Connection*>(next->who);
    ++connection.served;
    turns.Used(*next, connection.cost);
    turns.Wait(*next);
  }
}

TEST(Turns, AreGivenByTimeAndNotByNumber) {
  Turns turns;
  Turns::Group one, other;
  Connection dear(one, 1'000), cheap(other, 10);
  turns.Wait(dear.member);
  turns.Wait(cheap.member);
  Serve(turns, 1'010);
  EXPECT_NEAR(dear.served, 10, 1);
  EXPECT_NEAR(cheap.served, 1'000, 1);
}

TEST(Turns, ManyConnectionsOfASenderAreWorthOne) {
  Turns turns;
  Turns::Group many, one;
  std::vector<std::unique_ptr<Connection>> crowd;
  for (int i = 0; i < 50; ++i) {
    crowd.push_back(std::make_unique<Connection>(many, 100));
    turns.Wait(crowd.back()->member);
  }
  Connection alone(one, 100);
  turns.Wait(alone.member);
  Serve(turns, 1'000);
  EXPECT_NEAR(alone.served, 500, 1);
  for (const auto& each : crowd) EXPECT_NEAR(each->served, 10, 1);
}

TEST(Turns, WhoComesLateBringsNothingAlongAndHasHisTurnSoon) {
  Turns turns;
  Turns::Group one, other;
  Connection busy(one, 100), late(other, 100), neighbour(one, 1);
  turns.Wait(busy.member);
  Serve(turns, 1'000);
  turns.Wait(late.member);
  turns.Wait(neighbour.member);
  Serve(turns, 1'030);
  EXPECT_NEAR(late.served, 20, 3) << "as long as both of the other sender";
  EXPECT_NEAR(neighbour.served, 1'000, 100);
  EXPECT_NEAR(busy.served, 1'010, 3) << "nobody is kept out for what he had before";
}

TEST(Turns, WhoLeavesIsServedNoMore) {
  Turns turns;
  Turns::Group group;
  Connection one(group, 1), other(group, 1);
  turns.Wait(one.member);
  turns.Wait(other.member);
  turns.Wait(other.member);
  turns.Leave(one.member);
  EXPECT_EQ(turns.Next(), &other.member);
  EXPECT_TRUE(turns.empty());
  EXPECT_EQ(turns.Next(), nullptr);
  turns.Leave(other.member);
}

}  // namespace
}  // namespace allot::http
