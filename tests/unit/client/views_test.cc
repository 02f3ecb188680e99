#include "client/views.h"

#include "client/exit_code.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace allot::client {
namespace {

TEST(Views, AJobKeepsWhatTheServerSaidAndLeavesTheRestAbsent) {
  const auto job = ParseJob(R"({"version":1,"job":{"id":"job-17","phase":"finished","code":3,
    "attempt":2,"emulated":true,"waited_seconds":0.25,"command":["sh","-c","exit 3"],
    "tasks":[{"rank":1,"node":"n1","pid":42,"devices":[{"id":"emu0","model":"m","kind":"GPU",
    "emulated":true,"isolation":"none"}],"progress":{"step":7,"total":10,"loss":1.5}}],"brand_new_field":[1]}})");
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->id, "job-17");
  EXPECT_TRUE(job->done());
  EXPECT_EQ(job->code, 3);
  EXPECT_EQ(job->cost_usd, std::nullopt);
  ASSERT_EQ(job->tasks.size(), 1u);
  EXPECT_EQ(job->tasks[0].pid, 42);
  EXPECT_EQ(job->tasks[0].loss, 1.5);
  EXPECT_TRUE(job->tasks[0].devices[0].emulated);
  EXPECT_EQ(job->tasks[0].devices[0].isolation, "none");
}

TEST(Views, DevicesAndNodesSayHowFarTheyAreKeptApart) {
  const auto devices = ParseDevices(R"({"devices":[{"id":"g0/s1","parent":"g0","isolation":"none",
    "source":"configured","uuid":"GPU-1","endpoint":"https://x","power_max_watts":350.5,
    "health":["xid_63"]},{"id":"old"}]})");
  ASSERT_TRUE(devices.ok()) << devices.status();
  const DeviceView& share = devices->at(0);
  EXPECT_EQ(share.parent + " " + share.isolation + " " + share.source, "g0 none configured");
  EXPECT_EQ(share.uuid + " " + share.endpoint, "GPU-1 https://x");
  EXPECT_EQ(share.power_max_watts, 350.5);
  EXPECT_EQ(share.health, std::vector<std::string>{"xid_63"});
  EXPECT_EQ(devices->at(1).isolation, "");
  const auto nodes =
      ParseNodes(R"({"nodes":[{"name":"n1","isolation":"shared","losses":["device filters"]}]})");
  ASSERT_TRUE(nodes.ok()) << nodes.status();
  EXPECT_EQ(nodes->at(0).isolation, "shared");
  EXPECT_EQ(nodes->at(0).losses, std::vector<std::string>{"device filters"});
}

TEST(Views, AFieldOfAnotherTypeCountsAsAbsent) {
  const auto job = ParseJob(R"({"job":{"id":17,"code":"zero","tasks":"none","emulated":1}})");
  ASSERT_TRUE(job.ok());
  EXPECT_EQ(job->id, "");
  EXPECT_EQ(job->code, std::nullopt);
  EXPECT_FALSE(job->emulated);
}

TEST(Views, PowerKeepsWhatIsKnownOfEachLine) {
  const auto page = ParsePower(R"({"version":1,"cluster":{"nodes":2,"leased_watts":1400.5,
    "cap_watts":2000,"devices":9,"devices_measured":0,"devices_unknown":1},"racks":[{"name":"r1",
    "leased_watts":1400.5}],"nodes":[{"name":"n1","alive":true,"rack":"r1","leased_watts":0,
    "measured_watts":61,"devices":9,"devices_measured":8,"devices_unknown":0}]})");
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->cluster.leased_watts, 1400.5);
  EXPECT_EQ(page->cluster.measured_watts, std::nullopt);
  EXPECT_EQ(page->cluster.devices_unknown, 1);
  ASSERT_EQ(page->racks.size(), 1u);
  EXPECT_EQ(page->racks[0].cap_watts, std::nullopt);
  ASSERT_EQ(page->nodes.size(), 1u);
  EXPECT_EQ(page->nodes[0].rack, "r1");
  EXPECT_EQ(page->nodes[0].measured_watts, 61);
}

