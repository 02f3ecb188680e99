// What discovery calls a device is what the catalogue calls it, or a line says why it has no row.
#include <fstream>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "agent/devices/host/parse.h"
#include "common/catalogue/catalogue.h"
#include "vendors.h"

namespace allot::agent::kit {
namespace {

std::map<std::string, std::string> LeftOut() {
  std::map<std::string, std::string> reasons;
  std::ifstream in(ALLOT_SOURCE_DIR "/common/catalogue/left_out.tsv");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with('#')) continue;
    const auto cells = Split(line, '\t');
    EXPECT_EQ(cells.size(), 2u) << line;
    if (cells.size() == 2) reasons[std::string(cells[0])] = cells[1];
  }
  return reasons;
}

std::set<std::string> NamesOfDiscovery() {
  std::set<std::string> names;
  for (const pci::IdRow& row : pci::IdTable::BuiltIn().rows()) names.insert(row.name);
  for (const Machine& machine : RecordedMachines()) {
    const json::object expected = Expected(machine);
    for (const json::value& device : expected.at("devices").as_array())
      names.insert(std::string(device.at("name").as_string()));
  }
  return names;
}

TEST(CatalogueNames, EveryModelThatDiscoveryNamesHasARowOrAReason) {
  const auto left_out = LeftOut();
  for (const std::string& name : NamesOfDiscovery())
    EXPECT_TRUE(Catalogue::BuiltIn().Find(name) != nullptr || left_out.contains(name))
        << name << " is neither in common/catalogue/devices.csv nor in left_out.tsv";
}

TEST(CatalogueNames, AReasonIsForAModelThatExistsAndHasNoRow) {
  const std::set<std::string> names = NamesOfDiscovery();
  for (const auto& [name, reason] : LeftOut()) {
    EXPECT_TRUE(names.contains(name)) << name;
    EXPECT_EQ(Catalogue::BuiltIn().Find(name), nullptr) << name << " has a row now";
    EXPECT_FALSE(reason.empty()) << name;
  }
}

// The id table and the catalogue speak of the same box.
TEST(CatalogueNames, NominalMemoryIsTheSameInBoth) {
  for (const pci::IdRow& row : pci::IdTable::BuiltIn().rows()) {
    const CatalogueRow* in_catalogue = Catalogue::BuiltIn().Find(row.name);
    if (in_catalogue == nullptr || !in_catalogue->memory || !row.memory) continue;
    const double ratio =
        static_cast<double>(*in_catalogue->memory) / static_cast<double>(*row.memory);
    EXPECT_GT(ratio, 0.92) << row.name;
    EXPECT_LT(ratio, 1.08) << row.name;
    EXPECT_EQ(in_catalogue->kind, row.kind) << row.name;
  }
}

}  // namespace
}  // namespace allot::agent::kit
