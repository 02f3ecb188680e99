#include "agent/devices/host/tool.h"

#include <filesystem>
#include <thread>

#include <gtest/gtest.h>

#include "folder.h"

namespace allot::agent {
namespace {

namespace fs = std::filesystem;

// A tool of our own making.
std::string Script(Folder& folder, const std::string& text) {
  folder.Write("tool", "#!/bin/sh\n" + text + "\n");
  fs::permissions(folder.path() + "/tool", fs::perms::owner_all);
  return folder.path() + "/tool";
}

TEST(Tool, WhatItWritesIsTheAnswer) {
  Folder folder;
  const auto output = RunTool(*Host::Live(), {Script(folder, "echo \"$1 there\""), "hello"}, "");
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_EQ(*output, "hello there\n");
}

TEST(Tool, OneThatIsNotThereIsNoNews) {
  EXPECT_TRUE(absl::IsNotFound(RunTool(*Host::Live(), {"no-such-tool-anywhere"}, "").status()));
}

TEST(Tool, OneThatFailsSaysHow) {
  Folder folder;
  const Status status = RunTool(*Host::Live(), {Script(folder, "echo half; exit 3")}, "").status();
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_NE(MessageOf(status).find("exit status 3"), std::string::npos);
}

TEST(Tool, OneThatHangsIsEndedWithAllItStarted) {
  Folder folder;
  // The child writes its number, then both wait for ever.
  const std::string tool = Script(folder, "sleep 1000 & echo $! > " + folder.path() +
                                              "/child; echo $$ > " + folder.path() + "/self; wait");
  const Status status =
      RunTool(*Host::Live(), {tool}, "", {.deadline = std::chrono::milliseconds(500)}).status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(status));
  EXPECT_NE(MessageOf(status).find("going on without it"), std::string::npos);
  std::ifstream in(folder.path() + "/child");
  pid_t child = 0;
  in >> child;
  // Ended, if not yet collected by whoever inherits it. The signal takes its moment.
  const auto is_running = [&] {
    std::ifstream stat("/proc/" + std::to_string(child) + "/stat");
    std::string number, name, state;
    return bool(stat >> number >> name >> state) && state != "X" && state != "Z";
  };
  while (child != 0 && is_running()) std::this_thread::yield();
}

TEST(Tool, OneThatNeverStopsWritingIsEnded) {
  Folder folder;
  const Status status =
      RunTool(*Host::Live(), {Script(folder, "yes")}, "", {.output_max = 100000}).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
}

TEST(Tool, ARecordedMachineAnswersFromItsFilesIfAsked) {
  Folder machine;
  machine.Write("cli/sample.json", "[]");
  EXPECT_TRUE(absl::IsNotFound(RunTool(*machine.host(), {"tool"}, "sample.json").status()));
  const auto with_tools = *Host::Recorded(machine.path(), {.tools = true});
  EXPECT_EQ(*RunTool(*with_tools, {"tool"}, "sample.json"), "[]");
  EXPECT_TRUE(absl::IsNotFound(RunTool(*with_tools, {"tool"}, "other.json").status()));
}

}  // namespace
}  // namespace allot::agent