TEST(Views, APolicyTellsItsCaps) {
  const auto policy = ParsePolicy(R"({"policy":{"name":"p","power":{"cluster_watts":20000,
    "racks":{"r7":12000.5},"nodes":{}}},"yaml":"name: p"})");
  ASSERT_TRUE(policy.ok()) << policy.status();
  EXPECT_EQ(policy->cluster_watts, 20000);
  EXPECT_EQ(policy->node_watts, std::nullopt);
  EXPECT_EQ(policy->racks_watts, (std::vector<std::pair<std::string, double>>{{"r7", 12000.5}}));
}

TEST(Views, SomethingElsesAnswerIsRefusedWithAHint) {
  for (const char* body : {"", "<html>", "[1]", R"({"job":[]})", R"({"other":{}})"})
    EXPECT_EQ(ParseJob(body).status().code(), StatusCode::kInternal) << body;
}

TEST(Views, AnErrorsCodeComesFromItsBodyElseFromHttp) {
  const Status named =
      StatusOfAnswer(400, R"({"error":{"code":"not_found","message":"no job-9"}})");
  EXPECT_EQ(named.code(), StatusCode::kNotFound);
  EXPECT_EQ(MessageOf(named), "no job-9");
  EXPECT_EQ(StatusOfAnswer(503, "<html>").code(), StatusCode::kUnavailable);
  EXPECT_EQ(StatusOfAnswer(413, "").code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(StatusOfAnswer(418, "").code(), StatusCode::kInternal);
  EXPECT_TRUE(StatusOfAnswer(201, "").ok());
}

TEST(Views, NoLineOfAServersErrorPassesForOneOfOurs) {
  const Status forged = StatusOfAnswer(
      400, R"({"error":{"message":"a\nallot: all is well\n  a hint\u001b[2J\r\nb"}})");
  EXPECT_EQ(MessageOf(forged), "a\n  allot: all is well\n  a hint\\u001b[2J\\u000d\n  b");
  std::string lines;
  for (int i = 0; i < 1'000; ++i) lines += "y\\n";
  const std::string shown =
      MessageOf(StatusOfAnswer(400, R"({"error":{"message":")" + lines + R"("}})"));
  EXPECT_EQ(std::count(shown.begin(), shown.end(), '\n'), 39);
  EXPECT_TRUE(shown.ends_with("..."));
  const std::string long_one = R"({"error":{"message":")" + std::string(100'000, 'z') + R"("}})";
  EXPECT_EQ(MessageOf(StatusOfAnswer(400, long_one)).size(), 8'192 + 3);
}

TEST(ExitCode, EachKindOfTroubleHasItsOwn) {
  EXPECT_EQ(ExitCodeOf(absl::OkStatus()), 0);
  EXPECT_EQ(ExitCodeOf(Internal("x")), 1);
  EXPECT_EQ(ExitCodeOf(FailedPrecondition("x")), 1);
  EXPECT_EQ(ExitCodeOf(InvalidArgument("x")), 2);
  EXPECT_EQ(ExitCodeOf(Unauthenticated("x")), 3);
  EXPECT_EQ(ExitCodeOf(PermissionDenied("x")), 3);
  EXPECT_EQ(ExitCodeOf(NotFound("x")), 4);
  EXPECT_EQ(ExitCodeOf(Unavailable("x")), 5);
  EXPECT_EQ(ExitCodeOf(ResourceExhausted("x")), 5);
  EXPECT_EQ(ExitCodeOf(DeadlineExceeded("x")), 6);
}

TEST(Views, AnotherVersionOfTheApiSaysWhichSideToUpgrade) {
  const auto newer = ParseJob(R"({"version":2,"job":{"id":"job-17"}})");
  EXPECT_EQ(newer.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(
      newer.status().message(),
      "the other side answers in version 2 of the API, this allot reads 1: upgrade this allot");
  const auto older = ParseNodes(R"({"version":0,"nodes":[]})");
  EXPECT_THAT(std::string(older.status().message()), ::testing::HasSubstr("upgrade that one"));
  // Fields that only the other side knows are no reason, nor is a text of that name.
  EXPECT_TRUE(ParseJob(R"({"version":1,"new":[1],"job":{"id":"job-17","new":{"a":1}}})").ok());
  EXPECT_TRUE(ParseJob(R"({"version":"later","job":{"id":"job-17"}})").ok());
}

}  // namespace
}  // namespace allot::client
