#include "agent/devices/host/parse.h"

#include <gtest/gtest.h>

namespace allot::agent {
namespace {

TEST(Parse, ANumberIsTakenWholeOrNotAtAll) {
  EXPECT_EQ(ParseInt("-1"), -1);
  EXPECT_EQ(ParseInt("0"), 0);
  EXPECT_EQ(ParseInt("206141652992"), 206141652992);
  for (const char* bad : {"", " 1", "1 ", "1x", "0x10", "+1", "1.5", "99999999999999999999", "-"})
    EXPECT_FALSE(ParseInt(bad)) << bad;
  EXPECT_EQ(ParseUnsigned("15188982000000000008"), 15188982000000000008u);
  EXPECT_FALSE(ParseUnsigned("-1"));
  EXPECT_EQ(ParseDecimal("5.00"), 5.0);
  for (const char* bad : {"", "5.", "1e3", "inf", "nan", "5.0 "}) EXPECT_FALSE(ParseDecimal(bad));
}

TEST(Parse, AnIdHasAllItsDigits) {
  EXPECT_EQ(ParseHexId("0x74a1", 4), 0x74a1u);
  EXPECT_EQ(ParseHexId("0x030200", 6), 0x030200u);
  for (const char* bad : {"0x74a", "74a1", "0x74a1f", "0x74g1", "0X74a1", ""})
    EXPECT_FALSE(ParseHexId(bad, 4)) << bad;
}

TEST(Parse, CpuListsAreSetsOfNumbers) {
  EXPECT_EQ(ParseCpuList("0-2,8"), (std::vector<uint32_t>{0, 1, 2, 8}));
  EXPECT_EQ(ParseCpuList("8,0-2,1"), (std::vector<uint32_t>{0, 1, 2, 8}));
  EXPECT_EQ(ParseCpuList(""), std::vector<uint32_t>{});
  for (const char* bad : {"0-", "-", "a", "3-1", "0,,1", "0-4294967295", "0-65535,0-65535"})
    EXPECT_FALSE(ParseCpuList(bad)) << bad;
}

TEST(Parse, OnlyLinesThatEndAreLines) {
  EXPECT_EQ(CompleteLines("a\nb\ncut"), (std::vector<std::string_view>{"a", "b"}));
  EXPECT_EQ(FindField("a 1\nsize 5\nsize 6\n", "size", ' '), "5");
  EXPECT_FALSE(FindField("a 1\nsize 5", "size", ' '));
  EXPECT_EQ(FindField("GPU UUID: \t GPU-1\n", "GPU UUID", ':'), "GPU-1");
}

TEST(Parse, DeviceNumbersAndNames) {
  EXPECT_EQ(ParseDeviceNumber("226:128"), (DeviceNumber{226, 128}));
  for (const char* bad : {"226", "226:", ":1", "226:1:1", "226: 1"})
    EXPECT_FALSE(ParseDeviceNumber(bad)) << bad;
  EXPECT_EQ(NumberAfter("renderD128", "renderD"), 128u);
  EXPECT_FALSE(NumberAfter("renderD", "renderD"));
  EXPECT_FALSE(NumberAfter("card1", "renderD"));
}

}  // namespace
}  // namespace allot::agent
