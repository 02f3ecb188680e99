// The policies we ship are valid, and their price books follow the catalogue.
#include <filesystem>
#include <set>

#include "common/catalogue/catalogue.h"
#include "common/config/bind.h"
#include "common/config/convert.h"
#include "gtest/gtest.h"

namespace allot::config {
namespace {

std::map<std::string, allot::Policy> ReadyMade() {
  std::map<std::string, allot::Policy> policies;
  for (const auto& entry : std::filesystem::directory_iterator(ALLOT_SOURCE_DIR "/policies/conf")) {
    if (entry.path().extension() != ".yaml") continue;
    Policy message;
    const Status bound = LoadYamlFile(entry.path().string(), &message);
    EXPECT_TRUE(bound.ok()) << MessageOf(bound);
    const auto policy = ToPolicy(message);
    EXPECT_TRUE(policy.ok()) << entry.path() << MessageOf(policy.status());
    if (policy.ok()) policies[entry.path().stem()] = *policy;
  }
  return policies;
}

TEST(ReadyMadePolicies, AreValidAndNamedAsTheirFiles) {
  std::set<std::string> names;
  for (const auto& [file, policy] : ReadyMade()) {
    EXPECT_EQ(policy.name, file);
    EXPECT_FALSE(policy.description.empty());
    names.insert(file);
  }
  EXPECT_EQ(names, (std::set<std::string>{"balanced", "cheapest-within-slo", "fair-share",
                                          "lowest-latency", "power-capped"}));
}

TEST(ReadyMadePolicies, PriceWhatTheCataloguePrices) {
  for (const auto& [file, policy] : ReadyMade()) {
    std::map<std::string, PriceRate> rows;
    for (const allot::PriceRow& row : policy.prices.rows) rows[row.model] = row.rate;
    size_t priced = 0;
    for (const CatalogueRow& row : Catalogue::BuiltIn().rows()) {
      if (!row.price_usd_per_hour) continue;
      ++priced;
      const PriceRate expected{Cost::FromDollars(*row.price_usd_per_hour).micros};
      ASSERT_TRUE(rows.contains(row.model)) << row.model << " in " << file;
      EXPECT_EQ(rows[row.model], expected) << row.model << " in " << file;
    }
    EXPECT_EQ(rows.size(), priced) << file;
    EXPECT_GT(policy.prices.other_gpu.micros_per_hour, 0);
    EXPECT_GT(policy.prices.other_cpu_core.micros_per_hour, 0);
    EXPECT_GT(policy.prices.other_asic.micros_per_hour, 0);
  }
}

}  // namespace
}  // namespace allot::config
