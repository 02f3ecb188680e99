#include "common/base/ids.h"

#include "gtest/gtest.h"
#include "rapidcheck.h"

namespace allot {
namespace {

TEST(Ids, ReadBackWhatTheyShow) {
  EXPECT_EQ(ToString(JobId(17)), "job-17");
  EXPECT_EQ(ToString(RequestId(17)), "req-0000000000000011");
  EXPECT_EQ(ToString(TaskKey{{JobId(17), 0}, Attempt(2)}), "job-17/0#2");
  EXPECT_TRUE(rc::check([](uint64_t n) {
    RC_PRE(n != 0);
    RC_ASSERT(ParseJobId(ToString(JobId(n))) == JobId(n));
    RC_ASSERT(ParseReplicaId(ToString(ReplicaId(n))) == ReplicaId(n));
    RC_ASSERT(ParseRequestId(ToString(RequestId(n))) == RequestId(n));
  }));
}

TEST(Ids, RefuseWhatIsNone) {
  for (const char* text : {"", "17", "job-", "job-0", "job--1", "job-1x",
                           "job-18446744073709551616", "replica-1", "JOB-1"}) {
    EXPECT_FALSE(ParseJobId(text)) << text;
  }
}

}  // namespace
}  // namespace allot
