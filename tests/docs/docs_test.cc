// Every command that README and docs tell people to type, typed (tests/docs/README.md).
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "common/config/convert.h"
#include "common/proto/config.pb.h"
#include "tests/integration/cluster_fixture.h"

namespace allot::testing {
namespace {

namespace fs = std::filesystem;

struct Block {
  std::string page;  // "docs/cli.md"
  int line = 0;
  std::vector<std::string> fence;  // words after the backquotes
  std::vector<std::string> lines;
  std::string place() const { return fmt::format("{}:{}", page, line); }
  bool is(std::string_view word) const { return !fence.empty() && fence[0] == word; }
};

std::vector<std::string> Words(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

std::vector<Block> BlocksOf(const std::string& page) {
  std::ifstream in(fs::path(ALLOT_SOURCE_DIR) / page);
  EXPECT_TRUE(in.good()) << page;
  std::vector<Block> blocks;
  bool open = false;
  int number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.starts_with("```")) {
      if (!open) blocks.push_back({page, number + 1, Words(line.substr(3)), {}});
      open = !open;
    } else if (open) {
      blocks.back().lines.push_back(line);
    }
  }
  EXPECT_FALSE(open) << page << ": a block without an end";
  return blocks;
}

std::vector<std::string> Pages() {
  const fs::path root = ALLOT_SOURCE_DIR;
  std::vector<std::string> pages = {"README.md", "CONTRIBUTING.md"};
  for (const char* folder : {"docs", "examples"}) {
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      if (entry.path().extension() == ".md" &&
          entry.path().string().find("/adr/") == std::string::npos)
        pages.push_back(fs::relative(entry.path(), root).string());
    }
  }
  std::sort(pages.begin(), pages.end());
  return pages;
}

std::vector<Block> AllBlocks() {
  std::vector<Block> all;
  for (const std::string& page : Pages()) {
    std::vector<Block> blocks = BlocksOf(page);
    all.insert(all.end(), std::make_move_iterator(blocks.begin()),
               std::make_move_iterator(blocks.end()));
  }
  return all;
}

// A checkout as far as commands reach into it, with this build as every build.
class FreshFolder {
 public:
  FreshFolder() {
    std::string pattern = (fs::temp_directory_path() / "allot-docs-XXXXXX").string();
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
    const fs::path root = ALLOT_SOURCE_DIR;
    for (const char* name : {"examples", "policies", "scripts", "dashboards", "docs"})
      fs::create_directory_symlink(root / name, path_ / name);
    fs::create_directories(path_ / "tests/machines");
    for (const auto& machine : fs::directory_iterator(root / "tests/machines"))
      fs::create_symlink(machine.path(), path_ / "tests/machines" / machine.path().filename());
    for (const char* preset : {"dev", "release"}) {
      fs::create_directories(path_ / "build" / preset);
      fs::create_directory_symlink(fs::path(ALLOT_BINARY_DIR) / "bin",
                                   path_ / "build" / preset / "bin");
    }
  }
  ~FreshFolder() {
    RunProgram(Program("allot"), {"local", "down"}, {}, path_);
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  std::string path() const { return path_; }

 private:
  fs::path path_;
};

class Page : public ::testing::TestWithParam<std::string> {};

TEST_P(Page, EveryCommandWorksWhenItIsPasted) {
  std::string script =
      "set -eEuo pipefail\n"
      "trap 'echo \"$place: $BASH_COMMAND: exit code $?\" >&2' ERR\n";
  bool any = false;
  for (const Block& block : BlocksOf(GetParam())) {
    if (!block.is("sh") || block.fence.size() != 1) continue;
    any = true;
    script += "place='" + block.place() + "'\n";
    for (const std::string& line : block.lines) script += line + "\n";
  }
  if (!any) return;
  const FreshFolder folder;
  std::ofstream(folder.path() + "/page.sh") << script;
  const CommandResult result =
      RunProgram("/bin/bash", {"page.sh"},
                 {"ALLOT_SERVER=", "ALLOT_TOKEN=",
                  fmt::format("PATH={}/bin:{}", ALLOT_BINARY_DIR, std::getenv("PATH"))},
                 folder.path());
  EXPECT_EQ(result.code, 0) << result.err << "\n--- output:\n" << result.out;
}

INSTANTIATE_TEST_SUITE_P(Docs, Page, ::testing::ValuesIn(Pages()), [](const auto& info) {
  std::string name = info.param;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !std::isalnum(c); }, '_');
  return name;
});

// The program a line begins with, after assignments; empty if it is none of ours.
std::string ProgramOf(const std::vector<std::string>& words, size_t* at) {
  for (*at = 0; *at < words.size(); ++*at) {
    const std::string& word = words[*at];
    if (word == "$" || (word.find('=') != std::string::npos && word[0] != '-' && word[0] != '/'))
      continue;
    const std::string name = fs::path(word).filename();
    const bool ours = word.starts_with("scripts/") || word.starts_with("build/") ||
                      name.starts_with("allot") || word.starts_with(".ci/");
    return ours ? word : "";
  }
  return "";
}

