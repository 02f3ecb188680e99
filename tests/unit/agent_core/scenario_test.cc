// Runs every file of tests/scenario/agent; ALLOT_UPDATE=1 in the environment rewrites the answers.
#include "tests/unit/agent_core/scenario.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "gtest/gtest.h"

namespace allot::agent {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> Files() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(ALLOT_SOURCE_DIR "/tests/scenario/agent"))
    if (entry.path().extension() == ".txt") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

class AgentScenario : public testing::TestWithParam<fs::path> {};

TEST_P(AgentScenario, AnswersAsWritten) {
  std::ifstream file(GetParam());
  std::stringstream text;
  text << file.rdbuf();
  const std::string fresh = RunScenarioFile(text.str());
  if (std::getenv("ALLOT_UPDATE") != nullptr) {
    std::ofstream(GetParam()) << fresh;
    return;
  }
  EXPECT_EQ(fresh, text.str()) << "ALLOT_UPDATE=1 rewrites " << GetParam();
}

INSTANTIATE_TEST_SUITE_P(Files, AgentScenario, testing::ValuesIn(Files()), [](const auto& info) {
  std::string name = info.param.stem().string();
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
});

}  // namespace
}  // namespace allot::agent
