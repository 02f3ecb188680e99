// The policies we ship are valid, and their price books follow the catalogue.
#include <algorithm>
#include <filesystem>
#include <fstream>
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
    // What is no price of the catalogue's is a class row, for models without one; it comes later.
    for (size_t i = 0; i < policy.prices.rows.size(); ++i) {
      const CatalogueRow* exact = Catalogue::BuiltIn().Find(policy.prices.rows[i].model);
      const bool own = exact != nullptr && exact->price_usd_per_hour.has_value();
      EXPECT_EQ(own, i < priced) << policy.prices.rows[i].model << " in " << file;
    }
    EXPECT_GT(policy.prices.other_gpu.micros_per_hour, 0);
    EXPECT_GT(policy.prices.other_cpu_core.micros_per_hour, 0);
    EXPECT_GT(policy.prices.other_asic.micros_per_hour, 0);
  }
}

// "other_gpu" and "other_asic" are for what nobody has heard of: of two devices that discovery
// names, one must not cost what the other does for want of a row.
TEST(ReadyMadePolicies, HaveARowForEveryAcceleratorThatCanBeFound) {
  std::set<std::string> models;
  for (const CatalogueRow& row : Catalogue::BuiltIn().rows())
    if (row.kind != DeviceKind::kCpu) models.insert(row.model);
  std::ifstream ids(ALLOT_SOURCE_DIR "/agent/devices/pci/accelerators.tsv");
  for (std::string line; std::getline(ids, line);)
    if (!line.starts_with('#')) models.insert(line.substr(line.rfind('\t') + 1));
  ASSERT_GT(models.size(), 120u);
  for (const auto& [file, policy] : ReadyMade())
    for (const std::string& model : models)
      EXPECT_TRUE(std::any_of(policy.prices.rows.begin(), policy.prices.rows.end(),
                              [&](const auto& row) { return GlobMatch(row.model, model); }))
          << model << " in " << file;
}

}  // namespace
}  // namespace allot::config
