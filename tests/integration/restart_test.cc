// kill -9 of the scheduler and of agents: nothing acknowledged is lost, nothing runs twice.
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <thread>

#include "client/local/processes.h"
#include "tests/integration/cluster_fixture.h"

namespace allot::testing {
namespace {

class Restart : public ClusterTest {
 protected:
  // A gang that runs until it is cancelled.
  client::JobView StartGang() {
    const std::string id =
        Ok({"submit", "--tasks", "2", "--grace", "1s", "--", "/usr/bin/tail", "-f", "/dev/null"});
    return AwaitRunning(id);
  }
  void ExpectSameProcesses(const client::JobView& before) {
    const client::JobView now = AwaitRunning(before.id);
    EXPECT_EQ(now.attempt, before.attempt);
    ASSERT_EQ(now.tasks.size(), before.tasks.size());
    for (size_t i = 0; i < now.tasks.size(); ++i) {
      EXPECT_EQ(now.tasks[i].pid, before.tasks[i].pid);
      EXPECT_TRUE(client::local::IsRunning(static_cast<pid_t>(now.tasks[i].pid)));
    }
  }
  int Lines(const std::string& file) const {
    const std::string text = Read(file);
    return static_cast<int>(std::count(text.begin(), text.end(), '\n'));
  }
};

TEST_F(Restart, TheSchedulersDeathLosesNoJobAndDoublesNone) {
  Up();
  const client::JobView gang = StartGang();
  std::vector<std::string> ids;
  for (int i = 0; i < 30; ++i) {
    const std::string mark = folder() + "/ran-" + std::to_string(i);
    ids.push_back(Ok({"submit", "--", "/bin/sh", "-c", "echo ran >> " + mark}));
    if (i == 10 || i == 20) {
      KillScheduler();
      StartScheduler();
    }
  }
  KillScheduler();
  StartScheduler();
  std::vector<std::string> wait = {"wait"};
  wait.insert(wait.end(), ids.begin(), ids.end());
  const CommandResult result = Allot(wait);
  EXPECT_EQ(result.code, 0) << result.out << result.err;
  for (int i = 0; i < 30; ++i) EXPECT_EQ(Lines("ran-" + std::to_string(i)), 1) << i;
  ExpectSameProcesses(gang);
}

TEST_F(Restart, TheAgentsDeathLeavesItsTasksRunning) {
  Up({{"one", true, {}}});
  const client::JobView gang = StartGang();
  KillAgent("one");
  for (const client::TaskView& task : gang.tasks)
    EXPECT_TRUE(client::local::IsRunning(static_cast<pid_t>(task.pid)));
  StartAgent("one");
  ExpectSameProcesses(gang);
  Ok({"cancel", gang.id});
  EXPECT_EQ(Allot({"wait", gang.id}).code, 130);
}

TEST_F(Restart, AnExitThatNoAgentSawIsReportedByTheNextOne) {
  Up({{"one", true, {}}});
  const std::string gate = folder() + "/gate";
  ASSERT_EQ(mkfifo(gate.c_str(), 0600), 0);
  const std::string id = Ok({"submit", "--", "/bin/sh", "-c",
                             "echo ran >> " + folder() + "/ran; read x < " + gate + "; exit 7"});
  const client::JobView job = AwaitRunning(id);
  KillAgent("one");
  std::ofstream(gate) << "go\n";
  ASSERT_TRUE(
      Until([&] { return !client::local::IsRunning(static_cast<pid_t>(job.tasks[0].pid)); }));
  StartAgent("one");
  EXPECT_EQ(Allot({"wait", id, "--timeout", "100s"}).code, 7);
  EXPECT_EQ(Lines("ran"), 1);
}

TEST_F(Restart, AWaitSurvivesTheScheduler) {
  Up();
  const std::string gate = folder() + "/gate";
  ASSERT_EQ(mkfifo(gate.c_str(), 0600), 0);
  const std::string id =
      Ok({"submit", "--", "/bin/sh", "-c", "echo begun; read x < " + gate + "; echo done; exit 3"});
  AwaitRunning(id);
  // Through a file, so that it can be seen that the follower is on.
  CommandResult followed;
  std::thread waiter([&] {
    followed =
        RunProgram("/bin/sh", {"-c", Program("allot") + " logs -f " + id + " > followed"},
                   {"ALLOT_SERVER=http://" + addresses().http, "ALLOT_TOKEN=" + token()}, folder());
  });
  EXPECT_TRUE(Until([&] { return Read("followed") == "begun\n"; }));
  KillScheduler();
  StartScheduler();
  std::ofstream(gate) << "go\n";
  EXPECT_EQ(Allot({"wait", id, "--timeout", "100s"}).code, 3);
  waiter.join();
  EXPECT_EQ(followed.code, 0) << followed.err;
  EXPECT_EQ(Read("followed"), "begun\ndone\n");
}

}  // namespace
}  // namespace allot::testing
