#include <limits>

#include "common/base/units.h"
#include "common/config/bind.h"
#include "gtest/gtest.h"
#include "rapidcheck.h"

namespace allot::config {
namespace {

TEST(ParseDuration, ReadsWhatPeopleWrite) {
  const std::pair<const char*, int64_t> rows[] = {
      {"0", 0},
      {"0s", 0},
      {"250ms", 250'000},
      {"1.5s", 1'500'000},
      {"10m", 600e6},
      {"2h", 7200e6},
      {"3d", 259'200'000'000},
      {"1w", 604'800'000'000},
      {"7us", 7},
      {"7\xC2\xB5s", 7},
      {"3m20s", 200'000'000},
      {"1d6h", 108'000'000'000},
      {"0.5ms", 500},
      {"0.0000001s", 0},
      {"1h0.5s", 3'600'500'000},
      {"1:30:00", 5400e6},
      {"0:00:05", 5e6},
      {"100:00:00", 360000e6},
      {"1-00:00:00", 86400e6},
      {"2-12", 216000e6},
      {"1-01:30", 91800e6},
  };
  for (const auto& [text, micros] : rows) {
    const auto parsed = ParseDurationMicros(text);
    ASSERT_TRUE(parsed.ok()) << text << MessageOf(parsed.status());
    EXPECT_EQ(*parsed, micros) << text;
  }
}

TEST(ParseDuration, SaysWhatToWrite) {
  const char* kHint = "; give a duration like 250ms, 1.5s, 10m or 2h";
  for (const char* text : {"", "s", "-1s", "+1s", "1 s", "1S", "1x", "1s1m", "1s1s", ".5s", "1.s",
                           "1..5s", "1e3s", "99999999999999999s", "1h x"}) {
    EXPECT_EQ(MessageOf(ParseDurationMicros(text).status()),
              fmt::format("is \"{}\"{}", text, kHint));
  }
  EXPECT_EQ(MessageOf(ParseDurationMicros("10").status()),
            "is \"10\", which has no unit; write 10s for seconds");
}

// 1:30 is a minute and a half to some and an hour and a half to others.
TEST(ParseDuration, ClocksHaveThreePartsOrDays) {
  for (const char* text : {"1:30", "1:30:60", "1:60:00", "1:2:3:4", ":30:00", "1::00",
                           "1:30:", "1:30:0s", "1:024:00"}) {
    EXPECT_EQ(MessageOf(ParseDurationMicros(text).status()),
              fmt::format("is \"{}\"; give a duration like 90s, 10m or 2h, or H:MM:SS", text));
  }
  EXPECT_FALSE(ParseDurationMicros("1-24").ok());
  EXPECT_FALSE(ParseDurationMicros("1:00-00").ok());
  EXPECT_EQ(MessageOf(ParseDurationMicros("9999999999-00").status()),
            "is \"9999999999-00\", which is too long; 115740d17h is the most");
}

TEST(ParseDuration, TakesNoMoreThanTheJournalReadsBack) {
  EXPECT_EQ(ParseDurationMicros("115740d17h46m40s").value(), kDurationMax.count());
  for (const char* text : {"115740d17h46m40.000001s", "20000w", "9999999999999999w"}) {
    EXPECT_EQ(MessageOf(ParseDurationMicros(text).status()),
              fmt::format("is \"{}\", which is too long; 115740d17h is the most", text));
  }
}

TEST(ParseDuration, ReadsBackWhatFormatShows) {
  EXPECT_TRUE(rc::check([] {
    const int64_t micros = *rc::gen::inRange<int64_t>(0, 100'000'000'000'000);
    const auto parsed = ParseDurationMicros(FormatDuration(Duration(micros)));
    RC_ASSERT(parsed.ok());
    // Two units are shown, so at most a fortieth (1h59s shows as 1h) is cut, and nothing added.
    RC_ASSERT(*parsed <= micros);
    RC_ASSERT(*parsed >= micros - micros / 24 - 1);
  }));
}

TEST(ParseBytes, ReadsWhatPeopleWrite) {
  const std::pair<const char*, int64_t> rows[] = {
      {"0", 0},
      {"1048576", kMiB},
      {"512MiB", 512 * kMiB},
      {"1.5GiB", 1536 * kMiB},
      {"16GB", 16'000'000'000},
      {"1kB", 1000},
      {"1KB", 1000},
      {"7B", 7},
      {"2TiB", 2048 * kGiB},
      {"0.5KiB", 512},
      {"16G", 16'000'000'000},
      {"16Gi", 16 * kGiB},
      {"512M", 512'000'000},
      {"512Mi", 512 * kMiB},
      {"1.5T", 1'500'000'000'000},
      {"1k", 1000},
      {"2Ki", 2048},
  };
  for (const auto& [text, bytes] : rows) {
    const auto parsed = ParseBytes(text);
    ASSERT_TRUE(parsed.ok()) << text << MessageOf(parsed.status());
    EXPECT_EQ(*parsed, bytes) << text;
  }
}

TEST(ParseBytes, SaysWhatToWrite) {
  for (const char* text : {"", "GiB", "-1GiB", "16GBB", "16Gib", "16 GiB", "16gib", "0x10"}) {
    EXPECT_EQ(MessageOf(ParseBytes(text).status()),
              fmt::format("is \"{}\"; give a size like 512MiB or 16GiB", text));
  }
}

TEST(ParseBytes, NobodyMeansSixteenBytes) {
  for (const char* text : {"16", "1", "0.5", "1023"}) {
    EXPECT_EQ(
        MessageOf(ParseBytes(text).status()),
        fmt::format("is \"{0}\", which is so many bytes; write {0}GiB or {0}MiB (or {0}B)", text));
  }
  EXPECT_EQ(ParseBytes("1024").value(), 1024);
  EXPECT_EQ(ParseBytes("16B").value(), 16);
}

TEST(ParseBytes, TakesNoMoreThanTheJournalReadsBack) {
  EXPECT_EQ(ParseBytes("1024PiB").value(), kBytesMax);
  for (const char* text : {"1152921504606847kB", "2000PiB", "99999999PiB"}) {
    EXPECT_EQ(MessageOf(ParseBytes(text).status()),
              fmt::format("is \"{}\", which is too much; 1024PiB is the most", text));
  }
}

TEST(ParseBytes, ReadsBackWhatFormatShows) {
  EXPECT_TRUE(rc::check([] {
    const int64_t bytes = *rc::gen::inRange<int64_t>(0, int64_t{1} << 50);
    const auto parsed = ParseBytes(FormatBytes(bytes));
    RC_ASSERT(parsed.ok());
    RC_ASSERT(*parsed <= bytes);
    RC_ASSERT(*parsed >= bytes - bytes / 100 - 1);
  }));
}

TEST(ParseMilliCpus, ReadsWhatPeopleWrite) {
  const std::pair<const char*, int64_t> rows[] = {{"2", 2000}, {"0.5", 500}, {"500m", 500},
                                                  {"0", 0},    {"0.001", 1}, {"1.250", 1250}};
  for (const auto& [text, millis] : rows) {
    const auto parsed = ParseMilliCpus(text);
    ASSERT_TRUE(parsed.ok()) << text << MessageOf(parsed.status());
    EXPECT_EQ(*parsed, millis) << text;
  }
  for (const char* text : {"", "m", "-1", "two", "1.5m", "2 cores", "1e3"}) {
    EXPECT_EQ(MessageOf(ParseMilliCpus(text).status()),
              fmt::format("is \"{}\"; give processors like 2, 0.5 or 500m", text));
  }
  EXPECT_EQ(MessageOf(ParseMilliCpus("1000001").status()),
            "is \"1000001\", which is too much; 1000000 is the most");
  EXPECT_EQ(MessageOf(ParseMilliCpus("0.0005").status()),
            "is \"0.0005\"; a thousandth of a processor is the smallest share");
}

TEST(Units, NeverOverflow) {
  EXPECT_TRUE(rc::check([] {
    const auto text = *rc::gen::container<std::string>(
        rc::gen::elementOf(std::string("0123456789999999.msdhwBKMGTPi")));
    for (const auto& parsed : {ParseDurationMicros(text), ParseBytes(text), ParseMilliCpus(text)}) {
      if (parsed.ok()) RC_ASSERT(*parsed >= 0);
    }
  }));
}

TEST(DidYouMean, FindsTheNearestKnownWord) {
  const std::vector<std::string> known = {"name",   "priority", "tasks", "command", "min_memory",
                                          "memory", "GPU",      "CPU",   "listen"};
  const std::pair<const char*, const char*> rows[] = {{"priorty", "priority"},
                                                      {"task", "tasks"},
                                                      {"comand", "command"},
                                                      {"nmae", "name"},
                                                      {"gpu", "GPU"},
                                                      {"min-memory", "min_memory"},
                                                      {"Name", "name"},
                                                      {"x", ""},
                                                      {"", ""},
                                                      {"replicas", ""},
                                                      {"minmemory", "min_memory"}};
  for (const auto& [word, near] : rows) EXPECT_EQ(DidYouMean(word, known), near) << word;
  EXPECT_EQ(DidYouMean("anything", {}), "");
  EXPECT_EQ(DidYouMean(std::string(100'000, 'a'), known), "");
}

}  // namespace
}  // namespace allot::config
