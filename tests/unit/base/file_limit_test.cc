#include "common/base/file_limit.h"

#include <sys/resource.h>

#include "gtest/gtest.h"

namespace allot {
namespace {

TEST(FileLimit, IsRaisedToWhatIsAllowedAndRemembersWhatItWas) {
  rlimit old{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
  EXPECT_EQ(FileLimitBeforeRaise(), old.rlim_cur);
  const rlimit low{64, old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  RaiseFileLimit();
  rlimit raised{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &raised), 0);
  EXPECT_EQ(raised.rlim_cur, old.rlim_max);
  EXPECT_EQ(raised.rlim_max, old.rlim_max);
  EXPECT_EQ(FileLimitBeforeRaise(), 64u);
  setrlimit(RLIMIT_NOFILE, &old);
}

}  // namespace
}  // namespace allot
