// Whole worlds: a few hundred seeds, those that once failed, and the same seed twice.
#include <fstream>
#include <sstream>
#include <vector>

#include "gtest/gtest.h"
#include "simulator/runner.h"
#include "simulator/world.h"

namespace allot::simulator {
namespace {

WorldResult RunSeed(uint64_t seed, FaultSet faults = FaultSet::All(), uint64_t events = 2'000) {
  WorldOptions options;
  options.seed = seed;
  options.events = events;
  options.faults = faults;
  return World(options).Run();
}

TEST(Simulator, HundredsOfSeedsWithAllFaultsKeepEveryPromise) {
  FaultCounts counts{};
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    const WorldResult result = RunSeed(seed);
    ASSERT_EQ(result.finding, "") << "repeat: " << RepeatCommand(seed, 2'000, "all");
    EXPECT_GE(result.steps, 2'000u);
    for (size_t i = 0; i < kFaultKinds; ++i) counts[i] += result.faults[i];
  }
  for (size_t i = 0; i < kFaultKinds; ++i)
    EXPECT_GT(counts[i], 0u) << ToString(static_cast<Fault>(i)) << " never struck";
}

TEST(Simulator, CalmSeedsInjectNothingAndFinish) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const WorldResult result = RunSeed(seed, FaultSet::None());
    ASSERT_EQ(result.finding, "") << "repeat: " << RepeatCommand(seed, 2'000, "none");
    EXPECT_EQ(result.faults, FaultCounts{});
    EXPECT_EQ(result.scheduler_lives, 1u);
  }
}

TEST(Simulator, SeedsThatOnceFailedStayMended) {
  std::ifstream file(ALLOT_SOURCE_DIR "/simulator/regressions.txt");
  ASSERT_TRUE(file) << "simulator/regressions.txt is missing";
  for (std::string line; std::getline(file, line);) {
    std::istringstream in(line.substr(0, line.find('#')));
    uint64_t seed = 0, events = 0;
    std::string faults = "all";
    if (!(in >> seed >> events)) continue;
    in >> faults;
    const auto set = FaultSet::Parse(faults);
    ASSERT_TRUE(set.ok()) << line;
    EXPECT_EQ(RunSeed(seed, *set, events).finding, "")
        << "repeat: " << RepeatCommand(seed, events, faults);
  }
}

TEST(Simulator, SameSeedSaysTheSameBytes) {
  std::vector<uint64_t> hashes;
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    WorldOptions options;
    options.seed = seed;
    options.events = 1'500;
    options.hash = true;
    const uint64_t first = World(options).Run().hash;
    EXPECT_EQ(first, World(options).Run().hash) << "seed " << seed;
    for (const uint64_t other : hashes) EXPECT_NE(first, other);
    hashes.push_back(first);
  }
}

// What the cores decide, send and answer, to the byte. A change that was meant to change nothing
// is caught here whatever it is; one that was meant to writes the file anew, and its review says
// why.
TEST(Simulator, SeedsSayWhatTheySaidBefore) {
  const std::string path = ALLOT_SOURCE_DIR "/simulator/hashes.txt";
  std::string now;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    WorldOptions options;
    options.seed = seed;
    options.hash = true;
    now += fmt::format("{} {:016x}\n", seed, World(options).Run().hash);
  }
  if (std::getenv("ALLOT_UPDATE") != nullptr) std::ofstream(path) << now;
  std::ifstream file(path);
  const std::string before(std::istreambuf_iterator<char>(file), {});
  EXPECT_EQ(now, before)
      << "what the cores say is not what it was. To see where: allot-sim --seed N "
         "--trace FILE, with this build and with the one before, and diff. If it was meant: "
         "ALLOT_UPDATE=1 with this test";
}

TEST(Simulator, ListeningChangesNothing) {
  WorldOptions options;
  options.seed = 7;
  const WorldResult deaf = World(options).Run();
  options.hash = true;
  size_t lines = 0;
  options.trace = [&lines](const std::string&) { ++lines; };
  const WorldResult heard = World(options).Run();
  EXPECT_EQ(deaf.steps, heard.steps);
  EXPECT_EQ(deaf.faults, heard.faults);
  EXPECT_GE(lines, heard.steps);
}

TEST(Runner, CountsEverySeedOnceOverItsWorkers) {
  RunOptions options;
  options.count = 9;
  options.events = 200;
  options.jobs = 3;
  options.progress = false;
  const auto totals = RunSeeds(options);
  ASSERT_TRUE(totals.ok());
  EXPECT_EQ(totals->seeds, 9u);
  EXPECT_EQ(totals->failed, 0u);
  uint64_t steps = 0;
  for (uint64_t seed = 1; seed <= 9; ++seed) steps += RunSeed(seed, FaultSet::All(), 200).steps;
  EXPECT_EQ(totals->steps, steps);
}

TEST(Runner, RepeatCommandNamesWhatDiffersFromTheDefault) {
  EXPECT_EQ(RepeatCommand(17, 2'000, "all"), "allot-sim --seed 17 --events 2000 --verbose");
  EXPECT_EQ(RepeatCommand(17, 50, "node_crash"),
            "allot-sim --seed 17 --events 50 --faults node_crash --verbose");
}

}  // namespace
}  // namespace allot::simulator
