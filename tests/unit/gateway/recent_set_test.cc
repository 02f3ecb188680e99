#include "gateway/recent_set.h"

#include "gtest/gtest.h"

namespace allot::gateway {
namespace {

TEST(RecentSet, ForgetsWhatWasAddedFirst) {
  RecentSet set(2);
  set.Add(1);
  set.Add(2);
  EXPECT_TRUE(set.Has(1));
  set.Add(1);  // As old as it was.
  set.Add(3);
  EXPECT_FALSE(set.Has(1));
  EXPECT_TRUE(set.Has(2));
  EXPECT_TRUE(set.Has(3));
  set.Add(1);
  EXPECT_FALSE(set.Has(2));
  EXPECT_TRUE(set.Has(3));
  EXPECT_TRUE(set.Has(1));
}

}  // namespace
}  // namespace allot::gateway
