// The table of budgets and the page that is made of it.
#include "common/base/limits.h"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "fmt/format.h"
#include "gtest/gtest.h"

namespace allot {
namespace {

const char* const kLimitsPage = ALLOT_SOURCE_DIR "/docs/limits.md";

std::string InBytes(int64_t value) {
  for (const auto& [unit, shift] : {std::pair("GiB", 30), {"MiB", 20}, {"KiB", 10}})
    if (value >= int64_t{1} << shift && value % (int64_t{1} << shift) == 0)
      return fmt::format("{} {}", value >> shift, unit);
  return fmt::format("{} bytes", value);
}

std::string InDigits(int64_t value) {
  std::string digits = std::to_string(value);
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) digits.insert(at, ",");
  return digits;
}

std::string ValueOf(const Limit& limit) {
  switch (limit.unit) {
    case LimitUnit::kBytes:
      return InBytes(limit.value);
    case LimitUnit::kBytesPerSecond:
      return InBytes(limit.value) + " a second";
    case LimitUnit::kPerSecond:
      return InDigits(limit.value) + " a second";
    case LimitUnit::kMilliseconds:
      return InDigits(limit.value) + " ms";
    case LimitUnit::kCount:
      break;
  }
  return InDigits(limit.value);
}

std::string LimitsPage() {
  std::string page =
      "# Limits\n\nEvery budget that bytes from outside meet, made of `common/base/limits.h` by "
      "the test `Limits` of `test_base`.\nA refusal is counted where the last column says.\n";
  for (const LimitGroup& group : LimitGroups()) {
    page += fmt::format(
        "\n## {}\n{}\n\n| limit | of | most | why | what is over it | counted |\n"
        "|---|---|---|---|---|---|\n",
        group.door, group.about);
    for (const Limit* limit : group.limits)
      page += fmt::format("| {} | {} | {} | {} | {} | {} |\n", limit->name, limit->scope,
                          ValueOf(*limit), limit->reason, limit->refusal,
                          limit->metric.empty() ? "–" : fmt::format("`{}`", limit->metric));
  }
  return page;
}

TEST(Limits, AreThePageInDocs) {
  const std::string wanted = LimitsPage();
  if (std::getenv("ALLOT_UPDATE") != nullptr) std::ofstream(kLimitsPage) << wanted;
  std::ifstream file(kLimitsPage);
  const std::string page{std::istreambuf_iterator<char>(file), {}};
  EXPECT_TRUE(page == wanted) << "docs/limits.md is not what common/base/limits.h says; run this "
                                 "test with ALLOT_UPDATE=1 and look at the difference";
}

TEST(Limits, SayWhatTheyAreAndWhy) {
  std::set<std::pair<std::string_view, std::string_view>> names;
  for (const LimitGroup& group : LimitGroups()) {
    EXPECT_FALSE(group.limits.empty()) << group.door;
    for (const Limit* limit : group.limits) {
      EXPECT_TRUE(names.emplace(limit->name, limit->scope).second) << limit->name;
      EXPECT_GT(limit->value, 0) << limit->name;
      EXPECT_FALSE(limit->scope.empty() || limit->reason.empty() || limit->refusal.empty())
          << limit->name;
    }
  }
}

}  // namespace
}  // namespace allot
