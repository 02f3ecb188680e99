#include "common/audit/audit.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "common/audit/settings.h"
#include "common/base/utc.h"
#include "common/json/json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/log_kept.h"

namespace allot::audit {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

class Audit : public ::testing::Test {
 protected:
  Audit() {
    std::string folder = (fs::temp_directory_path() / "allot-test-XXXXXX").string();
    EXPECT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
  }
  ~Audit() override { fs::remove_all(folder_); }

  std::string File(const std::string& name = "audit.jsonl") const { return folder_ + "/" + name; }
  static std::vector<std::string> LinesOf(const std::string& path) {
    std::ifstream in(path);
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }
  std::unique_ptr<Log> Open(Log::Options options) {
    if (options.file.empty()) options.file = File();
    options.now = [this] { return now_; };
    options.passed = [this] { return passed_; };
    auto log = Log::Open(std::move(options));
    EXPECT_TRUE(log.ok()) << log.status();
    return log.ok() ? *std::move(log) : nullptr;
  }

  std::string folder_;
  Time now_ = *ParseUtc("2027-01-31T18:00:00Z");
  Duration passed_ = std::chrono::hours(1);
};

TEST_F(Audit, ALineSaysWhoWhenceWhatAndTheVerdict) {
  EXPECT_EQ(Line({.who = "ada",
                  .role = "user",
                  .tenant = "red",
                  .from = "10.0.0.7",
                  .verb = "DELETE /v1/jobs/job-3",
                  .allowed = false,
                  .code = 404,
                  .why = "there is no job-3"},
                 now_, 2),
            R"({"time":"2027-01-31T18:00:00Z","who":"ada","role":"user","tenant":"red",)"
            R"("from":"10.0.0.7","verb":"DELETE /v1/jobs/job-3","verdict":"refused","code":404,)"
            R"("why":"there is no job-3","left_out":2})");
}

TEST_F(Audit, TextFromOutsideStaysWithinItsField) {
  const std::string nasty =
      "/v1/jobs/\"},{\"who\":\"root\"\n\x1b[2J\xff" + std::string(100'000, 'x');
  const std::string line =
      Line({.who = nasty, .verb = nasty, .what = nasty, .why = nasty}, now_, 0);
  EXPECT_LT(line.size(), 2'000u);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_EQ(line.find('\x1b'), std::string::npos);
  const json::value parsed = json::parse(line);
  EXPECT_THAT(std::string(parsed.at("what").as_string()), HasSubstr("\"},{\"who\":\"root\""));
  EXPECT_EQ(parsed.at("verdict").as_string(), "allowed");
}

TEST_F(Audit, IsAppendedToAndNobodyElsesToRead) {
  std::ofstream(File()) << "{\"half\":";  // whoever wrote before was killed
  {
    const auto log = Open({});
    log->Note({.who = "ada", .verb = "one"});
    log->Flush();
    log->Note({.who = "ada", .verb = "two"});
  }
  EXPECT_TRUE(NoteOnce(File(), {.who = "root", .verb = "backup"}).ok());
  const auto lines = LinesOf(File());
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[0], "{\"half\":");
  EXPECT_THAT(lines[1], HasSubstr("one"));
  EXPECT_THAT(lines[2], HasSubstr("two"));
  EXPECT_THAT(lines[3], HasSubstr("backup"));
  const auto fresh = Open({.file = File("fresh")});
  fresh->Note({.verb = "x"});
  fresh->Flush();
  struct stat info {};
  ASSERT_EQ(::stat(File("fresh").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(Audit, FullFilesAreKeptInNumber) {
  const auto log = Open({.size_max = 1'000, .files = 3});
  for (int i = 0; i < 100; ++i) log->Note({.who = "ada", .verb = "change " + std::to_string(i)});
  log->Flush();
  EXPECT_EQ(log->counters().written, 100u);
  size_t lines = 0;
  for (const std::string& name : {File(), File() + ".1", File() + ".2"}) {
    EXPECT_LE(fs::file_size(name), 1'000u) << name;
    lines += LinesOf(name).size();
    for (const std::string& line : LinesOf(name)) EXPECT_EQ(line.back(), '}') << name;
  }
  EXPECT_FALSE(fs::exists(File() + ".3"));
  EXPECT_THAT(LinesOf(File()).back(), HasSubstr("change 99"));
  EXPECT_GT(lines, 20u);
}

TEST_F(Audit, WhoeverMovesTheFileAwayGetsANewOne) {
  const auto log = Open({});
  log->Note({.verb = "one"});
  log->Flush();
  fs::rename(File(), File("moved"));
  log->Note({.verb = "two"});
  log->Flush();
  EXPECT_THAT(LinesOf(File("moved")), ::testing::ElementsAre(HasSubstr("one")));
  EXPECT_THAT(LinesOf(File()), ::testing::ElementsAre(HasSubstr("two")));
}

TEST_F(Audit, NobodyPushesOthersOutByBeingRefused) {
  const auto log = Open({});
  for (int i = 0; i < 10'000; ++i) log->Note({.from = "6.6.6.6", .verb = "x", .allowed = false});
  log->Note({.who = "ada", .verb = "first", .allowed = false});  // has a budget of her own
  for (int i = 0; i < 200; ++i)
    log->Note({.who = "ada", .verb = "change"});  // and changes have none
  // A clock that is set back holds nothing up.
  now_ -= std::chrono::hours(24 * 400);
  passed_ += std::chrono::seconds(10);
  log->Note({.from = "6.6.6.6", .verb = "later", .allowed = false});
  log->Flush();
  const auto lines = LinesOf(File());
  EXPECT_EQ(lines.size(), static_cast<size_t>(limits::kAuditRefusalsBurst.value) + 202);
  EXPECT_THAT(lines.back(), HasSubstr(fmt::format("\"left_out\":{}",
                                                  10'000 - limits::kAuditRefusalsBurst.value)));
  EXPECT_EQ(log->counters().left_out,
            static_cast<uint64_t>(10'000 - limits::kAuditRefusalsBurst.value));
}

// A limit of this process on files' sizes stands for a full disk.
TEST_F(Audit, AFullDiskStopsNobodyAndIsSaid) {
  LogKept said;
  const auto log = Open({});
  log->Note({.verb = "before"});
  log->Flush();
  rlimit was{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &was), 0);
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  const rlimit full{fs::file_size(File()) + 10, was.rlim_max};  // the next line fits by half
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &full), 0);
  log->Note({.verb = "waits"});
  log->Flush();
  EXPECT_TRUE(log->counters().failing);
  EXPECT_EQ(said.Count("the audit log cannot be written"), 1);
  const std::string text(200, 'x');
  size_t noted = 0;
  for (; log->counters().lost == 0; ++noted) {
    ASSERT_LT(noted, 100'000u);
    log->Note({.verb = "many", .what = text});
  }
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &was), 0);
  ::signal(SIGXFSZ, handler);
  log->Note({.verb = "after"});
  log->Flush();
  log->Flush();
  EXPECT_FALSE(log->counters().failing);
  EXPECT_EQ(said.Count("the audit log is written again"), 1);
  const auto lines = LinesOf(File());
  ASSERT_GT(lines.size(), 2u);
  EXPECT_THAT(lines[1], HasSubstr("\"verb\":\"waits\",\"verdict\":\"allowed\"}"));
  for (const std::string& line : lines) EXPECT_NO_THROW((void)json::parse(line)) << line;
  EXPECT_EQ(log->counters().written, lines.size());
}

TEST_F(Audit, WhatIsNoPlainFileIsRefused) {
  fs::create_directory(File("folder"));
  fs::create_symlink(File("target"), File("link"));
  ASSERT_EQ(::mkfifo(File("fifo").c_str(), 0600), 0);
  for (const char* name : {"folder", "link", "fifo", "none/audit"}) {
    const auto log = Log::Open({.file = File(name)});
    EXPECT_FALSE(log.ok()) << name;
    EXPECT_THAT(MessageOf(log.status()), HasSubstr(File(name)));
  }
  EXPECT_FALSE(fs::exists(File("target")));
}

TEST_F(Audit, StandsWhereTheConfigSays) {
  config::Audit config;
  EXPECT_EQ((*ToOptions(config, "/s/audit.jsonl"))->file, "/s/audit.jsonl");
  EXPECT_FALSE(ToOptions(config, "")->has_value());
  config.set_file("/elsewhere");
  config.set_size_max("1MiB");
  config.set_files(3);
  const auto options = ToOptions(config, "");
  EXPECT_EQ((*options)->file, "/elsewhere");
  EXPECT_EQ((*options)->size_max, 1 << 20);
  EXPECT_EQ((*options)->files, 3u);
  config.set_enabled(false);
  EXPECT_FALSE(ToOptions(config, "/s/audit.jsonl")->has_value());
}

}  // namespace
}  // namespace allot::audit
