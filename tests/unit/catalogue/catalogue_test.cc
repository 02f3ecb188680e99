#include "common/catalogue/catalogue.h"

#include <fstream>
#include <iterator>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace allot {
namespace {

using testing::HasSubstr;

TEST(BuiltInCatalogue, IsTheFileInTheRepository) {
  std::ifstream file(ALLOT_SOURCE_DIR "/common/catalogue/devices.csv");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto parsed = Catalogue::Parse(text, "devices.csv");
  ASSERT_TRUE(parsed.ok()) << MessageOf(parsed.status());
  EXPECT_EQ(parsed->rows().size(), Catalogue::BuiltIn().rows().size());
  EXPECT_GT(parsed->rows().size(), 30u);
}

TEST(BuiltInCatalogue, KnowsTheFigures) {
  const CatalogueRow* h100 = Catalogue::BuiltIn().Find("nvidia/h100-sxm-80g");
  ASSERT_NE(h100, nullptr);
  EXPECT_EQ(h100->vendor, "nvidia");
  EXPECT_EQ(h100->kind, DeviceKind::kGpu);
  EXPECT_EQ(h100->memory, 80 * kGiB);
  EXPECT_EQ(h100->watts, 700);
  EXPECT_EQ(h100->price_usd_per_hour, 2.95);
  EXPECT_TRUE(h100->estimates.empty());
  EXPECT_THAT(h100->source, HasSubstr("S1"));

  const CatalogueRow* groq = Catalogue::BuiltIn().Find("groq/lpu-v1");
  ASSERT_NE(groq, nullptr);
  EXPECT_EQ(groq->kind, DeviceKind::kAsic);
  EXPECT_THAT(groq->estimates, testing::ElementsAre("price_usd_per_hour", "watts"));

  const CatalogueRow* maia = Catalogue::BuiltIn().Find("microsoft/maia-100");
  ASSERT_NE(maia, nullptr);
  EXPECT_FALSE(maia->price_usd_per_hour.has_value());  // Unknown is not 0.
  EXPECT_EQ(Catalogue::BuiltIn().Find("nvidia/h1000"), nullptr);
}

TEST(BuiltInCatalogue, EveryRowNamesItsSourceAndWhatItsPriceIs) {
  for (const CatalogueRow& row : Catalogue::BuiltIn().rows()) {
    EXPECT_EQ(row.vendor, row.model.substr(0, row.model.find('/')));
    EXPECT_TRUE(!row.source.empty()) << row.model;
    EXPECT_EQ(row.price_usd_per_hour.has_value() && row.price_basis.empty(), false) << row.model;
    EXPECT_EQ(row.cores.has_value(), row.kind == DeviceKind::kCpu) << row.model;
  }
}

TEST(CatalogueParse, TakesAnyOrderAndFewColumns) {
  const auto parsed = Catalogue::Parse(
      "kind,notes,model\r\n"
      "ASIC,\"a \"\"fast\"\", odd one\nof two lines\",acme/b\r\n"
      "\r\n"
      "GPU,,acme/a\r\n",
      "my.csv");
  ASSERT_TRUE(parsed.ok()) << MessageOf(parsed.status());
  ASSERT_EQ(parsed->rows().size(), 2u);
  EXPECT_EQ(parsed->rows()[0].model, "acme/a");
  EXPECT_EQ(parsed->rows()[0].vendor, "acme");
  EXPECT_EQ(parsed->rows()[1].notes, "a \"fast\", odd one\nof two lines");
  EXPECT_FALSE(parsed->rows()[1].memory.has_value());
}

TEST(CatalogueParse, SaysWhereAndWhatIsWrong) {
  const std::pair<const char*, const char*> rows[] = {
      {"",
       "c.csv:1:1: no header; the columns are model, vendor, kind, cores, memory_gib, "
       "memory_bandwidth_gbs, bf16_tflops, bf16_achieved_tflops, fp8_tflops, int8_tops, watts, "
       "price_usd_per_hour, price_basis, estimates, source, notes"},
      {"model,vendor\n", "c.csv:1:1: column \"kind\" is missing"},
      {"model,kind,model\n", "c.csv:1:12: column \"model\" is here twice"},
      {"model,kind\na/b,GPU,3\n", "c.csv:2:1: 3 fields; the header has 2"},
      {"model,kind\na/b,TPU\n", "c.csv:2:5: kind is \"TPU\"; it is one of GPU, CPU, ASIC"},
      {"model,kind\nH100,GPU\n",
       "c.csv:2:1: model is \"H100\"; give it as vendor/form in lower case, like "
       "nvidia/h100-sxm-80g"},
      {"model,kind,watts\na/b,GPU,-3\n",
       "c.csv:2:9: watts is \"-3\"; give a number from 0 to 1e9, or leave it empty if unknown"},
      {"model,kind,watts\na/b,GPU,7OO\n",
       "c.csv:2:9: watts is \"7OO\"; give a number from 0 to 1e9, or leave it empty if unknown"},
      {"model,kind,watts\na/b,GPU,nan\n",
       "c.csv:2:9: watts is \"nan\"; give a number from 0 to 1e9, or leave it empty if unknown"},
      {"model,kind,estimates\na/b,GPU,watts;price\n",
       "c.csv:2:9: estimates is \"watts;price\"; name columns of this file, separated by ';'"},
      {"model,kind\na/b,GPU\na/c,GPU\na/b,CPU\n", "c.csv:4:1: a/b is here twice, first in line 2"},
      {"model,kind\n\"a/b,GPU\n", "c.csv:2:1: this quote is never closed"},
      {"model,kind\na\"/b,GPU\n",
       "c.csv:2:2: a quote inside of a field; put the whole field in quotes"},
      {"model,kind\n\"a/b\"x,GPU\n", "c.csv:2:6: a comma or the end of the line is wanted here"},
      {"model,kind\na/\xFF,GPU\n", "c.csv: not valid UTF-8; save the file as UTF-8"},
  };
  for (const auto& [text, message] : rows) {
    const auto parsed = Catalogue::Parse(text, "c.csv");
    EXPECT_EQ(MessageOf(parsed.status()), message);
  }
  EXPECT_THAT(MessageOf(Catalogue::Parse("model,kind,tdp\n", "c.csv").status()),
              testing::StartsWith("c.csv:1:12: unknown column \"tdp\"; the columns are model,"));
}

TEST(CatalogueOverride, ReplacesRowsAndAddsOthers) {
  Catalogue base = *Catalogue::Parse("model,kind,watts\na/b,GPU,1\na/d,GPU,2\n", "base.csv");
  base.Override(*Catalogue::Parse("model,kind,watts\na/c,ASIC,3\na/d,GPU,4\n", "mine.csv"));
  ASSERT_EQ(base.rows().size(), 3u);
  EXPECT_EQ(base.Find("a/b")->watts, 1);
  EXPECT_EQ(base.Find("a/c")->watts, 3);
  EXPECT_EQ(base.Find("a/d")->watts, 4);
}

}  // namespace
}  // namespace allot
