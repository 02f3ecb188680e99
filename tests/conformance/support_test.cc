// Every vendor folder says what it reads, from where, and how sure we are; docs/devices.md says the
// same. ALLOT_UPDATE=1 writes the page.
#include "support.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vendors.h"

namespace allot::agent::kit {
namespace {

namespace fs = std::filesystem;
using testing::IsEmpty;

constexpr const char* kDevices = ALLOT_SOURCE_DIR "/agent/devices";
constexpr const char* kPage = ALLOT_SOURCE_DIR "/docs/devices.md";
constexpr std::string_view kBegin =
    "<!-- support: begin, written by the test Support.ThePageIsWhatTheFoldersSay -->\n";
constexpr std::string_view kEnd = "<!-- support: end -->\n";

std::string TextOf(const fs::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(Support, EveryTableIsWhole) { EXPECT_THAT(ReadSupport(kDevices).errors, IsEmpty()); }

TEST(Support, EveryVendorHasATable) {
  std::set<std::string> told;
  for (const SupportTable& table : ReadSupport(kDevices).tables)
    for (const std::string& key : table.keys)
      EXPECT_TRUE(told.insert(key).second) << key << " is in two tables";
  for (const std::string& key : VendorKeys())
    EXPECT_TRUE(told.contains(key)) << "agent/devices has no support.tsv with the key " << key;
}

// A vendor that can be found has to pass the kit; one that cannot be says why not.
TEST(Support, WhoIsFoundIsInTheKit) {
  const std::vector<std::string> tried = VendorKeys();
  for (const SupportTable& table : ReadSupport(kDevices).tables)
    for (const std::string& key : table.keys) {
      const bool in_kit = std::find(tried.begin(), tried.end(), key) != tried.end();
      EXPECT_EQ(in_kit, table.rows.at("detect").mark != "none") << table.folder << " " << key;
    }
}

TEST(Support, NothingIsVerifiedThatRanOnNoHardware) {
  // The folders whose code has run on live hardware; docs/devices.md has the transcripts.
  const std::set<std::string> live = {"cpu", "nvidia"};
  for (const SupportTable& table : ReadSupport(kDevices).tables)
    for (const auto& [fact, row] : table.rows)
      EXPECT_TRUE(row.mark != "verified" || live.contains(table.folder))
          << table.folder << " " << fact;
}

TEST(Support, ABrokenTableSaysWhereAndWhat) {
  const fs::path root = fs::temp_directory_path() / fmt::format("allot-support-{}", getpid());
  fs::create_directories(root / "acme");
  std::ofstream(root / "acme/support.tsv") << "# vendor: Acme\n"
                                              "detect\tsure\tid\thttps://acme.example\n"
                                              "power\tnone\t\t\n"
                                              "colour\tnone\tx\ty\n"
                                              "power\tnone\tx\n";
  const std::vector<std::string> errors = ReadSupport(root).errors;
  fs::remove_all(root);
  const auto has = [&](const std::string& what) {
    EXPECT_THAT(errors, testing::Contains(testing::HasSubstr(what)));
  };
  has("support.tsv:2: the mark is \"sure\"");
  has("support.tsv:3: power has no source");
  has("support.tsv:4: there is no fact \"colour\"");
  has("support.tsv:5: 3 columns");
  has("support.tsv:1: no line `# keys: KEY`");
  has("support.tsv:1: no row for memory");
}

TEST(Support, ThePageIsWhatTheFoldersSay) {
  const std::string page = TextOf(kPage);
  const size_t begin = page.find(kBegin), end = page.find(kEnd);
  ASSERT_NE(begin, page.npos) << "docs/devices.md has lost its marker";
  ASSERT_NE(end, page.npos) << "docs/devices.md has lost its marker";
  const Support support = ReadSupport(kDevices);
  ASSERT_THAT(support.errors, IsEmpty());
  const std::string wanted = SupportPage(support.tables);
  const size_t start = begin + kBegin.size();
  if (std::getenv("ALLOT_UPDATE") != nullptr)
    std::ofstream(kPage) << page.substr(0, start) << wanted << page.substr(end);
  const std::string now = TextOf(kPage);
  EXPECT_TRUE(now.substr(start, now.find(kEnd) - start) == wanted)
      << "docs/devices.md and agent/devices/*/support.tsv differ; run this test with "
         "ALLOT_UPDATE=1 and look at the difference";
}

}  // namespace
}  // namespace allot::agent::kit
