// Every file of tests/scenario/router is one test. ALLOT_UPDATE=1 writes what came out into it.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "gtest/gtest.h"
#include "tests/unit/router/world.h"

namespace allot::router {
namespace {

namespace fs = std::filesystem;

fs::path Folder() { return fs::path(ALLOT_SOURCE_DIR) / "tests" / "scenario" / "router"; }

std::vector<std::string> Scenarios() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(Folder()))
    if (entry.path().extension() == ".txt") names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

// Blocks of lines, "----", what must come out; a blank line ends a block.
std::string Play(std::istream& in) {
  World world;
  std::string out, input, line;
  bool answering = false;
  const auto flush = [&] {
    if (!input.empty()) out += input + "----\n" + world.Run(input) + "\n";
    input.clear();
  };
  while (std::getline(in, line)) {
    if (line == "----") {
      answering = true;
    } else if (line.empty()) {
      if (answering) flush();
      answering = false;
    } else if (!answering) {
      input += line + "\n";
    }
  }
  flush();
  if (!out.empty()) out.pop_back();  // The last blank line.
  return out;
}

class RouterScenario : public ::testing::TestWithParam<std::string> {};

TEST_P(RouterScenario, PlaysAsWritten) {
  const fs::path file = Folder() / (GetParam() + ".txt");
  std::ifstream in(file);
  ASSERT_TRUE(in) << file;
  std::stringstream text;
  text << in.rdbuf();
  const std::string out = Play(text);
  EXPECT_EQ(out.find("BROKEN"), std::string::npos) << out;
  if (std::getenv("ALLOT_UPDATE") != nullptr) {
    std::ofstream(file) << out;
    return;
  }
  EXPECT_EQ(out, text.str()) << "run with ALLOT_UPDATE=1 to rewrite " << file;
}

INSTANTIATE_TEST_SUITE_P(Files, RouterScenario, ::testing::ValuesIn(Scenarios()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace allot::router
