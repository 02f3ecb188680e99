// Files on disk: paths in them, and files that cannot be read.
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "common/config/bind.h"
#include "common/proto/config.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace allot::config {
namespace {

class YamlFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "/allot-config-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string Write(const std::string& name, const std::string& text) {
    const std::string path = (folder_ / name).string();
    std::ofstream(path) << text;
    return path;
  }

  std::filesystem::path folder_;
};

using config::Scheduler;

TEST_F(YamlFile, MakesPathsAbsoluteFromTheFilesOwnFolder) {
  const std::string path = Write("s.yaml",
                                 "state_dir: state\nkey_file: ../keys/s.key\n"
                                 "allow_file: /etc/allow.yaml\nlisten: tcp://127.0.0.1:0\n"
                                 "policy_file: ./a//b.yaml\n");
  Scheduler scheduler;
  const Status status = LoadYamlFile(path, &scheduler);
  ASSERT_TRUE(status.ok()) << MessageOf(status);
  EXPECT_EQ(scheduler.state_dir(), (folder_ / "state").lexically_normal().string());
  EXPECT_EQ(scheduler.key_file(),
            (folder_.parent_path() / "keys/s.key").lexically_normal().string());
  EXPECT_EQ(scheduler.allow_file(), "/etc/allow.yaml");
  EXPECT_EQ(scheduler.policy_file(), (folder_ / "a/b.yaml").lexically_normal().string());
  EXPECT_EQ(scheduler.listen(), "tcp://127.0.0.1:0");
  EXPECT_EQ(scheduler.tokens_file(), "");  // What is not there is not made a folder.
}

TEST_F(YamlFile, MakesPathsInListsAbsoluteToo) {
  const std::string path =
      Write("a.yaml",
            "name: n\nstate_dir: s\nscheduler: tcp://h:1\n"
            "scheduler_public_key: k\nkey_file: k\ncatalogue_files: [x.csv]\n");
  config::Agent agent;
  ASSERT_TRUE(LoadYamlFile(path, &agent).ok());
  EXPECT_EQ(agent.catalogue_files(0), (folder_ / "x.csv").lexically_normal().string());
}

TEST_F(YamlFile, NamesTheFileAsItWasGiven) {
  const std::string path = Write("s.yaml", "key_fil: a\n");
  Scheduler scheduler;
  EXPECT_THAT(MessageOf(LoadYamlFile(path, &scheduler)),
              testing::StartsWith(path + ":1:1: unknown key \"key_fil\" in Scheduler; did you mean "
                                         "\"key_file\"?\n"));
}

TEST_F(YamlFile, SaysWhyAFileCannotBeRead) {
  Scheduler scheduler;
  const std::string missing = (folder_ / "none.yaml").string();
  const Status status = LoadYamlFile(missing, &scheduler);
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_EQ(MessageOf(status), missing + ": no such file");
  EXPECT_EQ(MessageOf(LoadYamlFile(folder_.string(), &scheduler)),
            folder_.string() + ": is a folder; a file is wanted");
  EXPECT_THAT(MessageOf(LoadYamlFile("/dev/zero", &scheduler)),
              testing::HasSubstr("over 4194304 bytes"));
}

}  // namespace
}  // namespace allot::config
