// The scheduler as people and agents meet it: real sockets, real disk, a real core.
#include <atomic>

#include <boost/asio/ip/tcp.hpp>
#include <fstream>
#include <future>
#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/scheduler_shell/cluster.h"

namespace allot::scheduler {
namespace {

using testing::Answer;
using testing::Cluster;
using testing::ErrorCode;
using testing::FakeAgent;
using ::testing::HasSubstr;
using testing::kJob;
using ::testing::Not;

constexpr char kGpuJob[] =
    R"({"command": ["train"], "tasks": 2, "devices": {"any_of": [{"kind": "GPU", "count": 2}]}})";

std::string Submit(Cluster& cluster, const std::string& body = kJob) {
  const Answer answer = cluster.Fetch("POST", "/v1/jobs", body);
  EXPECT_EQ(answer.status, 201) << answer.body;
  return std::string(answer.job().at("id").as_string());
}

json::object Wait(Cluster& cluster, const std::string& id) {
  const Answer answer = cluster.Get("/v1/jobs/" + id + "/wait?timeout_seconds=60");
  EXPECT_EQ(answer.status, 200) << answer.body;
  return answer.job();
}

TEST(Api, AJobGoesFromSubmissionToItsEnd) {
  Cluster cluster;
  cluster.Start();
  FakeAgent agent(cluster, {});
  ASSERT_TRUE(agent.WaitForWelcome());
  const std::string id = Submit(cluster, kGpuJob);
  const json::object job = Wait(cluster, id);
  EXPECT_EQ(job.at("phase").as_string(), "finished");
  EXPECT_EQ(job.at("outcome").as_string(), "succeeded");
  EXPECT_EQ(job.at("code").as_int64(), 0);
  EXPECT_EQ(job.at("tasks").as_array().size(), 2u);
  const json::object& task = job.at("tasks").as_array()[1].as_object();
  EXPECT_EQ(task.at("node").as_string(), "n1");
  EXPECT_EQ(task.at("devices").as_array().size(), 2u);
  EXPECT_EQ(task.at("devices").as_array()[0].as_object().at("isolation").as_string(), "none");
  EXPECT_TRUE(job.at("emulated").as_bool());
  EXPECT_THAT(std::string(job.at("submitted").as_string()), HasSubstr("Z"));
}

TEST(Api, TheExitCodeOfATaskIsTheJobs) {
  Cluster cluster;
  cluster.Start();
  FakeAgent agent(cluster, {.code = 7});
  ASSERT_TRUE(agent.WaitForWelcome());
  const json::object job = Wait(cluster, Submit(cluster));
  EXPECT_EQ(job.at("outcome").as_string(), "failed");
  EXPECT_EQ(job.at("code").as_int64(), 7);
  EXPECT_EQ(job.at("message").as_string(), "task 0: exit code 7");
}

TEST(Api, AJobWithoutANodeWaitsAndSaysWhy) {
  Cluster cluster;
  cluster.Start();
  const std::string id = Submit(cluster);
  const Answer waited = cluster.Get("/v1/jobs/" + id + "/wait?timeout_seconds=0.05");
  EXPECT_EQ(waited.job().at("phase").as_string(), "pending");
  const Answer explained = cluster.Get("/v1/jobs/" + id + "/explain");
  ASSERT_EQ(explained.status, 200) << explained.body;
  EXPECT_THAT(explained.body, HasSubstr("no_nodes"));
}

TEST(Api, TheSameIdempotencyKeyGivesTheSameJob) {
  Cluster cluster;
  cluster.Start();
  const http::Headers key = {{"Idempotency-Key", "abc"}};
  const Answer first = cluster.Fetch("POST", "/v1/jobs", kJob, key);
  const Answer again = cluster.Fetch("POST", "/v1/jobs", kJob, key);
  EXPECT_EQ(again.status, 201) << again.body;
  EXPECT_EQ(first.job().at("id"), again.job().at("id"));
  const Answer other = cluster.Fetch("POST", "/v1/jobs", kGpuJob, key);
  EXPECT_EQ(other.status, 409) << other.body;
  EXPECT_EQ(cluster.Get("/v1/jobs").json().at("jobs").as_array().size(), 1u);
}

TEST(Api, AnIdempotencyKeyIsPrintableAscii) {
  Cluster cluster;
  cluster.Start();
  const std::string longest(255, 'k');
  for (const std::string& bad :
       {std::string("a\xff"), std::string("caf\xC3\xA9"), std::string("a\tb"), longest + "k"}) {
    const Answer answer = cluster.Fetch("POST", "/v1/jobs", kJob, {{"Idempotency-Key", bad}});
    EXPECT_EQ(answer.status, 400) << bad;
    EXPECT_THAT(answer.body, HasSubstr("1 to 255 printable ASCII characters"));
  }
  EXPECT_EQ(cluster.Fetch("POST", "/v1/jobs", kJob, {{"Idempotency-Key", longest}}).status, 201);
  EXPECT_EQ(cluster.Fetch("POST", "/v1/jobs", kJob, {{"Idempotency-Key", "a b~!"}}).status, 201);
  cluster.Kill();
  cluster.Start();
  EXPECT_EQ(cluster.Get("/v1/jobs").json().at("jobs").as_array().size(), 2u);
}

TEST(Api, CancellingStopsAJob) {
  Cluster cluster;
  cluster.Start();
  FakeAgent agent(cluster, {.finish_tasks = false});
  ASSERT_TRUE(agent.WaitForWelcome());
  const std::string id = Submit(cluster);
  agent.WaitForTasks(1);
  EXPECT_EQ(cluster.Fetch("DELETE", "/v1/jobs/" + id).status, 200);
  const json::object job = Wait(cluster, id);
  EXPECT_EQ(job.at("outcome").as_string(), "cancelled");
  EXPECT_EQ(job.at("code").as_int64(), 130);
  EXPECT_EQ(cluster.Fetch("DELETE", "/v1/jobs/job-99").status, 404);
}

TEST(Api, ListingPagesThroughAllJobsNewestFirst) {
  Cluster cluster;
  cluster.Start();
  for (int i = 0; i < 5; ++i) Submit(cluster);
  std::vector<std::string> ids;
  std::string before;
  for (int page = 0; page < 10; ++page) {
    const Answer answer = cluster.Get("/v1/jobs?limit=2" + before);
    ASSERT_EQ(answer.status, 200) << answer.body;
    const json::value document = answer.json();
    for (const json::value& job : document.at("jobs").as_array()) {
      ids.emplace_back(job.at("id").as_string());
    }
    const json::value* next = document.as_object().if_contains("next");
    if (next == nullptr) break;
    before = "&before=" + std::string(next->as_string());
  }
  EXPECT_THAT(ids, ::testing::ElementsAre("job-5", "job-4", "job-3", "job-2", "job-1"));
  EXPECT_EQ(cluster.Get("/v1/jobs?phase=running").json().at("jobs").as_array().size(), 0u);
  EXPECT_EQ(cluster.Get("/v1/jobs?phase=asleep").status, 400);
  EXPECT_EQ(cluster.Get("/v1/jobs?limit=1001").status, 400);
}

TEST(Api, LogsAreStreamedFromTheNode) {
  Cluster cluster;
  cluster.Start();
  FakeAgent agent(cluster, {.log = "one\ntwo\nthree\n"});
  ASSERT_TRUE(agent.WaitForWelcome());
  const std::string id = Submit(cluster);
  Wait(cluster, id);
  const Answer whole = cluster.Get("/v1/jobs/" + id + "/logs?follow=1");
  EXPECT_EQ(whole.status, 200);
  EXPECT_EQ(whole.body, "one\ntwo\nthree\n");
  EXPECT_EQ(cluster.Get("/v1/jobs/" + id + "/logs?offset=8").body, "three\n");
  EXPECT_EQ(cluster.Get("/v1/jobs/" + id + "/logs?task=1").status, 404);
  EXPECT_EQ(cluster.Get("/v1/jobs/job-9/logs").status, 404);
}

TEST(Api, LogsOfAJobThatHasNotStartedAreNotThereYet) {
  Cluster cluster;
  cluster.Start();
  const Answer answer = cluster.Get("/v1/jobs/" + Submit(cluster) + "/logs");
  EXPECT_EQ(answer.status, 412) << answer.body;
  EXPECT_THAT(answer.body, HasSubstr("follow=1"));
}

TEST(Api, BadBodiesAreRefusedWithThePlaceOfTheError) {
  Cluster cluster;
  cluster.Start();
  for (const char* body :
       {"", "{", "[]", R"({"command": []})", R"({"command": ["a"], "tasks": -1})",
        R"({"comand": ["a"]})", "{\"command\": [\"\xff\"]}"}) {
    const Answer answer = cluster.Fetch("POST", "/v1/jobs", body);
    EXPECT_EQ(answer.status, 400) << body;
    EXPECT_EQ(ErrorCode(answer), "invalid_argument");
  }
  EXPECT_THAT(cluster.Fetch("POST", "/v1/jobs", R"({"comand": ["a"]})").body,
              HasSubstr("did you mean"));
  const http::Headers yaml = {{"Content-Type", "application/yaml"}};
  EXPECT_EQ(cluster.Fetch("POST", "/v1/jobs", "command: [a]\n", yaml).status, 201);
  EXPECT_THAT(cluster.Fetch("POST", "/v1/jobs", "command: [a]\ntasks: x\n", yaml).body,
              HasSubstr(":2:"));
  const http::Headers packed = {{"Content-Type", "application/json"}, {"Content-Encoding", "gzip"}};
  EXPECT_EQ(cluster.Fetch("POST", "/v1/jobs", R"({"command": ["a"]})", packed).status, 415);
  EXPECT_EQ(cluster.Get("/v1/jobs/17").status, 400);
  EXPECT_EQ(cluster.Get("/v1/jobs/job-17").status, 404);
  EXPECT_EQ(cluster.Get("/v1/nothing").status, 404);
  EXPECT_EQ(cluster.Fetch("PATCH", "/v1/jobs").status, 405);
}

TEST(Api, AYamlBodyThatWouldHoldUpTheLoopIs413) {
  Cluster cluster;
  cluster.Start();
  const http::Headers yaml = {{"Content-Type", "application/yaml"}};
  const std::string comment = "# " + std::string(256 << 10, 'x') + "\n";
  for (const auto& [method, route] :
       {std::pair("POST", "/v1/jobs"), std::pair("PUT", "/v1/deployments/d"),
        std::pair("PUT", "/v1/policy"), std::pair("POST", "/v1/policy/check")}) {
    const Answer answer = cluster.Fetch(method, route, comment, yaml);
    EXPECT_EQ(answer.status, 413) << route;
    EXPECT_EQ(ErrorCode(answer), "invalid_argument");
    EXPECT_THAT(answer.body, HasSubstr("262144"));
  }
  EXPECT_EQ(
      cluster.Fetch("POST", "/v1/jobs", "{\"command\": [\"a\"]}" + std::string(256 << 10, ' '))
          .status,
      201);
}

TEST(Api, WhatTheJournalCouldNotReadBackIsNeverAcknowledged) {
  Cluster cluster;
  cluster.Start();
  const std::pair<const char*, std::string> rows[] = {
      {"/v1/jobs", R"({"command": ["a"], "time_limit": "20000w"})"},
      {"/v1/jobs", R"({"command": ["a"], "resources": {"memory": "2000PiB"}})"},
      {"/v1/deployments/d",
       R"({"name": "d", "command": ["s"], "replicas": [{"device": {"min_memory": "2000PiB"}}]})"},
      {"/v1/deployments/d",
       R"({"name": "d", "command": ["s"], "replicas": [{"device": {"kind": "GPU"}}],
           "objective": {"ttft": "20000w"}})"},
      {"/v1/policy", R"({"name": "p", "prices": {"as_of": "2026-01-01"},
                         "queue": {"head_hold_after": "20000w"}})"}};
  for (const auto& [path, body] : rows) {
    const bool job = std::string_view(path) == "/v1/jobs";
    const Answer answer = cluster.Fetch(job ? "POST" : "PUT", path, body);
    EXPECT_EQ(answer.status, 400) << body;
    EXPECT_THAT(answer.body, HasSubstr("is the most")) << body;
  }
  cluster.Kill();
  cluster.Start();
  EXPECT_EQ(cluster.Get("/healthz").status, 200);
}

constexpr char kPolicy[] =
    "name: mine\nqueue: {algorithm: fifo}\nprices: {as_of: 2026-01-01, other_gpu_usd_per_hour: "
    "2, hours: [{from: 22, to: 6, energy_usd_per_kwh: 0.05, factor: 0.5}, {to: 9, factor: 2}], "
    "utc_offset_hours: 5.5}\npower: {cluster_watts: 2000.5, rack_watts: 900, node_watts: 500, "
    "racks: {r1: 850}, nodes: {n-2: 0}}\n";

TEST(Api, APolicyIsAppliedWithoutRestartAndABadOneLeavesItInForce) {
  Cluster cluster;
  cluster.Start();
  const http::Headers yaml = {{"Content-Type", "application/yaml"}};
  const std::string before(cluster.Get("/v1/policy").json().at("policy").at("name").as_string());
  EXPECT_EQ(cluster.Fetch("POST", "/v1/policy/check", kPolicy, yaml).status, 200);
  EXPECT_EQ(cluster.Get("/v1/policy").json().at("policy").at("name").as_string(), before);
  EXPECT_EQ(cluster.Fetch("PUT", "/v1/policy", kPolicy, yaml).status, 200);
  const Answer applied = cluster.Get("/v1/policy");
  EXPECT_EQ(applied.json().at("policy").at("name").as_string(), "mine");
  // An algorithm nobody wrote; a key nobody knows.
  for (const char* bad : {"name: x\nqueue: {algorithm: lifo}\nprices: {as_of: 2026-01-01}\n",
                          "name: x\nprises: {}\n"}) {
    EXPECT_EQ(cluster.Fetch("PUT", "/v1/policy", bad, yaml).status, 400);
    EXPECT_EQ(cluster.Fetch("POST", "/v1/policy/check", bad, yaml).status, 400);
  }
  EXPECT_EQ(cluster.Get("/v1/policy").json().at("policy").at("name").as_string(), "mine");
  // What it shows is a file that gives the same policy again.
  const std::string shown(applied.json().at("yaml").as_string());
  EXPECT_EQ(cluster.Fetch("PUT", "/v1/policy", shown, yaml).status, 200) << shown;
  EXPECT_EQ(cluster.Get("/v1/policy").body, applied.body);
}

// A GPU of 700 W and one of eight cores of a 320 W processor, until it ends.
TEST(Api, PowerIsLeasedCappedAndCountedAsEnergy) {
  Cluster cluster;
  cluster.Start();
  const http::Headers yaml = {{"Content-Type", "application/yaml"}};
  ASSERT_EQ(cluster
                .Fetch("PUT", "/v1/policy",
                       "name: p\nprices: {as_of: 2026-01-01, devices: [{model: nvidia/*, watts: "
                       "700}, {model: intel/*, watts: 320}]}\npower: {rack_watts: 800}\n",
                       yaml)
                .status,
            200);
  FakeAgent agent(cluster, {.finish_tasks = false});
  ASSERT_TRUE(agent.WaitForWelcome());
  const char body[] =
      R"({"command": ["true"], "resources": {"cpus": 1}, "devices": {"any_of": [{"kind": "GPU"}]}})";
  const std::string id(cluster.Fetch("POST", "/v1/jobs", body).job().at("id").as_string());
  const std::string second(cluster.Fetch("POST", "/v1/jobs", body).job().at("id").as_string());
  agent.WaitForTasks(1);
  const json::value power = cluster.Get("/v1/power").json();
  EXPECT_EQ(power.at("cluster").at("leased_watts").to_number<double>(), 740);
  EXPECT_EQ(power.at("cluster").as_object().if_contains("cap_watts"), nullptr);
  EXPECT_EQ(power.at("cluster").at("devices").as_int64(), 5);
  EXPECT_EQ(power.at("cluster").at("devices_unknown").as_int64(), 0);
  const json::value& rack = power.at("racks").as_array().at(0);
  EXPECT_EQ(rack.at("name").as_string(), "r1");
  EXPECT_EQ(rack.at("cap_watts").to_number<double>(), 800);
  EXPECT_EQ(power.at("nodes").as_array().at(0).at("leased_watts").to_number<double>(), 740);
  const std::string metrics = cluster.Get("/metrics").body;
  EXPECT_THAT(metrics, HasSubstr(R"(allotrope_power_leased_watts{name="r1",scope="rack"} 740)"));
  EXPECT_THAT(metrics, HasSubstr(R"(allotrope_power_cap_watts{name="r1",scope="rack"} 800)"));
  EXPECT_THAT(metrics, HasSubstr("allotrope_power_unknown_devices 0"));
  const json::value why = cluster.Get("/v1/jobs/" + second + "/explain").json();
  EXPECT_EQ(why.at("reasons").as_array().back().at("reason").as_string(), "power_cap");
  EXPECT_THAT(std::string(why.at("reasons").as_array().back().at("detail").as_string()),
              HasSubstr("rack r1 has 740W of its power cap of 800W leased"));
  agent.Finish(0);
  const json::object job = Wait(cluster, id);
  EXPECT_GT(job.at("energy_joules").to_number<double>(), 0);
  EXPECT_EQ(job.at("energy_source").as_string(), "modelled");
  EXPECT_THAT(cluster.Get("/metrics").body,
              HasSubstr(R"(allotrope_energy_joules_total{source="modelled",tenant=)"));
}

TEST(Api, NodesDrainAndComeBack) {
  Cluster cluster;
  cluster.Start();
  FakeAgent agent(cluster, {});
  ASSERT_TRUE(agent.WaitForWelcome());
  const json::value nodes = cluster.Get("/v1/nodes").json();
  const json::object& node = nodes.at("nodes").as_array().at(0).as_object();
  EXPECT_EQ(node.at("name").as_string(), "n1");
  EXPECT_EQ(node.at("devices_total").as_int64(), 4);
  EXPECT_TRUE(node.at("emulated").as_bool());
  EXPECT_EQ(node.at("isolation").as_string(), "none");
  EXPECT_EQ(node.at("losses").as_array().at(0).as_string(), "device filters: not root");
  EXPECT_FALSE(node.contains("warnings"));
  const json::value devices = cluster.Get("/v1/devices").json();
  ASSERT_EQ(devices.at("devices").as_array().size(), 5u);
  const json::object& cpu = devices.at("devices").as_array()[0].as_object();
  EXPECT_EQ(cpu.at("source").as_string(), "detected");
  EXPECT_FALSE(cpu.contains("uuid") || cpu.contains("power_max_watts") || cpu.contains("parent"));
  const json::object& gpu = devices.at("devices").as_array()[2].as_object();
  EXPECT_EQ(gpu.at("isolation").as_string(), "none");
  EXPECT_EQ(gpu.at("source").as_string(), "configured");
  EXPECT_EQ(gpu.at("uuid").as_string(), "GPU-1");
  EXPECT_EQ(gpu.at("power_max_watts").as_double(), 700.5);
  EXPECT_EQ(gpu.at("health").as_array().at(0).as_string(), "xid_63");
  const Answer drained = cluster.Fetch("POST", "/v1/nodes/n1/drain");
  EXPECT_TRUE(drained.json().at("node").at("draining").as_bool());
  EXPECT_EQ(cluster.Fetch("POST", "/v1/nodes/n9/drain").status, 404);
  const std::string id = Submit(cluster);
  EXPECT_EQ(cluster.Get("/v1/jobs/" + id).job().at("phase").as_string(), "pending");
  EXPECT_EQ(cluster.Fetch("POST", "/v1/nodes/n1/undrain").status, 200);
  EXPECT_EQ(Wait(cluster, id).at("outcome").as_string(), "succeeded");
}

TEST(Api, ADeviceIsTakenOutAndGivenBack) {
  Cluster cluster;
  cluster.Start();
  FakeAgent agent(cluster, {});
  ASSERT_TRUE(agent.WaitForWelcome());
  const json::value listed = cluster.Get("/v1/devices").json();
  std::string id;
  for (const json::value& device : listed.at("devices").as_array()) {
    if (device.at("kind").as_string() != "CPU") id = device.at("id").as_string();
    EXPECT_FALSE(device.as_object().contains("quarantine"));
  }
  const std::string query = "?device=" + id;
  const Answer out = cluster.Fetch("POST", "/v1/nodes/n1/drain" + query);
  ASSERT_EQ(out.status, 200) << out.body;
  const json::value answer = out.json();
  EXPECT_EQ(answer.at("device").at("id").as_string(), id);
  EXPECT_EQ(answer.at("device").at("state").as_string(), "drained");
  EXPECT_EQ(answer.at("device").at("quarantine").at("by").as_string(), "operator");
  EXPECT_FALSE(answer.at("device").at("quarantine").as_object().contains("until"));
  EXPECT_EQ(answer.at("node").at("devices_quarantined").as_int64(), 1);
  EXPECT_EQ(answer.at("node").at("devices_total").as_int64(), 3);
  EXPECT_FALSE(answer.at("node").at("draining").as_bool());
  const std::string metrics = cluster.Get("/metrics").body;
  EXPECT_NE(metrics.find("allotrope_devices_quarantined{state=\"quarantined\"} 1"),
            std::string::npos);
  EXPECT_NE(metrics.find("allotrope_quarantines_total{cause=\"operator\"} 1"), std::string::npos);
  EXPECT_NE(metrics.find("allotrope_quarantines_total{cause=\"failures\"} 0"), std::string::npos);
  EXPECT_EQ(cluster.Fetch("POST", "/v1/nodes/n1/drain?device=none").status, 404);
  EXPECT_EQ(cluster.Fetch("POST", "/v1/nodes/n9/drain" + query).status, 404);
  const Answer in = cluster.Fetch("POST", "/v1/nodes/n1/undrain" + query);
  ASSERT_EQ(in.status, 200) << in.body;
  EXPECT_EQ(in.json().at("device").at("state").as_string(), "ready");
  EXPECT_EQ(in.json().at("node").at("devices_total").as_int64(), 4);
}

TEST(Api, ADeploymentIsPutShownAndDeleted) {
  Cluster cluster;
  cluster.Start();
  FakeAgent agent(cluster, {});
  ASSERT_TRUE(agent.WaitForWelcome());
  const char body[] = R"({"name": "chat", "command": ["server"], "replicas":
      [{"device": {"kind": "GPU"}, "count": 2}, {"device": {"kind": "ASIC"}, "count": 1}]})";
  const Answer put = cluster.Fetch("PUT", "/v1/deployments/chat", body);
  ASSERT_EQ(put.status, 200) << put.body;
  const json::value shown = cluster.Get("/v1/deployments/chat").json();
  EXPECT_EQ(shown.at("deployment").at("wanted").as_int64(), 3);
  EXPECT_EQ(shown.at("deployment").at("replicas").as_array().size(), 2u);
  EXPECT_EQ(shown.at("deployment").at("waiting").as_array().size(), 1u);
  const auto& waiting = shown.at("deployment").at("waiting").as_array();
  EXPECT_EQ(waiting[0].at("reasons").as_array().size(), 1u);
  // In the list only how many wait: reasons take a look at every node for each.
  const json::value listed = cluster.Get("/v1/deployments").json();
  ASSERT_EQ(listed.at("deployments").as_array().size(), 1u);
  const auto& counted = listed.at("deployments").as_array()[0].at("waiting").as_array();
  EXPECT_EQ(counted.at(0).at("count").as_int64(), 1);
  EXPECT_TRUE(counted.at(0).at("reasons").as_array().empty());
  EXPECT_EQ(cluster.Fetch("PUT", "/v1/deployments/other", body).status, 400);
  EXPECT_EQ(cluster.Fetch("DELETE", "/v1/deployments/chat").status, 200);
  EXPECT_EQ(cluster.Fetch("DELETE", "/v1/deployments/none").status, 404);
}

