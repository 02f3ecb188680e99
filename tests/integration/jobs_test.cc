// Jobs from submission to logs, through the real programs.
#include "tests/integration/cluster_fixture.h"

namespace allot::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Jobs : public ClusterTest {
 protected:
  std::string Submit(const std::vector<std::string>& flags,
                     const std::vector<std::string>& command) {
    std::vector<std::string> args = {"submit"};
    args.insert(args.end(), flags.begin(), flags.end());
    args.emplace_back("--");
    args.insert(args.end(), command.begin(), command.end());
    return Ok(args);
  }
  int CodeOf(const std::string& id) { return Allot({"wait", id, "--timeout", "100s"}).code; }
};

TEST_F(Jobs, ASubmittedCommandRunsHereAndItsLogsStay) {
  Up();
  const std::string id = Submit({}, {"/bin/sh", "-c", "pwd; echo problem >&2; cat note"});
  EXPECT_EQ(id, "job-1");
  // The note may come late: the job must fail without it, and does.
  EXPECT_EQ(CodeOf(id), 1);
  Write("note", "remember\n");
  const std::string again =
      Submit({"--name", "reader"}, {"/bin/sh", "-c", "pwd; echo problem >&2; cat note"});
  EXPECT_EQ(CodeOf(again), 0);
  EXPECT_EQ(Ok({"logs", again}), folder() + "\nproblem\nremember");
  EXPECT_THAT(Ok({"jobs"}), HasSubstr("reader"));
  EXPECT_THAT(Ok({"job", again}), HasSubstr("succeeded"));
  EXPECT_THAT(Ok({"jobs", "--json"}), HasSubstr("\"version\":1"));
}

TEST_F(Jobs, TasksOfAGangKnowTheirRankTheirPeersAndTheirDevices) {
  Up();
  const std::string id =
      Submit({"--tasks", "2", "--device", "kind=GPU"},
             {"/bin/sh", "-c",
              "echo rank $RANK of $WORLD_SIZE at $MASTER_ADDR; test -n \"$MASTER_PORT\" && "
              "test -d \"$ALLOT_CHECKPOINT_DIR\" && test -n \"$CUDA_VISIBLE_DEVICES\""});
  EXPECT_EQ(CodeOf(id), 0) << Ok({"logs", id});
  const std::string logs = Ok({"logs", id});
  EXPECT_THAT(logs, HasSubstr("0: rank 0 of 2 at 127.0.0.1"));
  EXPECT_THAT(logs, HasSubstr("1: rank 1 of 2 at 127.0.0.1"));
  EXPECT_EQ(Ok({"logs", id, "--task", "1"}), "rank 1 of 2 at 127.0.0.1");
  const client::JobView job = Job(id);
  EXPECT_TRUE(job.emulated);
  ASSERT_EQ(job.tasks.size(), 2u);
  EXPECT_NE(job.tasks[0].devices.at(0).id, job.tasks[1].devices.at(0).id);
  EXPECT_THAT(Ok({"job", id}), HasSubstr("emulated"));
}

TEST_F(Jobs, WaitReturnsTheJobsCode) {
  Up();
  EXPECT_EQ(CodeOf(Submit({}, {"/bin/sh", "-c", "exit 3"})), 3);
  EXPECT_EQ(CodeOf(Submit({}, {"/bin/sh", "-c", "kill -9 $$"})), 137);
  const std::string missing = Submit({}, {"/no/such/program"});
  EXPECT_EQ(CodeOf(missing), 127);
  EXPECT_THAT(Ok({"job", missing}), HasSubstr("/no/such/program"));
  EXPECT_EQ(CodeOf(Submit({"--tasks", "2"}, {"/bin/sh", "-c", "exit $((RANK * 5))"})), 5);
  EXPECT_EQ(Allot({"submit", "--wait", "--", "/bin/sh", "-c", "exit 4"}).code, 4);
  const CommandResult followed =
      Allot({"submit", "--follow", "--", "/bin/sh", "-c", "echo spoken; exit 7"});
  EXPECT_EQ(followed.code, 7);
  EXPECT_EQ(followed.out, "spoken\n");
}

