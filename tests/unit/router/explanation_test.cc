// What is kept of a decision among many replicas, and for how long.
#include <sstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/router/world.h"

namespace allot::router {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> WhoIsIn(const std::string& explanation) {
  std::vector<std::string> names;
  std::istringstream lines(explanation);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("  ")) names.push_back(line.substr(2, line.find('@') - 2));
  return names;
}

// Forty of one device: r1 to r20 with one request each, the others with two; and three of another.
class ExplanationOfMany : public ::testing::Test {
 protected:
  void Fill(const std::string& odd) {
    std::string lines = "policy round_robin\ndeployment chat\n";
    for (int i = 1; i <= 43; ++i)
      lines += fmt::format("replica r{} of=chat node=n{} concurrency={} device={}{}\n", i, i,
                           i == 41 ? 1 : 4, i <= 40 ? "a/chip" : "b/chip", i == 1 ? odd : "");
    lines += "routes\nlink";
    for (int i = 1; i <= 43; ++i) lines += fmt::format(" n{}", i);
    world.Run(lines + "\n");
  }
  std::string Requests(int first, int last) {
    std::string lines = "request";
    for (int i = first; i <= last; ++i) lines += fmt::format(" r{}", i);
    return world.Run(lines + "\n");
  }

  World world;
};

TEST_F(ExplanationOfMany, NamesTheChosenAndTheBestOfEachDevice) {
  Fill("");
  Requests(1, 5);  // to r1 … r5
  Requests(6, 6);  // to r6
  const std::string explained = world.Run("explain r6\n");
  EXPECT_THAT(WhoIsIn(explained), ElementsAre("replica-6", "replica-7", "replica-41"));
  EXPECT_THAT(explained, ::testing::ContainsRegex("replica-6@[^\n]* chosen\n"));
}

TEST_F(ExplanationOfMany, OneWithRoomIsBetterThanOneThatIsEmptyAndNotReady) {
  Fill(" starting");
  Requests(1, 42);   // one to each of r2 … r43; r41 has no room any more
  Requests(43, 43);  // to r2
  EXPECT_THAT(WhoIsIn(world.Run("explain r43\n")),
              ElementsAre("replica-2", "replica-3", "replica-42"));
}

TEST_F(ExplanationOfMany, WhereAllAreFullTheFirstOfEachDevice) {
  Fill("");
  Requests(1, 42 * 4 + 1);  // every place
  Requests(1000, 1000);
  EXPECT_THAT(WhoIsIn(world.Run("explain r1000\n")), ElementsAre("replica-1", "replica-41"));
}

// `count` replicas, each of a device of its own or all alike, and a request that the first takes.
std::vector<std::string> OneOfEach(int count, bool alike = false) {
  World world;
  std::string lines = "policy round_robin\ndeployment chat\n";
  for (int i = 1; i <= count; ++i)
    lines += fmt::format("replica r{} of=chat node=n1 device=d{}/chip\n", i, alike ? 0 : i);
  world.Run(lines + "routes\nlink n1\nrequest r1\n");
  return WhoIsIn(world.Run("explain r1\n"));
}

TEST(Explanation, NamesThirtyTwoReplicasAtMost) {
  EXPECT_EQ(OneOfEach(31).size(), 31u);
  EXPECT_EQ(OneOfEach(32).size(), 32u);
  EXPECT_EQ(OneOfEach(33).size(), 32u);
  EXPECT_EQ(OneOfEach(32, /*alike=*/true).size(), 32u);
  EXPECT_EQ(OneOfEach(33, /*alike=*/true).size(), 2u);
  EXPECT_EQ(OneOfEach(33).front(), "replica-1");
  EXPECT_EQ(OneOfEach(33).back(), "replica-32");
}

}  // namespace
}  // namespace allot::router