std::string Existing(const std::string& word) {
  if (word.starts_with("scripts/") || word.starts_with(".ci/"))
    return (fs::path(ALLOT_SOURCE_DIR) / word).string();
  return Program(fs::path(word).filename());
}

// What a program says of itself; of one whose help would be another's (GoogleTest's), nothing.
std::string HelpOf(const std::string& program, const std::vector<std::string>& commands) {
  std::vector<std::string> args = commands;
  args.push_back("--help");
  const CommandResult help = RunProgram(program, args, {}, "/");
  return help.code == 0 ? help.out + help.err : "";
}

TEST(Docs, CommandsThatAreNotRunNameProgramsAndFlagsThatAreThere) {
  for (const Block& block : AllBlocks()) {
    const bool checked = (block.is("sh") && block.fence.size() > 1) || block.is("console");
    for (std::string line : block.lines) {
      if (block.is("console") && !line.starts_with("$ ")) continue;
      if (const size_t comment = line.find("  #"); comment != std::string::npos)
        line.resize(comment);
      size_t at = 0;
      const std::vector<std::string> words = Words(line);
      const std::string word = ProgramOf(words, &at);
      if (word.empty()) continue;
      if (block.fence.empty()) {
        ADD_FAILURE() << block.place() << ": `" << line
                      << "` looks like a command; say after the fence what the block is";
        continue;
      }
      if (!checked) continue;
      const std::string program = Existing(word);
      const bool tests = fs::path(word).filename().string().starts_with("test_");
      if (tests) continue;  // Another test program of this build; the build knows its name.
      ASSERT_TRUE(fs::exists(program)) << block.place() << ": there is no " << word;
      const auto end = std::find(words.begin() + static_cast<long>(at), words.end(), "--");
      const bool flags = std::any_of(words.begin() + static_cast<long>(at), end,
                                     [](const auto& w) { return w.starts_with("--"); });
      if (!flags) continue;  // Not every script knows --help, and one that does not would run.
      std::vector<std::string> commands;
      for (size_t i = at + 1; i < words.size() && fs::path(word).filename() == "allot"; ++i) {
        // Before the command stand those that all commands share, each with its value.
        if (commands.empty() && words[i].starts_with("--") && words[i].find('=') == std::string::npos) {
          ++i;
          continue;
        }
        if (words[i].starts_with('-')) break;
        commands.push_back(words[i]);
        if (HelpOf(program, commands).empty()) {
          commands.pop_back();
          break;
        }
      }
      const std::string help = HelpOf(program, {}) + HelpOf(program, commands);
      for (size_t i = at + 1; i < words.size() && words[i] != "--"; ++i) {
        if (!words[i].starts_with("--")) continue;
        const std::string flag = words[i].substr(0, words[i].find_first_of("=;"));
        EXPECT_NE(help.find(flag), std::string::npos)
            << block.place() << ": " << word << " has no " << flag << "\n"
            << help;
      }
    }
  }
}

template <class File>
Status Bind(const std::string& text, const std::string& place) {
  File file;
  return config::BindYaml(text, place, &file);
}

// Parts of a program's file; what else it needs is put before them.
std::string WithNeeds(const std::string& kind, const std::string& text) {
  std::string before;
  const auto need = [&](std::string_view key, std::string_view value) {
    if (text.find(fmt::format("\n{}:", key)) == std::string::npos &&
        !text.starts_with(fmt::format("{}:", key)))
      before += fmt::format("{}: {}\n", key, value);
  };
  if (kind == "agent") {
    need("name", "n");
    need("state_dir", "s");
    need("scheduler", "tcp://h:1");
    need("scheduler_public_key", "k");
    need("key_file", "k");
  }
  return before + text;
}

TEST(Docs, FilesThatAreShownAreTakenByThePrograms) {
  for (const Block& block : AllBlocks()) {
    if (!block.is("yaml")) continue;
    ASSERT_EQ(block.fence.size(), 2u) << block.place() << ": which kind of file is it?";
    std::string text;
    for (const std::string& line : block.lines) text += line + "\n";
    const std::string& kind = block.fence[1];
    const std::string whole = WithNeeds(kind, text);
    const Status status = kind == "job"          ? Bind<config::Job>(whole, block.place())
                          : kind == "deployment" ? Bind<config::Deployment>(whole, block.place())
                          : kind == "policy"     ? Bind<config::Policy>(whole, block.place())
                          : kind == "agent"      ? Bind<config::Agent>(whole, block.place())
                          : kind == "scheduler"  ? Bind<config::Scheduler>(whole, block.place())
                          : kind == "gateway"    ? Bind<config::Gateway>(whole, block.place())
                                                 : InvalidArgument("no such kind: {}", kind);
    EXPECT_TRUE(status.ok()) << block.place() << ": " << MessageOf(status);
  }
}

}  // namespace
}  // namespace allot::testing
