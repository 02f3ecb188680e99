#include "support.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "agent/devices/host/parse.h"
#include "fmt/format.h"

namespace allot::agent::kit {
namespace {

namespace fs = std::filesystem;

bool IsMark(const std::string& word) {
  return word == "verified" || word == "documented" || word == "guessed" || word == "none";
}

std::string Text(std::string_view view) { return std::string(view); }

// "# vendor: AWS Neuron (Inferentia, Trainium)", "# keys: aws"
SupportTable ReadTable(const std::string& folder, const std::string& text, const std::string& name,
                       std::vector<std::string>* errors) {
  SupportTable table{.folder = folder};
  size_t number = 0;
  const auto wrong = [&](const std::string& what) {
    errors->push_back(fmt::format("{}:{}: {}", name, number, what));
  };
  for (const std::string_view line : CompleteLines(text)) {
    ++number;
    if (line.starts_with("# vendor:")) table.title = Trim(line.substr(9));
    if (line.starts_with("# keys:"))
      for (const std::string_view key : Split(line.substr(7), ',')) table.keys.push_back(Text(key));
    if (line.empty() || line.starts_with('#')) continue;
    const std::vector<std::string_view> cells = Split(line, '\t');
    if (cells.size() != 4) {
      wrong(fmt::format("{} columns; there are fact, mark, what, source", cells.size()));
      continue;
    }
    const std::string fact(cells[0]);
    const SupportRow row{Text(cells[1]), Text(cells[2]), Text(cells[3])};
    const auto& facts = SupportFacts();
    if (std::find(facts.begin(), facts.end(), fact) == facts.end())
      wrong(fmt::format("there is no fact \"{}\"", fact));
    if (!IsMark(row.mark))
      wrong(
          fmt::format("the mark is \"{}\"; it is verified, documented, guessed or none", row.mark));
    if (row.what.empty()) wrong(fact + " does not say what");
    if (row.source.empty()) wrong(fact + " has no source");
    if (row.what.find('|') != row.what.npos || row.source.find('|') != row.source.npos)
      wrong("a '|' would break the page's table");
    if (!table.rows.emplace(fact, row).second) wrong(fact + " is here twice");
  }
  number = 1;
  if (table.title.empty()) wrong("no line `# vendor: NAME`");
  if (table.keys.empty()) wrong("no line `# keys: KEY`");
  for (const std::string& fact : SupportFacts())
    if (!table.rows.contains(fact)) wrong(fmt::format("no row for {}", fact));
  return table;
}

std::string Link(const std::string& text, const std::string& source) {
  return source.starts_with("https://") ? fmt::format("[{}]({})", text, source)
                                        : fmt::format("{} ({})", text, source);
}

std::string Anchor(const std::string& title) {
  std::string anchor;
  for (const char c : title) {
    if (c == ' ') anchor += '-';
    if (std::isalnum(static_cast<unsigned char>(c)) || c == '-')
      anchor += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return anchor;
}

}  // namespace

const std::vector<std::string>& SupportFacts() {
  static const std::vector<std::string> facts = {"detect",      "memory",       "power",
                                                 "temperature", "utilisation",  "health",
                                                 "partition",   "topology",     "visible variable",
                                                 "isolation",   "model servers"};
  return facts;
}

Support ReadSupport(const std::string& devices_folder) {
  Support support;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(devices_folder))
    if (fs::exists(entry.path() / "support.tsv")) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const fs::path& path : files) {
    std::ifstream in(path / "support.tsv");
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    const std::string folder = path.filename();
    support.tables.push_back(ReadTable(
        folder, text, fmt::format("agent/devices/{}/support.tsv", folder), &support.errors));
  }
  return support;
}

std::string SupportPage(const std::vector<SupportTable>& tables) {
  std::string out = "| vendor |";
  std::string rule = "|---|";
  for (const std::string& fact : SupportFacts()) {
    out += fmt::format(" {} |", fact);
    rule += "---|";
  }
  out += "\n" + rule + "\n";
  for (const SupportTable& table : tables) {
    out += fmt::format("| [{}](#{}) |", table.title, Anchor(table.title));
    for (const std::string& fact : SupportFacts()) {
      const SupportRow& row = table.rows.at(fact);
      out += fmt::format(" {} |", Link(row.mark, row.source));
    }
    out += "\n";
  }
  for (const SupportTable& table : tables) {
    out += fmt::format(
        "\n### {}\n`agent/devices/{}`\n\n| fact | mark | what | source |\n|---|---|---|---|\n",
        table.title, table.folder);
    for (const std::string& fact : SupportFacts()) {
      const SupportRow& row = table.rows.at(fact);
      out += fmt::format("| {} | {} | {} | {} |\n", fact, row.mark, row.what, row.source);
    }
  }
  return out;
}

const std::map<std::string, SupportRow>& SupportOf(const std::string& key) {
  static const Support support = ReadSupport(ALLOT_SOURCE_DIR "/agent/devices");
  static const std::map<std::string, SupportRow> nothing = [] {
    std::map<std::string, SupportRow> rows;
    for (const std::string& fact : SupportFacts()) rows[fact] = {"none", "", ""};
    return rows;
  }();
  for (const SupportTable& table : support.tables)
    if (std::find(table.keys.begin(), table.keys.end(), key) != table.keys.end() &&
        table.rows.size() == SupportFacts().size())
      return table.rows;
  return nothing;
}

}  // namespace allot::agent::kit
