#include "common/base/text.h"

#include "gtest/gtest.h"
#include "rapidcheck.h"

namespace allot {
namespace {

TEST(Utf8, TakesEveryKindOfCharacter) {
  EXPECT_TRUE(IsValidUtf8(""));
  EXPECT_TRUE(IsValidUtf8("plain ASCII, longer than eight bytes"));
  EXPECT_TRUE(IsValidUtf8("\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x9A\x80"));
  EXPECT_TRUE(IsValidUtf8("\xF4\x8F\xBF\xBF"));  // U+10FFFF
}

TEST(Utf8, RefusesWhatIsNoCharacter) {
  const std::string_view rows[] = {
      "\x80",              // continues nothing
      "\xC3",              // cut short
      "abcdefgh\xE2\x82",  // cut short behind a fast stretch
      "\xC0\xAF",          // overlong
      "\xE0\x80\xAF",      // overlong
      "\xED\xA0\x80",      // surrogate
      "\xF4\x90\x80\x80",  // above U+10FFFF
      "\xFF",
  };
  for (std::string_view text : rows) EXPECT_FALSE(IsValidUtf8(text));
}

TEST(Utf8, ReplacingMendsAnythingAndLeavesValidTextAlone) {
  EXPECT_EQ(ReplaceInvalidUtf8("a\xFFz"), "a\xEF\xBF\xBDz");
  EXPECT_TRUE(rc::check([](const std::string& bytes) {
    const std::string mended = ReplaceInvalidUtf8(bytes);
    RC_ASSERT(IsValidUtf8(mended));
    RC_ASSERT(ReplaceInvalidUtf8(mended) == mended);
    if (IsValidUtf8(bytes)) RC_ASSERT(mended == bytes);
  }));
}

TEST(Names, AreLowerCaseWordsOfAtMost63Characters) {
  for (const char* name : {"a", "node-1", "gpu.rack3", "0"}) EXPECT_TRUE(IsName(name)) << name;
  EXPECT_TRUE(IsName(std::string(63, 'x')));
  EXPECT_FALSE(IsName(std::string(64, 'x')));
  for (const char* name : {"", "-a", "a-", ".a", "A", "a_b", "a b", "a/b", "\xC3\xA9"}) {
    EXPECT_FALSE(IsName(name)) << name;
  }
}

TEST(LabelValues, AreWordsOfAtMost63Characters) {
  for (const char* name : {"a", "node-1", "Train_Llama.3-8B", "ML", "0", "a_b"})
    EXPECT_TRUE(IsLabelValue(name)) << name;
  EXPECT_TRUE(IsLabelValue(std::string(63, 'X')));
  EXPECT_FALSE(IsLabelValue(std::string(64, 'X')));
  for (const char* name : {"", "-a", "a-", "_a", "a_", "a b", "a/b", "a:b", "\xC3\xA9"})
    EXPECT_FALSE(IsLabelValue(name)) << name;
}

}  // namespace
}  // namespace allot
