#include "client/table.h"

#include "common/base/printable.h"
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
  EXPECT_EQ(table.ToString(), "A\n\\u001b[2Jgone\\u000a\n");
}

TEST(Printable, WhatSteersATerminalIsShownAndNothingIsLost) {
  const std::pair<const char*, const char*> rows[] = {
      {"plain, \"quoted\", 2\xC3\x97h100", "plain, \"quoted\", 2\xC3\x97h100"},
      {"\x1b[31mred\x07", "\\u001b[31mred\\u0007"},
      {"\x7f", "\\u007f"},
      {"\xC2\x9b"
       "2J",
       "\\u009b2J"},  // CSI as one character
      {"a\xE2\x80\xAE"
       "b",
       "a\\u202eb"},  // right to left from here on
      {"a\rallot: fine", "a\\u000dallot: fine"},
      {"caf\xe9", "caf\xEF\xBF\xBD"},
  };
  for (const auto& [text, shown] : rows) {
    EXPECT_EQ(Printable(text), shown);
    EXPECT_EQ(OneLine(text), shown);
  }
  EXPECT_EQ(Printable("a\n\tb"), "a\n\tb");
  EXPECT_EQ(OneLine("a\n\tb"), "a\\u000a\\u0009b");
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
