#include "gtest/gtest.h"
#include "scheduler/core/core.h"

namespace allot::scheduler {
namespace {

TEST(CoreOptionsDeathTest, ARangeOfPortsWithoutAPortIsOurMistake) {
  CoreOptions options;
  options.task_port_min = 30'000;  // the default maximum is 29'999
  EXPECT_DEATH(Core core(options), "task_port_min <= ");
}

}  // namespace
}  // namespace allot::scheduler
