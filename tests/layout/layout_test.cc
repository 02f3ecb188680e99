// DESIGN: dependencies point downwards. Each rule is a row; a new folder needs a row of its own.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace {

namespace fs = std::filesystem;

struct SourceFile {
  std::string path;  // from the repository's root
  std::vector<std::string> lines;
};

std::vector<SourceFile> SourceFiles() {
  std::vector<SourceFile> files;
  const fs::path root = ALLOT_SOURCE_DIR;
  for (const char* folder : {"common", "policies", "scheduler", "agent", "gateway", "simulator",
                             "client", "examples", "tests", "benchmarks"}) {
    if (!fs::exists(root / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension();
      if (extension != ".h" && extension != ".cc" && extension != ".c") continue;
      SourceFile file{fs::relative(entry.path(), root).generic_string(), {}};
      std::ifstream in(entry.path());
      for (std::string line; std::getline(in, line);) file.lines.push_back(line);
      files.push_back(std::move(file));
    }
  }
  return files;
}

bool StartsWithAny(const std::string& text, const std::vector<std::string>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](const std::string& p) { return text.starts_with(p); });
}

// What a folder may include of the project. The longest prefix that fits a file decides.
struct Room {
  std::string prefix;
  std::vector<std::string> may_include;
};
const std::vector<Room> kRooms = {
    {"common/base/", {"common/base/"}},
    {"common/model/", {"common/base/", "common/model/"}},
    {"common/", {"common/"}},
    {"policies/", {"common/base/", "common/model/", "policies/"}},
    {"scheduler/core/", {"common/base/", "common/model/", "policies/", "scheduler/core/"}},
    {"scheduler/router/", {"common/base/", "common/model/", "policies/", "scheduler/router/"}},
    {"scheduler/shell/", {"common/", "policies/", "scheduler/core/", "scheduler/shell/"}},
    {"scheduler/main.cc", {"common/", "scheduler/shell/", "scheduler/store_commands.h", "gateway/"}},
    {"scheduler/store_commands", {"common/", "scheduler/shell/", "scheduler/store_commands.h"}},
    {"gateway/", {"common/", "policies/", "scheduler/router/", "gateway/"}},
    {"agent/core/", {"common/base/", "common/model/", "agent/core/"}},
    {"agent/supervisor/", {"agent/supervisor/"}},
    {"agent/", {"common/", "agent/"}},
    {"simulator/",
     {"common/base/", "common/model/", "policies/", "scheduler/core/", "scheduler/router/",
      "agent/core/", "simulator/"}},
    {"simulator/main.cc", {"common/program/", "simulator/"}},
    {"client/", {"common/", "policies/api/", "client/"}},
    {"examples/", {"common/base/", "common/http/", "common/json/", "examples/"}},
};

TEST(Layout, DependenciesPointDownwards) {
  const std::regex include("^\\s*#include \"([^\"]+)\"");
  for (const SourceFile& file : SourceFiles()) {
    if (file.path.starts_with("tests/") || file.path.starts_with("benchmarks/")) continue;
    const Room* room = nullptr;
    for (const Room& candidate : kRooms)
      if (file.path.starts_with(candidate.prefix) &&
          (room == nullptr || candidate.prefix.size() > room->prefix.size()))
        room = &candidate;
    ASSERT_NE(room, nullptr) << file.path << ": no rule for its folder";
    for (const std::string& line : file.lines) {
      std::smatch match;
      if (!std::regex_search(line, match, include)) continue;
      const std::string target = match[1];
      const bool of_project =
          StartsWithAny(target, {"common/", "policies/", "scheduler/", "agent/", "gateway/",
                                 "simulator/", "client/", "examples/", "tests/", "benchmarks/"});
      if (of_project) {
        EXPECT_TRUE(StartsWithAny(target, room->may_include))
            << file.path << " must not include " << target;
      }
    }
  }
}

TEST(Layout, CoresAndPoliciesTouchNothingOutside) {
  const std::regex header(
      R"(^\s*#include [<"](sys/|netinet/|arpa/|unistd\.h|fcntl\.h|poll\.h|fstream|iostream|filesystem|thread|mutex|shared_mutex|atomic|condition_variable|future|random|ctime|time\.h|zmq|prometheus|boost/|google/|sqlite3|yaml-cpp|spdlog))");
  const std::regex token(
      R"(\b(steady_clock|system_clock|high_resolution_clock|random_device|getenv|gettimeofday|clock_gettime)\b)");
  for (const SourceFile& file : SourceFiles()) {
    if (!StartsWithAny(file.path,
                       {"scheduler/core/", "scheduler/router/", "agent/core/", "policies/"}))
      continue;
    for (size_t n = 0; n < file.lines.size(); ++n) {
      EXPECT_FALSE(std::regex_search(file.lines[n], header))
          << file.path << ":" << n + 1 << ": " << file.lines[n];
      EXPECT_FALSE(std::regex_search(file.lines[n], token))
          << file.path << ":" << n + 1 << ": " << file.lines[n];
    }
  }
}

