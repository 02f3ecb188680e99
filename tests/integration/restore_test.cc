// Backup and restore on real programs, and a store that goes away under a scheduler.
#include <sys/stat.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>

#include "tests/integration/cluster_fixture.h"

namespace allot::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class Restore : public ClusterTest {
 protected:
  std::string store() const { return folder() + "/cluster/scheduler"; }
  std::string config() const { return store() + ".yaml"; }
  uint64_t NumberOf(const std::string& job) const { return std::stoull(job.substr(4)); }
  std::string Submit() { return Ok({"submit", "--", "/bin/true"}); }
};

TEST_F(Restore, NewJobsGetNewNumbers) {
  Up();
  const std::string running =
      Ok({"submit", "--grace", "1s", "--", "/usr/bin/tail", "-f", "/dev/null"});
  AwaitRunning(running);
  const std::string before = Submit();
  EXPECT_EQ(Allot({"wait", before}).code, 0);
  const std::string told =
      Ok({"backup", "--to", folder() + "/a.backup", "--config", config(), "--with-config"});
  EXPECT_THAT(told, HasSubstr("a.backup"));
  EXPECT_THAT(told, HasSubstr("scheduler.key"));
  std::vector<std::string> lost;
  for (int i = 0; i < 4; ++i) lost.push_back(Submit());
  for (const std::string& id : lost) EXPECT_EQ(Allot({"wait", id}).code, 0);

  const CommandResult over = Allot({"restore", folder() + "/a.backup", "--config", config()});
  EXPECT_EQ(over.code, 5) << over.err;
  EXPECT_THAT(over.err, HasSubstr("stop it first"));
  KillScheduler();
  const CommandResult restored = Allot({"restore", folder() + "/a.backup", "--store", store()});
  ASSERT_EQ(restored.code, 0) << restored.err;
  EXPECT_THAT(restored.out, HasSubstr("4 jobs that are newer are gone"));
  StartScheduler();
  // What was before is there, what came after is not, and its numbers are nobody's.
  EXPECT_EQ(Allot({"wait", before}).code, 0);
  EXPECT_EQ(Allot({"job", lost[0]}).code, 4);
  for (int i = 0; i < 4; ++i) EXPECT_GT(NumberOf(Submit()), NumberOf(lost.back()));
  // And after one more start.
  KillScheduler();
  StartScheduler();
  EXPECT_GT(NumberOf(Submit()), NumberOf(lost.back()) + 4);
}

TEST_F(Restore, WhatIsNoGoodIsRefusedWithWhatToDo) {
  Up();
  const std::string id = Submit();
  EXPECT_EQ(Allot({"wait", id}).code, 0);
  Ok({"backup", "--to", folder() + "/a.backup", "--store", store()});
  const CommandResult twice = Allot({"backup", "--to", folder() + "/a.backup", "--store", store()});
  EXPECT_NE(twice.code, 0);
  EXPECT_THAT(twice.err, HasSubstr("name another one"));
  KillScheduler();
  std::string bytes = Read("a.backup");
  bytes.replace(bytes.size() / 2, 80, 80, '\x5a');
  std::ofstream(folder() + "/bad.backup", std::ios::binary) << bytes;
  const CommandResult bad = Allot({"restore", folder() + "/bad.backup", "--store", store()});
  EXPECT_EQ(bad.code, 2) << bad.out;
  EXPECT_THAT(bad.err, HasSubstr("not a good backup"));
  const CommandResult none = Allot({"restore", "--store", store()});
  EXPECT_EQ(none.code, 2);
  EXPECT_THAT(none.err, HasSubstr("--accept"));
  StartScheduler();
  EXPECT_EQ(Allot({"wait", id}).code, 0);
}

// The way that was documented once: copy the file, put it back, remove the log.
TEST_F(Restore, ACopyPutBackByHandIsRefusedAndCanBeAccepted) {
  Up();
  EXPECT_EQ(Allot({"wait", Submit()}).code, 0);
  Ok({"backup", "--to", folder() + "/copy.db", "--store", store()});
  const std::string last = Submit();
  EXPECT_EQ(Allot({"wait", last}).code, 0);
  KillScheduler();
  for (const char* suffix : {"-wal", "-shm"}) fs::remove(store() + "/scheduler.db" + suffix);
  fs::copy_file(folder() + "/copy.db", store() + "/scheduler.db",
                fs::copy_options::overwrite_existing);
  const CommandResult started =
      RunProgram(Program("allot-scheduler"), {"--config", config()}, {}, folder());
  EXPECT_EQ(started.code, 1) << started.err;
  EXPECT_THAT(started.err, HasSubstr("allot restore --accept --store"));
  Ok({"restore", "--accept", "--store", store()});
  StartScheduler();
  EXPECT_GT(NumberOf(Submit()), NumberOf(last));
}

TEST_F(Restore, ASchedulerWhoseStoreIsRemovedStopsAndSaysSo) {
  Up();
  Submit();
  fs::rename(store() + "/scheduler.db", store() + "/gone.db");
  EXPECT_TRUE(Until([&] { return !fs::exists(store() + "/addresses.yaml"); }));
  EXPECT_TRUE(Until([&] {
    return Read("cluster/logs/scheduler.log").find("was removed while the scheduler ran") !=
           std::string::npos;
  }));
  EXPECT_NE(Allot({"--patience", "0", "submit", "--", "/bin/true"}).code, 0);
  fs::rename(store() + "/gone.db", store() + "/scheduler.db");
  StartScheduler();
  Submit();
}

}  // namespace
}  // namespace allot::testing
