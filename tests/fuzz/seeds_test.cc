// Every target with every seed it has: what once failed stays mended, in every build, and the
// targets themselves keep working where nobody fuzzes.
#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>
#include <sstream>

#include "gtest/gtest.h"
#include "spdlog/spdlog.h"
#include "tests/fuzz/fuzz.h"

namespace allot::fuzz {
namespace {

namespace fs = std::filesystem;

const fs::path kSeeds = fs::path(ALLOT_SOURCE_DIR) / "tests/fuzz/seeds";

std::string Contents(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

std::set<fs::path> SeedsOf(const std::string& target) {
  std::set<fs::path> seeds;
  if (fs::is_directory(kSeeds / target))
    for (const auto& entry : fs::directory_iterator(kSeeds / target)) seeds.insert(entry.path());
  return seeds;
}

class Seeds : public testing::TestWithParam<Target> {
 protected:
  void SetUp() override { spdlog::set_level(spdlog::level::off); }
  void TearDown() override { spdlog::set_level(spdlog::level::info); }
};

TEST_P(Seeds, Hold) {
  const std::set<fs::path> seeds = SeedsOf(GetParam().name);
  EXPECT_FALSE(seeds.empty()) << "a target without seeds finds little: tests/fuzz/seeds/"
                              << GetParam().name;
  GetParam().run("");
  for (const fs::path& seed : seeds) {
    const std::string input = Contents(seed);
    std::cout << "  " << seed.filename().string() << ", " << input.size() << " bytes" << std::endl;
    GetParam().run(
        input);  // ends the program where something does not hold; its seed is the last line
    for (const size_t cut : {input.size() / 2, input.size() - input.size() / 8})
      GetParam().run(std::string_view(input).substr(0, cut));
  }
}

INSTANTIATE_TEST_SUITE_P(Fuzz, Seeds, testing::ValuesIn(Targets()),
                         [](const auto& target) { return target.param.name; });

TEST(FuzzTargets, EveryFolderOfSeedsHasATarget) {
  std::set<std::string> names;
  for (const Target& target : Targets()) names.insert(target.name);
  for (const auto& entry : fs::directory_iterator(kSeeds))
    EXPECT_TRUE(names.contains(entry.path().filename())) << entry.path();
}

TEST(FuzzTargets, AnErrorThatSteersATerminalIsNoError) {
  EXPECT_TRUE(IsPlain("job.yaml:1:1: é is 7", false));
  EXPECT_TRUE(IsPlain("two\nlines", true));
  for (const char* text : {"a\x1b[2J", "a\rb", "a\x7f", "a\xc2\x9b"})
    EXPECT_FALSE(IsPlain(text, true));
  EXPECT_FALSE(IsPlain("two\nlines", false));
  EXPECT_DEATH(HoldsOfError(InvalidArgument("is {}", "\x1b")), "does not hold: IsPlain");
  EXPECT_DEATH(HoldsOfError(InvalidArgument("{}", std::string(9000, 'a'))),
               "does not hold: message.size");
  EXPECT_DEATH(HoldsOfError(absl::OkStatus()), "does not hold");
}

TEST(FuzzTargets, AnInputIsCutWithinItself) {
  Cut cut(
      std::string_view("\x07\x03\x00"
                       "abcd",
                       7));
  EXPECT_EQ(cut.Byte(), 7);
  EXPECT_EQ(cut.Part(), "abc");
  EXPECT_EQ(cut.Part(), "");  // a length of one byte, and nothing behind it
  EXPECT_EQ(cut.Number(8), 0u);
  EXPECT_TRUE(cut.empty());
}

}  // namespace
}  // namespace allot::fuzz
