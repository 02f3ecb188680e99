#include "client/catalogue_view.h"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/policy_file.h"
#include "common/json/json.h"
#include "temporary_folder.h"

namespace allot::client {
namespace {

using testing::HasSubstr;
using testing::Not;

Catalogue Small() {
  return *Catalogue::Parse(
      "model,kind,memory_gib,memory_bandwidth_gbs,bf16_tflops,fp8_tflops,int8_tops,watts,"
      "price_usd_per_hour,price_basis,estimates,source,notes\n"
      "acme/one,GPU,80,3350,989,1979,1979,700,2.95,list price,,spec A1,\n"
      "acme/two,ASIC,0.214,80000,,,750,300,0.8,scaled,price_usd_per_hour;watts,spec A2,SRAM\n"
      "acme/three,ASIC,,,,,,,,,,spec A3,\n",
      "small.csv");
}

TEST(CatalogueView, AnEstimateHasAStarAndTheUnknownADash) {
  EXPECT_EQ(CatalogueTable(Small().rows()),
            "MODEL       KIND    MEMORY   GB/S  BF16  FP8/INT8  WATTS     PRICE  BASIS\n"
            "acme/one    GPU      80GiB   3350   989      1979    700   $2.95/h  list price\n"
            "acme/three  ASIC         -      -     -         -      -         -  -\n"
            "acme/two    ASIC  0.214GiB  80000     -      i750   300*  $0.80/h*  scaled\n");
}

TEST(CatalogueView, OneModelTellsEveryFactAndItsSources) {
  const auto rows = SelectRows(Small(), "acme/two");
  ASSERT_TRUE(rows.ok());
  const std::string facts = CatalogueFacts(rows->at(0));
  EXPECT_THAT(facts, HasSubstr("acme/two\n"));
  EXPECT_THAT(facts, HasSubstr("  int8          750 TOP/s dense\n"));
  EXPECT_THAT(facts, HasSubstr("  power         300 W*\n"));
  EXPECT_THAT(facts, HasSubstr("  bf16          -\n"));
  EXPECT_THAT(facts, HasSubstr("  sources       spec A2\n"));
  EXPECT_THAT(facts, HasSubstr("is an estimate"));
}

TEST(CatalogueView, AGlobSelectsAndAMissNamesWhatIsNear) {
  EXPECT_EQ(SelectRows(Small(), "acme/t*")->size(), 2u);
  EXPECT_EQ(SelectRows(Small(), "")->size(), 3u);
  const Status miss = SelectRows(Small(), "acme/tree").status();
  EXPECT_TRUE(absl::IsNotFound(miss));
  EXPECT_THAT(MessageOf(miss), HasSubstr("did you mean \"acme/three\"?"));
  EXPECT_THAT(MessageOf(SelectRows(Small(), "thre").status()),
              HasSubstr("did you mean \"acme/three\"?"));
  EXPECT_THAT(MessageOf(SelectRows(Small(), "zzzzzzzz").status()), Not(HasSubstr("did you mean")));
}

TEST(CatalogueView, JsonLeavesOutWhatIsUnknown) {
  const json::value all = json::parse(CatalogueJson(Small().rows()));
  EXPECT_EQ(all.at("version").as_int64(), 1);
  const json::object& three = all.at("devices").at(1).as_object();
  EXPECT_EQ(three.at("model").as_string(), "acme/three");
  EXPECT_FALSE(three.contains("memory_bytes") || three.contains("power_watts") ||
               three.contains("price_usd_per_hour"));
  EXPECT_EQ(all.at("devices").at(2).at("estimates").as_array().size(), 2u);
}

TEST(CatalogueView, RowsOfAFileReplaceAndAdd) {
  TemporaryFolder folder;
  const std::string file = folder.path() + "/mine.csv";
  std::ofstream(file) << "model,kind,watts\nnvidia/l4,GPU,71\nacme/new,ASIC,5\n";
  const auto mine = LoadCatalogue({file});
  ASSERT_TRUE(mine.ok()) << mine.status();
  EXPECT_EQ(mine->Find("nvidia/l4")->watts, 71);
  EXPECT_NE(mine->Find("acme/new"), nullptr);
  EXPECT_NE(mine->Find("nvidia/h100-sxm-80g"), nullptr);
  std::ofstream(file) << "model,kind\nH100,GPU\n";
  EXPECT_THAT(MessageOf(LoadCatalogue({file}).status()), HasSubstr("mine.csv:2:1: model is"));
  EXPECT_FALSE(LoadCatalogue({folder.path() + "/none.csv"}).ok());
}

TEST(PolicyFile, NamesTheModelsThatNoRowPrices) {
  for (const ReadyMade& ready : ReadyMadePolicies())
    EXPECT_TRUE(ModelsWithoutPrice(*CheckPolicy({ready.name, ready.yaml})).empty()) << ready.name;
  Policy mine;
  mine.prices.rows = {{.model = "nvidia/*"}};
  const auto models = ModelsWithoutPrice(mine);
  EXPECT_THAT(models, testing::Contains("sambanova/rdu"));
  EXPECT_THAT(models, testing::Not(testing::Contains(testing::StartsWith("nvidia/"))));
}

}  // namespace
}  // namespace allot::client
