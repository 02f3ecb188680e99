// Who goes first, as tables of tenants.
#include "policies/queue/fair_share/fair_share.h"
#include "policies/queue/fifo/fifo.h"
#include "policies/queue/priority/priority.h"

#include "gtest/gtest.h"

namespace allot::policies {
namespace {

TEST(FairShare, RanksByWhatIsLeasedForTheShare) {
  struct Row {
    const char* name;
    int64_t used;
    double share;
    int64_t rank;
  };
  const Row rows[] = {
      {"nothing leased", 0, 1.0, 0},
      {"a share of one", 4'000'000, 1.0, 4'000'000},
      {"twice the share, half the rank", 4'000'000, 2.0, 2'000'000},
      {"a tenth", 4'000'000, 0.1, 40'000'000},
      {"no share at all counts as a thousandth", 1, 0.0, 1'000},
      {"ten thousand dear nodes do not overflow", 80'000LL * 100'000'000, 0.001,
       80'000LL * 100'000'000 * 1'000},
  };
  for (const Row& row : rows) EXPECT_EQ(FairShareRank(row.used, row.share), row.rank) << row.name;
}

TEST(FairShare, UsesPrioritiesWithinATenant) {
  const auto policy = MakeFairShare({});
  EXPECT_TRUE(policy->UsesPriority());
  EXPECT_TRUE(policy->RanksTenants());
}

TEST(Priority, MergesAllTenants) {
  const auto policy = MakePriority({});
  const std::string ann = "ann", bob = "bob";
  EXPECT_EQ(policy->RankTenant({ann, 5, 1.0}), policy->RankTenant({bob, 0, 9.0}));
  EXPECT_TRUE(policy->UsesPriority());
  EXPECT_FALSE(policy->RanksTenants());
}

TEST(Fifo, LooksAtAgeAlone) {
  const auto policy = MakeFifo({});
  EXPECT_FALSE(policy->UsesPriority());
  EXPECT_FALSE(policy->RanksTenants());
}

}  // namespace
}  // namespace allot::policies
