#include "scheduler/router/request_table.h"

#include "gtest/gtest.h"

namespace allot::router {
namespace {

// A gateway that has answered a million requests has places for as many as there were at once.
TEST(RequestTable, PlacesAreUsedAgain) {
  RequestTable table;
  const uint32_t first = table.Add(RequestId(1)), second = table.Add(RequestId(2));
  EXPECT_NE(first, second);
  table.Remove(first);
  EXPECT_FALSE(table.Find(RequestId(1)).has_value());
  EXPECT_EQ(table.Add(RequestId(3)), first);
  EXPECT_EQ(table.Find(RequestId(3)), first);
  EXPECT_EQ(table.Find(RequestId(2)), second);
}

}  // namespace
}  // namespace allot::router
