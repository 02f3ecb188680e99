// What each vendor folder promises: agent/devices/<folder>/support.tsv, and the page made of it.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace allot::agent::kit {

struct SupportRow {
  std::string mark;    // "verified", "documented", "guessed", "none"
  std::string what;    // "hwmon power1_input"
  std::string source;  // a URL, or what was looked at and said nothing
};

struct SupportTable {
  std::string folder;             // "neuron"
  std::string title;              // "AWS Neuron (Inferentia, Trainium)"
  std::vector<std::string> keys;  // of the id table: "aws"
  std::map<std::string, SupportRow> rows;
};

// The facts in the order of the page; a folder has all of them, once.
const std::vector<std::string>& SupportFacts();

// Errors say "agent/devices/groq/support.tsv:7: …".
struct Support {
  std::vector<SupportTable> tables;  // by folder
  std::vector<std::string> errors;
};
Support ReadSupport(const std::string& devices_folder);

// Markdown: vendor by fact, then a table for each vendor.
std::string SupportPage(const std::vector<SupportTable>& tables);

// Of a vendor by its key; empty rows if no folder has it, which is an error of its own.
const std::map<std::string, SupportRow>& SupportOf(const std::string& key);

}  // namespace allot::agent::kit