TEST_F(Jobs, ACancelledJobEndsAndSaysSo) {
  Up();
  const std::string id = Submit({"--grace", "1s"}, {"/usr/bin/tail", "-f", "/dev/null"});
  AwaitRunning(id);
  const CommandResult timed_out = Allot({"wait", id, "--timeout", "50ms"});
  EXPECT_EQ(timed_out.code, 6);
  EXPECT_THAT(timed_out.err, HasSubstr("goes on"));
  Ok({"cancel", id});
  EXPECT_EQ(CodeOf(id), 130);
  EXPECT_EQ(Job(id).outcome, "cancelled");
}

TEST_F(Jobs, ATaskThatIgnoresTheTermIsKilledAfterTheGrace) {
  Up();
  const std::string id =
      Submit({"--grace", "100ms"},
             {"/bin/sh", "-c", "trap '' TERM; echo deaf; while :; do read x < /dev/zero; done"});
  AwaitRunning(id);
  ASSERT_TRUE(Until([&] { return Allot({"logs", id}).out == "deaf\n"; }));
  Ok({"cancel", id});
  EXPECT_EQ(CodeOf(id), 130);
}

TEST_F(Jobs, AJobPastItsTimeLimitIsStopped) {
  Up();
  const std::string id =
      Submit({"--time-limit", "1s", "--grace", "100ms"}, {"/usr/bin/tail", "-f", "/dev/null"});
  EXPECT_EQ(CodeOf(id), 124);
}

TEST_F(Jobs, AGangThatDoesNotFitWaitsWholeAndExplainSaysWhy) {
  Up();
  const std::string holder =
      Submit({"--device", "kind=GPU", "--grace", "100ms"}, {"/usr/bin/tail", "-f", "/dev/null"});
  AwaitRunning(holder);
  const std::string gang = Submit({"--tasks", "2", "--device", "kind=GPU"}, {"/bin/true"});
  EXPECT_EQ(Job(gang).phase, "pending");
  const std::string why = Ok({"explain", gang});
  EXPECT_THAT(why, HasSubstr("Why it waits"));
  EXPECT_THAT(why, HasSubstr("What would change that"));
  EXPECT_THAT(Ok({"explain", gang, "--json"}), HasSubstr("\"reasons\""));
  Ok({"cancel", holder});
  EXPECT_EQ(CodeOf(gang), 0);
}

TEST_F(Jobs, WhatNoNodeCouldEverRunIsRefusedAtOnce) {
  Up();
  const CommandResult never = Allot({"submit", "--device", "kind=GPU,count=64", "--", "/bin/true"});
  EXPECT_EQ(never.code, 1);
  EXPECT_THAT(never.err, HasSubstr("even when empty"));
}

TEST_F(Jobs, ADrainedNodeTakesNothingUntilItIsTakenInAgain) {
  Up({{"one", true, {}}});
  Ok({"drain", "one"});
  EXPECT_THAT(Ok({"nodes"}), HasSubstr("draining"));
  const std::string id = Submit({}, {"/bin/true"});
  EXPECT_THAT(Ok({"explain", id}), HasSubstr("nodes_draining"));
  Ok({"undrain", "one"});
  EXPECT_EQ(CodeOf(id), 0);
}

TEST_F(Jobs, ListingsShowWhatIsEmulated) {
  Up();
  const std::string devices = Ok({"devices"});
  EXPECT_THAT(devices, HasSubstr("emulated"));
  EXPECT_THAT(devices, HasSubstr("ASIC"));
  EXPECT_THAT(Ok({"nodes"}), HasSubstr("emulated"));
  EXPECT_THAT(Ok({"top"}), HasSubstr("emulated"));
  for (const char* listing : {"nodes", "devices", "jobs", "deployments", "top"})
    EXPECT_THAT(Ok({listing, "--json"}), HasSubstr("\"version\":1")) << listing;
}

TEST_F(Jobs, ARestartedTaskFindsItsCheckpointFolder) {
  Up();
  const std::string id =
      Submit({"--restarts", "1"}, {"/bin/sh", "-c",
                                   "cd $ALLOT_CHECKPOINT_DIR; test -f seen && exec echo resumed; "
                                   "echo first; touch seen; exit 1"});
  EXPECT_EQ(CodeOf(id), 0);
  EXPECT_EQ(Ok({"logs", id}), "resumed");
  EXPECT_EQ(Job(id).attempt, 2);
}

}  // namespace
}  // namespace allot::testing
