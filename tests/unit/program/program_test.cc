#include "common/program/program.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "CLI/CLI.hpp"
#include "common/base/address.h"
#include "common/program/addresses.h"
#include "common/program/arguments.h"
#include "common/program/own_address.h"
#include "common/proto/wire.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace allot::program {
namespace {

// How the program ends, and what it says.
std::pair<std::optional<int>, std::string> Told(std::vector<std::string> words) {
  CLI::App app("Does something.", "allot-thing");
  std::string file;
  app.add_option("--config,-c", file, "the config file")->required();
  std::string name = "allot-thing";
  std::vector<char*> argv{name.data()};
  for (std::string& word : words) argv.push_back(word.data());
  ::testing::internal::CaptureStderr();
  const auto ends = ParseArguments(app, static_cast<int>(argv.size()), argv.data());
  return {ends, ::testing::internal::GetCapturedStderr()};
}

TEST(Arguments, WhatIsWrongIsNamedWithTheProgram) {
  EXPECT_EQ(Told({"-c", "x.yaml"}).first, std::nullopt);
  const std::string more = "\n  `allot-thing --help` lists what it takes\n";
  const std::pair<std::vector<std::string>, std::string> cases[] = {
      {{}, "allot-thing: --config is required"},
      {{"--confg=x.yaml"}, "allot-thing: there is no flag --confg; did you mean --config?"},
      {{"--nope"}, "allot-thing: there is no flag --nope"},
      {{"-c", "x.yaml", "y.yaml"}, "allot-thing: there is no place for \"y.yaml\""},
      {{"-c"}, "allot-thing: --config: 1 required TEXT missing"},
  };
  for (const auto& [words, says] : cases) {
    const auto [ends, told] = Told(words);
    EXPECT_EQ(ends, 2) << says;
    EXPECT_EQ(told, says + more);
  }
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(Told({"--help"}).first, 0);
  EXPECT_THAT(::testing::internal::GetCapturedStdout(), ::testing::HasSubstr("Does something."));
}

TEST(Complain, TextFromOutsideSteersNoTerminal) {
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(Complain("allot-thing", NotFound("no file \x1b[2J\u202e\xff")), 4);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            "allot-thing: no file \\u001b[2J\\u202e\uFFFD\n");
}

TEST(Logging, WhatAStrangerSendsDoesNotFillTheLog) {
  wire::LinkHello hello;
  const std::string not_utf8("\x0a\x02\xff\xfe", 4);
  ::testing::internal::CaptureStderr();
  EXPECT_FALSE(hello.ParseFromString(not_utf8));
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), ::testing::HasSubstr("UTF-8"))
      << "Protobuf is silent by itself; then StartLogging need not make it so";
  StartLogging("test", {});
  ::testing::internal::CaptureStderr();
  EXPECT_FALSE(hello.ParseFromString(not_utf8));
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST(ExitCode, EachKindOfTroubleHasItsOwn) {
  EXPECT_EQ(ExitCodeOf(absl::OkStatus()), 0);
  EXPECT_EQ(ExitCodeOf(Internal("x")), 1);
  EXPECT_EQ(ExitCodeOf(InvalidArgument("x")), 2);
  EXPECT_EQ(ExitCodeOf(PermissionDenied("x")), 3);
  EXPECT_EQ(ExitCodeOf(NotFound("x")), 4);
  EXPECT_EQ(ExitCodeOf(Unavailable("x")), 5);
  EXPECT_EQ(ExitCodeOf(FailedPrecondition("x")), 5);
  EXPECT_EQ(ExitCodeOf(DeadlineExceeded("x")), 6);
}

class Addresses : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "/allot-program-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string Text(const std::filesystem::path& path) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  std::filesystem::path folder_;
};

TEST_F(Addresses, AreThereWholeAndOnlyWhileTheProgramRuns) {
  const std::filesystem::path state = folder_ / "a" / "state", path = state / "addresses.yaml";
  {
    const auto file = AddressesFile::Write(state, {{"http", "[::1]:80"}, {"public_key", "#k"}});
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_EQ(Text(path),
              fmt::format("pid: {}\nhttp: \"[::1]:80\"\npublic_key: \"#k\"\n", getpid()));
  }
  EXPECT_TRUE(std::filesystem::is_empty(state));
}

TEST_F(Addresses, AFolderThatCannotBeIsRefused) {
  std::ofstream(folder_ / "file") << "x";
  const auto file = AddressesFile::Write(folder_ / "file" / "state", {});
  EXPECT_EQ(file.status().code(), StatusCode::kPermissionDenied);
  EXPECT_THAT(MessageOf(file.status()), ::testing::HasSubstr("state_dir"));
}

TEST(OwnAddress, OfNoSchedulerIsAnError) {
  EXPECT_TRUE(absl::IsInvalidArgument(AddressTowards("7400").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(AddressTowards("").status()));
  EXPECT_TRUE(absl::IsUnavailable(AddressTowards("tcp://no-such-host.invalid:1").status()));
}

TEST(OwnAddress, IsLoopbackOnlyWhereThereIsNoOther) {
  char name[256] = "";
  gethostname(name, sizeof name - 1);
  const bool alone = OwnAddress() == name;  // No interface but loopback.
  for (const char* here : {"tcp://127.0.0.1:7400", "tcp://127.0.1.1:7400", "tcp://localhost:7400"})
    EXPECT_EQ(*AddressTowards(here), alone ? "127.0.0.1" : OwnAddress());
}

TEST(OwnAddress, IsOneThatCanBeTold) {
  const std::string own = OwnAddress();
  EXPECT_FALSE(own.empty());
  EXPECT_FALSE(IsWildcardHost(own)) << own;
}

}  // namespace
}  // namespace allot::program