TEST(Layout, EachOutsideLibraryHasOneHome) {
  struct Home {
    const char* header;
    std::vector<std::string> folders;
  };
  const std::vector<Home> homes = {
      {R"([<"]zmq)", {"common/transport/", "tests/unit/transport/"}},
      {R"([<"]prometheus/)", {"common/metrics/"}},
      {R"(<boost/beast)", {"common/http/", "common/asio/"}},
      {R"(<boost/asio/ssl)", {"common/http/", "common/asio/", "tests/tls/"}},
      {R"(<yaml-cpp/)", {"common/config/"}},
      {R"(<sqlite3)", {"scheduler/shell/", "tests/unit/scheduler_shell/"}},
      {R"(<hwloc)", {"agent/devices/cpu/"}},
      {R"([<"]nvml)", {"agent/devices/nvidia/"}},
  };
  for (const Home& home : homes) {
    const std::regex include(std::string("^\\s*#include ") + home.header);
    for (const SourceFile& file : SourceFiles()) {
      if (StartsWithAny(file.path, home.folders)) continue;
      for (const std::string& line : file.lines) {
        if (line.find("#include") == std::string::npos) continue;
        EXPECT_FALSE(std::regex_search(line, include)) << file.path << ": " << line;
      }
    }
  }
}

// Why: see common/base/thread.h. asio starts a thread of its own at the first lookup.
TEST(Layout, ThreadsAreStartedWithoutSignals) {
  const std::regex otherwise(
      R"(std::(jthread|async)\b|\bstd::thread\s*\w*[({]|thread_?[({]\[|threads?\.emplace_back)");
  for (const SourceFile& file : SourceFiles()) {
    if (StartsWithAny(file.path, {"tests/", "common/base/thread.h"})) continue;
    const auto has = [&file](const char* word) {
      return std::any_of(file.lines.begin(), file.lines.end(), [word](const std::string& l) {
        return l.find(word) != std::string::npos;
      });
    };
    EXPECT_TRUE(!has("async_resolve") || has("SignalsBlocked")) << file.path;
    for (size_t n = 0; n < file.lines.size(); ++n) {
      if (file.lines[n].find("std::") == std::string::npos &&
          file.lines[n].find("thread") == std::string::npos)
        continue;
      EXPECT_FALSE(std::regex_search(file.lines[n], otherwise))
          << file.path << ":" << n + 1 << ": " << file.lines[n];
    }
  }
}

TEST(Layout, NoFileHasGrownPastWhatOneCanHoldInMind) {
  constexpr size_t kLinesMax = 700;
  for (const SourceFile& file : SourceFiles())
    EXPECT_LE(file.lines.size(), kLinesMax) << file.path << ": split it along its ideas";
}

TEST(Layout, TestsDoNotSleepAndNothingIsSkipped) {
  const std::regex sleeping(R"(\b(sleep_for|sleep_until|usleep|nanosleep)\s*\()"),
      skipped(R"(\b(GTEST_)"
              R"(SKIP|DISABLED_))");
  for (const SourceFile& file : SourceFiles()) {
    if (!file.path.starts_with("tests/") || file.path.starts_with("tests/layout/")) continue;
    for (size_t n = 0; n < file.lines.size(); ++n) {
      EXPECT_FALSE(std::regex_search(file.lines[n], sleeping)) << file.path << ":" << n + 1;
      EXPECT_FALSE(std::regex_search(file.lines[n], skipped)) << file.path << ":" << n + 1;
    }
  }
}

std::string Page(const fs::path& page) {
  std::ifstream in(fs::path(ALLOT_SOURCE_DIR) / page);
  return {std::istreambuf_iterator<char>(in), {}};
}

