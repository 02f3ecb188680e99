#include "client/table.h"

#include "client/text.h"
#include "gtest/gtest.h"

namespace allot::client {
namespace {

TEST(Table, ColumnsAreAsWideAsTheirWidestCell) {
  Table table({{"NAME"}, {"COST", Table::Align::kRight}, {""}});
  table.Add({"a", "$1.00", "emulated"});
  table.Add({"longer", "", " "});
  EXPECT_EQ(table.ToString(),
            "NAME     COST\n"
            "a       $1.00  emulated\n"
            "longer      -\n");
}

TEST(Table, WidthsCountCodePointsNotBytes) {
  Table table({{"A"}, {"B"}});
  table.Add({"2×x", "1"});
  table.Add({"yyyy", "2"});
  EXPECT_EQ(table.ToString(), "A     B\n2×x   1\nyyyy  2\n");
}

TEST(Table, WhatComesFromOutsideCannotSteerTheTerminal) {
  Table table({{"A"}});
  table.Add({"\x1b[2Jgone\n"});
  EXPECT_EQ(table.ToString(), "A\n [2Jgone\n");
}

TEST(Text, QuantitiesReadWell) {
  EXPECT_EQ(Seconds(1.2345), "1.2s");
  EXPECT_EQ(Seconds(std::nullopt), "-");
  EXPECT_EQ(Money(0.0), "$0");
  EXPECT_EQ(Money(0.001234), "$0.00123");
  EXPECT_EQ(Money(0.0000071), "$0.0000071");
  EXPECT_EQ(Money(12.4), "$12.40");
  EXPECT_EQ(PerHour(2.95), "$2.95/h");
  EXPECT_EQ(Ratio(0.425), "42%");
  EXPECT_EQ(Millis(0.0123), "12.3ms");
}

TEST(Text, DevicesAreCountedByModel) {
  EXPECT_EQ(Devices({{"emu0", "nvidia/h100", "GPU", true},
                     {"emu1", "nvidia/h100", "GPU", true},
                     {"cpu0", "intel/xeon", "CPU", false}}),
            "intel/xeon, 2×nvidia/h100");
}

TEST(Text, CommandsAreQuotedAsAShellWouldNeedThem) {
  EXPECT_EQ(Shell({"python3", "-c", "print('x y')", ""}), "python3 -c 'print('\\''x y'\\'')' ''");
}

}  // namespace
}  // namespace allot::client
