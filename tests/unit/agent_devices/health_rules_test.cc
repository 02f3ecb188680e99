#include "agent/devices/health/rules.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/devices/registry.h"

namespace allot::agent {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsSubsetOf;
using ::testing::Not;

std::string ErrorOf(const std::string& row) {
  return MessageOf(HealthRules::Parse("# comment\n\n" + row + "\n", "mine.tsv").status());
}

TEST(HealthRules, SayWhereARowIsWrong) {
  const struct {
    const char* row;
    const char* error;
  } rows[] = {
      {"nvidia\txid\tany\twarn\t1h", "mine.tsv:3: 5 columns; there must be 6"},
      {"nvidia xid any warn 1h x", "mine.tsv:3: 1 columns"},
      {"NVIDIA\txid\tany\twarn\t1h\ts", "mine.tsv:3: vendor is \"NVIDIA\""},
      {"\txid\tany\twarn\t1h\ts", "5 columns"},  // the tab at its beginning is a blank
      {"*\tECC errors\t>= 1\twarn\t1h\ts", "signal is \"ECC errors\""},
      {"*\tecc\t1\twarn\t1h\ts", "condition is \"1\""},
      {"*\tecc\t>= many\twarn\t1h\ts", "condition is \">= many\""},
      {"*\tecc\t=> 1\twarn\t1h\ts", "condition is \"=> 1\""},
      {"*\txid\tin \twarn\t1h\ts", "condition is \"in\""},
      {"*\txid\tin 5-3\twarn\t1h\ts", "condition is \"in 5-3\""},
      {"*\txid\tin 1,,2\twarn\t1h\ts", "condition is \"in 1,,2\""},
      {"*\txid\tin 0-99999999\twarn\t1h\ts", "condition is"},
      {"*\tecc\trises 0\twarn\t1h\ts", "condition is \"rises 0\""},
      {"*\tecc\t>= 1\tpanic\t1h\ts", "action is \"panic\"; it must be ignore, warn, drain or"},
      {"*\tecc\t>= 1\twarn\tsoon\ts", "hold is \"soon\"; it must be a duration"},
      {"*\tecc\t>= 1\twarn\t-1m\ts", "hold is \"-1m\""},
      {"*\tecc\t>= 1\twarn\t99999d\ts", "hold is"},
      {"*\tecc\trises 1\twarn\t-\ts", "hold is \"-\"; it must be a duration above 0"},
      {"*\tecc\t>= 1\twarn\t1h\t ", "5 columns"},  // nothing behind the last tab
  };
  for (const auto& row : rows) EXPECT_THAT(ErrorOf(row.row), HasSubstr(row.error)) << row.row;
  EXPECT_EQ(ErrorOf("*\tecc\t>= 1\twarn\t1.5s\tour own"), "");
}

TEST(HealthRules, ConditionsMeanWhatTheySay) {
  const struct {
    const char* condition;
    std::vector<double> holds, does_not;
  } rows[] = {
      {"> 1", {1.5, 2}, {1, 0}},
      {">= 1", {1, 2}, {0.5}},
      {"< 1", {0.5}, {1}},
      {"<= 1", {1}, {1.5}},
      {"= 1", {1}, {0, 2}},
      {"!= 1", {0, 2}, {1}},
      {"in 3,62-64", {3, 62, 63, 64}, {2, 4, 61, 65}},
      {"any", {-1, 0, 1e9}, {}},
  };
  for (const auto& row : rows) {
    const auto rules =
        HealthRules::Parse(fmt::format("*\tx\t{}\twarn\t-\ts\n", row.condition), "t");
    ASSERT_TRUE(rules.ok()) << rules.status();
    const HealthCondition& condition = rules->rows()[0].condition;
    for (const double value : row.holds) EXPECT_TRUE(condition.Holds(value)) << row.condition;
    for (const double value : row.does_not) EXPECT_FALSE(condition.Holds(value)) << row.condition;
  }
}

TEST(HealthRules, ALastLineWithoutItsEndCounts) {
  const auto rules = HealthRules::Parse("*\tx\tany\twarn\t2h\tsource", "t");
  ASSERT_TRUE(rules.ok()) << rules.status();
  ASSERT_EQ(rules->rows().size(), 1u);
  EXPECT_EQ(rules->rows()[0].hold, std::chrono::hours(2));
}

TEST(HealthRules, TheBuiltInOnesParseAndAreOfVendorsWeHave) {
  const auto vendors = MakeVendors({}, Catalogue::BuiltIn(), Host::Live());
  std::set<std::string> keys = {"*"};
  for (const auto& vendor : *vendors) keys.emplace(vendor->name());
  const auto rules = HealthRules::BuiltIn();
  EXPECT_GT(rules->rows().size(), 20u);
  for (const HealthRule& rule : rules->rows()) {
    EXPECT_TRUE(keys.contains(rule.vendor)) << rule.vendor;
    EXPECT_GE(rule.source.size(), 10u) << rule.signal;
  }
}

// What the catalog says of the Xids that matter most.
TEST(HealthRules, XidsAreSortedAsNvidiaDoes) {
  const auto rules = HealthRules::BuiltIn();
  const auto action = [&](int xid) {
    for (const size_t i : rules->For("xid"))
      if (rules->rows()[i].condition.Holds(xid)) return rules->rows()[i].action;
    return HealthAction::kIgnore;
  };
  for (const int program : {13, 31, 43, 45, 68, 137})
    EXPECT_EQ(action(program), HealthAction::kIgnore) << program;
  for (const int watch : {63, 92, 94, 154, 9999})
    EXPECT_EQ(action(watch), HealthAction::kWarn) << watch;
  for (const int link : {74, 109, 144, 150}) EXPECT_EQ(action(link), HealthAction::kDrain) << link;
  for (const int reset : {48, 62, 64, 79, 95, 119, 120, 140, 143})
    EXPECT_EQ(action(reset), HealthAction::kQuarantine) << reset;
}

TEST(HealthRules, ReasonsAreAClosedListWithoutWhatIsIgnored) {
  const std::vector<std::string> reasons = HealthRules::BuiltIn()->Reasons();
  EXPECT_THAT((std::vector<std::string>{"xid_79", "xid_other", "ecc_uncorrected", "aer_fatal",
                                        "temperature_over_limit", "status_bad"}),
              IsSubsetOf(reasons));
  EXPECT_THAT(reasons, Not(Contains("xid_13")));
  EXPECT_LT(reasons.size(), 100u);
}

TEST(HealthRules, RowsPutFirstAreAskedFirst) {
  const auto mine = HealthRules::Parse("nvidia\txid\tin 79\twarn\t1h\tours\n", "mine");
  const HealthRules joined = HealthRules::Joined(*mine, *HealthRules::BuiltIn());
  EXPECT_EQ(joined.rows()[joined.For("xid").front()].source, "ours");
  EXPECT_EQ(joined.rows().size(), HealthRules::BuiltIn()->rows().size() + 1);
  EXPECT_TRUE(joined.For("no_such_signal").empty());
}

}  // namespace
}  // namespace allot::agent