// "Suite.Name" of every test there is.
std::set<std::string> TestNames() {
  const std::regex test(R"(^\s*TEST(_F|_P)?\((\w+), ?(\w+)\))"), begins(R"(^\s*TEST(_F|_P)?\((\w+),\s*$)"),
      goes_on(R"(^\s*(\w+)\))");
  std::set<std::string> names;
  for (const SourceFile& file : SourceFiles()) {
    if (!file.path.starts_with("tests/")) continue;
    for (size_t n = 0; n < file.lines.size(); ++n) {
      std::smatch found, rest;
      if (std::regex_search(file.lines[n], found, test)) {
        names.insert(found.str(2) + "." + found.str(3));
      } else if (std::regex_search(file.lines[n], found, begins) && n + 1 < file.lines.size() &&
                 std::regex_search(file.lines[n + 1], rest, goes_on)) {
        names.insert(found.str(2) + "." + rest.str(1));
      }
    }
  }
  return names;
}

std::vector<std::string> TestsNamedIn(const std::string& text) {
  const std::regex name(R"(`([A-Z]\w*\.[A-Z]\w*)`)");
  std::vector<std::string> names;
  for (std::sregex_iterator it(text.begin(), text.end(), name), end; it != end; ++it)
    names.push_back(it->str(1));
  return names;
}

TEST(SecurityPage, NamesTestsThatThereAre) {
  const std::set<std::string> there = TestNames();
  ASSERT_GT(there.size(), 1000u);
  for (const char* page : {"docs/security.md", "docs/adr/0026-who-may-for-how-long-and-who-did.md"}) {
    const std::vector<std::string> named = TestsNamedIn(Page(page));
    EXPECT_FALSE(named.empty()) << page;
    for (const std::string& name : named)
      EXPECT_TRUE(there.contains(name)) << page << " names " << name << ", which is no test";
  }
}

TEST(SecurityPage, HasATestForEachClassOfTrouble) {
  const std::string page = Page("docs/security.md");
  const size_t begin = page.find("## Classes of trouble");
  ASSERT_NE(begin, std::string::npos);
  std::istringstream lines(page.substr(begin, page.find("\n## ", begin + 1) - begin));
  size_t rows = 0;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("| ") || line.starts_with("| class")) continue;
    ++rows;
    EXPECT_FALSE(TestsNamedIn(line).empty()) << line;
  }
  EXPECT_EQ(rows, 14u);
}

// Whoever fetches for others fetches what they may not. Only those call out over HTTP who talk to
// model servers and endpoints that an operator declared, and clients.
TEST(Layout, NothingIsFetchedForOthers) {
  const std::vector<std::string> callers = {"agent/shell/", "agent/runtime/", "agent/devices/endpoint/",
                                            "client/",      "common/http/",   "examples/",
                                            "benchmarks/",  "tests/"};
  const std::regex client(R"(#include "common/http/(blocking_)?client\.h")"),
      program(R"re("(/\w+)*(curl|wget|git|ftp|scp|rsync)")re");
  for (const SourceFile& file : SourceFiles()) {
    if (file.path.starts_with("tests/")) continue;
    for (const std::string& line : file.lines) {
      EXPECT_TRUE(StartsWithAny(file.path, callers) || !std::regex_search(line, client))
          << file.path << " calls out";
      EXPECT_FALSE(std::regex_search(line, program)) << file.path << ": " << line;
    }
  }
}

// A library is of the vendor's folder that knows its name, and no word of a config or a task.
TEST(Layout, LibrariesAreOpenedInOnePlace) {
  for (const SourceFile& file : SourceFiles()) {
    if (StartsWithAny(file.path, {"agent/devices/host/library.", "tests/"})) continue;
    for (const std::string& line : file.lines)
      EXPECT_TRUE(line.find("dlopen(") == std::string::npos &&
                  line.find("dlmopen(") == std::string::npos)
          << file.path << ": " << line;
  }
}

// What is built is this repository and what the distribution has signed.
TEST(Layout, ABuildFetchesNothing) {
  const fs::path root = ALLOT_SOURCE_DIR;
  EXPECT_FALSE(fs::exists(root / ".gitmodules"));
  const std::regex fetches(R"(FetchContent|ExternalProject|file\s*\(\s*DOWNLOAD|CPMAddPackage)",
                           std::regex::icase);
  size_t files = 0;
  for (const char* folder : {"cmake", "common", "policies", "scheduler", "agent", "gateway",
                             "simulator", "client", "examples", "packaging", "tests", "benchmarks"})
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      if (entry.path().filename() != "CMakeLists.txt" && entry.path().extension() != ".cmake")
        continue;
      ++files;
      const std::string text = Page(fs::relative(entry.path(), root));
      EXPECT_FALSE(std::regex_search(text, fetches)) << entry.path();
    }
  EXPECT_GT(files, 50u);
  EXPECT_FALSE(std::regex_search(Page("CMakeLists.txt"), fetches));
}

}  // namespace
