#include "common/base/printable.h"

#include "common/base/text.h"
#include "common/base/url.h"
#include "gtest/gtest.h"

namespace allot {
namespace {

TEST(Shown, HarmlessTextIsAsItIs) {
  EXPECT_EQ(Shown("16GBB"), "16GBB");
  EXPECT_EQ(Shown("caf\xC3\xA9 \xE2\x82\xAC"), "caf\xC3\xA9 \xE2\x82\xAC");
}

TEST(Shown, WhatSteersATerminalIsEscaped) {
  EXPECT_EQ(Shown("a\x1b[2J\r\nb\x7f"), "a\\u001b[2J\\u000d\\u000ab\\u007f");
  EXPECT_EQ(Shown("a\xC2\x9B"
                  "b\xE2\x80\xAE"),
            "a\\u009bb\\u202e");
  EXPECT_EQ(Shown(std::string_view("\0", 1)), "\\u0000");
}

TEST(Shown, WhatIsNoTextIsReplaced) {
  EXPECT_EQ(Shown("a\xFF"
                  "b"),
            "a\xEF\xBF\xBD"
            "b");
}

TEST(Shown, IsCutBetweenCharacters) {
  EXPECT_EQ(Shown("abcdef", 3), "abc...");
  EXPECT_EQ(Shown("ab\xE2\x82\xAC", 4), "ab...");
  EXPECT_EQ(Shown("ab\xE2\x82\xAC", 5), "ab\xE2\x82\xAC");
  EXPECT_EQ(Shown(std::string(100, '\x80'), 10), "...");
  for (size_t length = 0; length < 12; ++length)
    EXPECT_TRUE(IsValidUtf8(Shown("\xF0\x9F\x9A\x80\xC3\xA9\xE2\x82\xAC\xF0\x9F", length)));
}

TEST(Shown, IsHowErrorsQuoteWhatWasWrong) {
  const std::string message =
      MessageOf(ParseUrl("ftp://\x1b[2J" + std::string(1000, 'a')).status());
  EXPECT_EQ(message.find('\x1b'), std::string::npos);
  EXPECT_LT(message.size(), 400u);
}

}  // namespace
}  // namespace allot
