// What is large and rarely looked at, out of memory: the file, and the value that uses it.
#include "scheduler/shell/spill_file.h"

#include <filesystem>

#include "gtest/gtest.h"
#include "tests/unit/scheduler_shell/support.h"

namespace allot::scheduler {
namespace {

using testing::TempFolder;

TEST(SpillFile, KeepsTextsApartAndHasNoName) {
  TempFolder folder;
  auto file = SpillFile::Open(folder / "");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE(std::filesystem::is_empty(folder / ""));
  const std::string a(5'000, 'a'), b(100'000, 'b');
  auto kept_a = (*file)->Keep(a);
  auto kept_b = (*file)->Keep(b);
  ASSERT_NE(kept_a, nullptr);
  ASSERT_NE(kept_b, nullptr);
  EXPECT_EQ((*file)->bytes(), 8'192 + 102'400);
  EXPECT_EQ(kept_a->Read(), a);
  EXPECT_EQ(kept_b->Read(), b);
  kept_a.reset();
  EXPECT_EQ((*file)->bytes(), 102'400);
  (*file).reset();  // Whoever still has a text reads it.
  EXPECT_EQ(kept_b->Read(), b);
  EXPECT_FALSE(SpillFile::Open(folder / "nowhere").ok());
}

// The store is the program's, so it is set for this test alone.
class VariablesElsewhere : public ::testing::Test {
 protected:
  VariablesElsewhere() : file_(*SpillFile::Open(folder_ / "")) { Variables::KeepIn(file_.get()); }
  ~VariablesElsewhere() override { Variables::KeepIn(nullptr); }
  TempFolder folder_;
  std::unique_ptr<SpillFile> file_;
};

TEST_F(VariablesElsewhere, AreWhatTheyWere) {
  const Variables::Map small = {{"A", "1"}, {"", ""}};
  Variables::Map large = {{"A", "1"}, {"EMPTY", ""}, {"BIG", std::string(20'000, 'x')}};
  large["NUL"] = std::string("a\0b", 3);
  const Variables few(small), many(large);
  EXPECT_EQ(few.Get(), small);
  EXPECT_EQ(few.bytes(), 2u);
  EXPECT_GT(file_->bytes(), 20'000);
  EXPECT_EQ(many.Get(), large);
  EXPECT_EQ(many.size(), 4u);
  EXPECT_FALSE(many.empty());
  EXPECT_EQ(many.bytes(), 20'000u + 1 + 1 + 5 + 3 + 3 + 3);
}

TEST_F(VariablesElsewhere, AreComparedByWhatTheyAre) {
  Variables::Map map = {{"BIG", std::string(20'000, 'x')}};
  const Variables one(map), other(map);
  EXPECT_EQ(one, other);
  Variables::KeepIn(nullptr);
  EXPECT_EQ(one, Variables(map)) << "in memory or not";
  map["BIG"][10'000] = 'y';
  EXPECT_NE(one, Variables(map));
  EXPECT_NE(one, Variables());
  const Variables copy = one;
  EXPECT_EQ(copy, one);
}

}  // namespace
}  // namespace allot::scheduler