TEST(Api, MetricsTellWhatHappened) {
  Cluster cluster;
  cluster.Start();
  FakeAgent agent(cluster, {});
  ASSERT_TRUE(agent.WaitForWelcome());
  Wait(cluster, Submit(cluster));
  const std::string text = cluster.Get("/metrics").body;
  for (const char* line :
       {"allotrope_jobs{phase=\"finished\"} 1", "allotrope_jobs_submitted_total 1",
        "allotrope_jobs_finished_total{outcome=\"succeeded\"} 1",
        "allotrope_nodes{state=\"alive\"} 1", "allotrope_placements_total 1",
        "allotrope_job_wait_seconds_count 1",
        "allotrope_devices{emulated=\"true\",kind=\"GPU\",model=\"nvidia/"
        "h100-sxm-80g\",state=\"ready\"} 4",
        "allotrope_journal_errors_total 0", "allotrope_link_connections_total{event=\"admitted\"}",
        "allotrope_http_requests_total{code=\"201\",route=\"/v1/jobs\"} 1",
        "process_resident_memory_bytes"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  std::ifstream file(ALLOT_SOURCE_DIR "/docs/operations.md");
  const std::string manual{std::istreambuf_iterator<char>(file), {}};
  std::istringstream lines(text);
  for (std::string hash, type, name, rest; lines >> hash;) {
    if (hash == "#" && lines >> type >> name && type == "TYPE" && name.starts_with("allotrope_")) {
      EXPECT_THAT(manual, HasSubstr("`" + name + "`"));
    }
    std::getline(lines, rest);
  }
  const json::value targets = cluster.Get("/v1/sd/prometheus").json();
  EXPECT_EQ(targets.as_array().at(0).at("targets").as_array().at(0).as_string(),
            cluster.http_address());
}

TEST(Link, AHeartbeatIsAnswered) {
  Cluster cluster;
  cluster.Start();
  FakeAgent agent(cluster, {});
  ASSERT_TRUE(agent.WaitForWelcome());
  agent.WaitForEmptyEnvelope();
}

TEST(Link, ANodeCannotSpeakForAnother) {
  Cluster cluster;
  cluster.Start();
  FakeAgent honest(cluster, {.name = "n1"});
  ASSERT_TRUE(honest.WaitForWelcome());
  FakeAgent liar(cluster, {.name = "n2", .claimed_name = "n1"});
  FakeAgent other(cluster, {.name = "n3"});
  ASSERT_TRUE(other.WaitForWelcome());
  // The liar was heard once n2's message is counted; no node of its name ever comes up.
  while (cluster.Get("/metrics").body.find("reason=\"name_not_proven\"} 1") == std::string::npos) {
  }
  EXPECT_EQ(cluster.Get("/v1/nodes").json().at("nodes").as_array().size(), 2u);
}

TEST(Link, ARevokedNodeIsLostThoughItsConnectionIsUp) {
  Cluster cluster;
  cluster.Start();
  FakeAgent good(cluster, {.name = "n1"}), revoked(cluster, {.name = "n2"});
  ASSERT_TRUE(good.WaitForWelcome() && revoked.WaitForWelcome());
  const auto alive = [&](const std::string& name) {
    const json::value answer = cluster.Get("/v1/nodes").json();
    for (const json::value& node : answer.at("nodes").as_array()) {
      if (node.at("name").as_string() == name) return node.at("alive").as_bool();
    }
    return false;
  };
  ASSERT_TRUE(alive("n2"));
  ASSERT_TRUE(transport::RevokePeer(cluster.folder() / "allow.yaml", "n2").ok());
  while (alive("n2")) {
  }
  EXPECT_TRUE(alive("n1"));
  EXPECT_THAT(cluster.Get("/metrics").body,
              Not(HasSubstr("allotrope_link_refused_total{reason=\"revoked\"} 0")));
}

TEST(Restart, AStartThatFailsOnABusyPortCostsNoTerm) {
  Cluster cluster;
  cluster.Start();
  cluster.Stop();
  boost::asio::io_context loop;
  boost::asio::ip::tcp::acceptor busy(loop, {boost::asio::ip::make_address("127.0.0.1"), 0});
  const std::string address = fmt::format("127.0.0.1:{}", busy.local_endpoint().port());
  Shell::Options http = cluster.Options(), link = cluster.Options();
  http.http_listen = address;
  link.listen = "tcp://" + address;
  EXPECT_EQ(Shell::Start(loop, http).status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(Shell::Start(loop, link).status().code(), StatusCode::kUnavailable);
  cluster.Start();
  EXPECT_EQ(cluster.Get("/v1/cluster").json().at("term").as_int64(), 2);
}

TEST(Restart, EveryAcknowledgedJobIsThereAfterAKill) {
  Cluster cluster;
  cluster.Start();
  std::vector<std::string> acknowledged;
  for (int life = 0; life < 4; ++life) {
    for (int i = 0; i < 10; ++i) acknowledged.push_back(Submit(cluster));
    cluster.Kill();
    cluster.Start();
    for (const std::string& id : acknowledged) {
      EXPECT_EQ(cluster.Get("/v1/jobs/" + id).status, 200) << id;
    }
  }
  EXPECT_EQ(cluster.Get("/v1/cluster").json().at("term").as_int64(), 5);
  EXPECT_EQ(cluster.Get("/v1/cluster").json().at("jobs").at("pending").as_int64(), 40);
}

TEST(Restart, ARunningJobIsStillRunning) {
  Cluster cluster;
  cluster.Start();
  std::string id;
  {
    FakeAgent agent(cluster, {.finish_tasks = false});
    ASSERT_TRUE(agent.WaitForWelcome());
    id = Submit(cluster);
    agent.WaitForTasks(1);
    while (cluster.Get("/v1/jobs/" + id).job().at("tasks").as_array()[0].at("phase") != "running") {
    }
    cluster.Stop();
    cluster.Start();
    EXPECT_EQ(cluster.Get("/v1/jobs/" + id).job().at("phase").as_string(), "running");
  }
}

TEST(Degraded, AnswersThatWaitForASlowDiskAreCountedAndBounded) {
  Cluster cluster;
  cluster.limits.replies_max = 3;
  cluster.Start();
  std::promise<void> go_on;
  cluster.OnLoop([&](Shell& shell) {
    shell.pipeline().journal().WithJournal(
        [blocked = go_on.get_future().share()](Journal&) { blocked.wait(); });
  });
  std::vector<std::thread> callers;
  std::atomic<int> accepted = 0, refused = 0;
  for (int i = 0; i < 5; ++i) {
    callers.emplace_back([&] {
      const Answer answer = cluster.Fetch("POST", "/v1/jobs", kJob);
      accepted += answer.status == 201;
      if (answer.status == 503) {
        EXPECT_THAT(answer.body, HasSubstr("3 requests wait for an answer"));
        ++refused;
      }
    });
  }
  while (refused < 2) std::this_thread::yield();
  EXPECT_EQ(accepted, 0);
  go_on.set_value();
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(accepted, 3);
  EXPECT_EQ(cluster.Fetch("POST", "/v1/jobs", kJob).status, 201);
}

TEST(Degraded, AFullDiskStopsAcknowledgementsAndLosesNothing) {
  Cluster cluster;
  cluster.Start();
  const std::string before = Submit(cluster);
  cluster.OnLoop([](Shell& shell) {
    shell.pipeline().journal().WithJournal(
        [](Journal& journal) { EXPECT_TRUE(journal.SetPagesMax(1).ok()); });
  });
  // Submitted in parallel, because they are answered only when the disk has room again.
  std::vector<std::thread> callers;
  std::mutex mutex;
  std::vector<std::string> acknowledged;
  size_t refused = 0;
  const std::string big =
      R"({"command": ["a"], "environment": {"X": ")" + std::string(100'000, 'x') + R"("}})";
  for (int i = 0; i < 8; ++i) {
    callers.emplace_back([&] {
      const Answer answer = cluster.Fetch("POST", "/v1/jobs", big);
      std::lock_guard lock(mutex);
      if (answer.status == 201) acknowledged.emplace_back(answer.job().at("id").as_string());
      if (answer.status == 503) ++refused;
    });
  }
  while (cluster.Get("/healthz").status != 503) {
  }
  // The kind, for anybody may ask; no path.
  EXPECT_EQ(cluster.Get("/healthz").body, "degraded: the disk of the store is full\n");
  const Answer late = cluster.Fetch("POST", "/v1/jobs", kJob);
  EXPECT_EQ(late.status, 503);
  EXPECT_THAT(late.body, HasSubstr("free space"));
  EXPECT_THAT(late.headers, ::testing::Contains(::testing::Pair("retry-after", "1")));
  EXPECT_EQ(cluster.Get("/v1/jobs").status, 503);
  EXPECT_THAT(cluster.Get("/metrics").body, HasSubstr("allotrope_degraded 1"));
  {
    std::lock_guard lock(mutex);
    EXPECT_TRUE(acknowledged.empty());
  }
  cluster.OnLoop([](Shell& shell) {
    shell.pipeline().journal().WithJournal(
        [](Journal& journal) { EXPECT_TRUE(journal.SetPagesMax(0).ok()); });
  });
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(acknowledged.size() + refused, 8u);
  EXPECT_GE(acknowledged.size(), 1u);
  cluster.Kill();
  cluster.Start();
  EXPECT_EQ(cluster.Get("/healthz").status, 200);
  EXPECT_EQ(cluster.Get("/v1/jobs/" + before).status, 200);
  for (const std::string& id : acknowledged) EXPECT_EQ(cluster.Get("/v1/jobs/" + id).status, 200);
}

}  // namespace
}  // namespace allot::scheduler
