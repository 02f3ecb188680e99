// The whole store folder is put back to an earlier moment, by hand, while agents run newer work: the
// same numbers are given again, and nothing that was before passes for what they mean now (ADR 18).
#include <filesystem>

#include "client/local/processes.h"
#include "tests/integration/cluster_fixture.h"

namespace allot::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

namespace fs = std::filesystem;

class PutBack : public ClusterTest {
 protected:
  std::string Store() { return cluster().layout().SchedulerState(); }
  std::string Backup() { return folder() + "/backup"; }
  void CopyFolder(const std::string& from, const std::string& to) {
    fs::remove_all(to);
    fs::copy(from, to, fs::copy_options::recursive);
  }
  // Of a job whose log says so.
  std::string Say(const std::string& tenant, const std::string& script) {
    return Ok({"submit", "--tenant", tenant, "--cpus", "0.1", "--grace", "1s", "--", "/bin/sh", "-c",
               script});
  }
  pid_t PidOf(const std::string& id) {
    return static_cast<pid_t>(AwaitRunning(id).tasks.at(0).pid);
  }
};

TEST_F(PutBack, NoNumberThatIsGivenAgainFindsWhatItMeantBefore) {
  Up({{"one", true, {}}});
  const std::string kept = Say("a", "exec tail -f /dev/null");
  const pid_t kept_pid = PidOf(kept);
  KillScheduler();
  CopyFolder(Store(), Backup());
  StartScheduler();

  // Three jobs that the backup does not know: one runs, one has ended well, one has left a checkpoint.
  const std::string running = Say("a", "echo of a; exec tail -f /dev/null");
  const pid_t running_pid = PidOf(running);
  const std::string ended = Say("a", "echo of a; exit 0");
  const std::string marked = Say("a", "echo of a >$ALLOT_CHECKPOINT_DIR/mark");
  EXPECT_EQ(Allot({"wait", ended, marked}).code, 0);
  KillScheduler();
  CopyFolder(Backup(), Store());
  StartScheduler();

  // Another tenant's jobs get the same numbers.
  const std::string mark = folder() + "/ran";
  const std::string b1 = Say("b", "echo of b; touch " + mark + "1; exit 3");
  const std::string b2 = Say("b", "echo of b; touch " + mark + "2; exit 4");
  const std::string b3 = Say("b", "ls -A $ALLOT_CHECKPOINT_DIR; touch " + mark + "3; exit 5");
  EXPECT_EQ(b1, running) << "else this test tests nothing";
  EXPECT_EQ(Allot({"wait", b1}).code, 3) << "its own program ran, and ended as it does";
  EXPECT_EQ(Allot({"wait", b2}).code, 4);
  EXPECT_EQ(Allot({"wait", b3}).code, 5);
  for (const char* number : {"1", "2", "3"}) EXPECT_TRUE(fs::exists(mark + number)) << number;
  EXPECT_EQ(Ok({"logs", b1}), "of b");
  EXPECT_EQ(Ok({"logs", b2}), "of b");
  EXPECT_EQ(Ok({"logs", b3}), "") << "the checkpoint folder is its own, and empty";

  // What the store knows goes on, what it does not know ends, and both is said.
  EXPECT_EQ(PidOf(kept), kept_pid);
  EXPECT_TRUE(Until([&] { return !client::local::IsRunning(running_pid); }));
  EXPECT_TRUE(Until([&] {
    return Ok({"doctor"}).find("another life of the store") == std::string::npos;
  })) << Ok({"doctor"});
  const auto metrics = api().Fetch({.target = "/metrics"});
  ASSERT_TRUE(metrics.ok()) << metrics.status();
  EXPECT_THAT(*metrics, HasSubstr("allotrope_foreign_work_total 1"));
  EXPECT_THAT(Read(fs::relative(cluster().layout().LogOf("scheduler"), folder())),
              HasSubstr("work of another life of the store node=one"));
}

// As if the folder was lost: everything begins at 1, term and epochs too.
TEST_F(PutBack, AnEmptiedStoreIsObeyedAndKnowsNothing) {
  Up({{"one", true, {}}});
  const std::string lost = Say("a", "echo of a; exec tail -f /dev/null");
  const pid_t lost_pid = PidOf(lost);
  for (int i = 0; i < 3; ++i) {  // The next term is lower than what the agent has seen.
    KillScheduler();
    StartScheduler();
  }
  KillScheduler();
  for (const auto& entry : fs::directory_iterator(Store()))
    if (entry.path().filename().string().starts_with("scheduler.")) fs::remove(entry.path());
  StartScheduler();
  const std::string next = Say("b", "echo of b; exit 3");
  EXPECT_EQ(next, lost) << "else this test tests nothing";
  EXPECT_EQ(Allot({"wait", next, "--timeout", "100s"}).code, 3);
  EXPECT_EQ(Ok({"logs", next}), "of b");
  EXPECT_TRUE(Until([&] { return !client::local::IsRunning(lost_pid); }));
}

}  // namespace
}  // namespace allot::testing
