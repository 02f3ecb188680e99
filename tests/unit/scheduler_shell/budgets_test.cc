// What one request, one sender and all of them together may cost: refused by name, and counted.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/scheduler_shell/cluster.h"

namespace allot::scheduler {
namespace {

using testing::Answer;
using testing::Cluster;
using ::testing::Contains;
using testing::FakeAgent;
using ::testing::HasSubstr;
using testing::kJob;
using ::testing::Not;
using ::testing::Pair;

std::string WithVariables(size_t count, const std::string& value = "") {
  std::string body = R"({"command": ["a"], "environment": {)";
  for (size_t i = 0; i < count; ++i)
    body += fmt::format("{}\"V{}\": \"{}\"", i == 0 ? "" : ",", i, value);
  return body + "}}";
}

TEST(Bodies, WithTooManyVariablesAreRefusedByTheirNumber) {
  Cluster cluster;
  cluster.Start();
  const Answer refused = cluster.Fetch("POST", "/v1/jobs", WithVariables(100'000));
  EXPECT_EQ(refused.status, 400);
  EXPECT_THAT(refused.body, HasSubstr("environment has 100000 variables; 4096 are taken at most"));
  EXPECT_EQ(cluster.Fetch("POST", "/v1/jobs", WithVariables(4'096)).status, 201);
}

// What is read beside the loop and what is read on it are answered alike.
TEST(Bodies, LargeAndSmallOnesAreTheSame) {
  Cluster cluster;
  cluster.Start();
  const std::string padding(20'000, ' ');
  for (const std::string& more : {std::string(), padding}) {
    const Answer good = cluster.Fetch("POST", "/v1/jobs", kJob + more);
    EXPECT_EQ(good.status, 201) << good.body;
    EXPECT_EQ(good.job().at("name").as_string(), "hello");
    const Answer bad = cluster.Fetch("POST", "/v1/jobs", R"({"comand": ["a"]})" + more);
    EXPECT_EQ(bad.status, 400);
    EXPECT_THAT(bad.body, HasSubstr("did you mean"));
    const Answer other =
        cluster.Fetch("PUT", "/v1/deployments/a",
                      R"({"name": "b", "command": ["s"], "replicas": [{"device": {}}]})" + more);
    EXPECT_THAT(other.body, HasSubstr("make them the same"));
    EXPECT_EQ(cluster.Fetch("POST", "/v1/policy/check", "{}" + more).status, 400);
  }
  const http::Headers key = {{"Idempotency-Key", "k"}};
  const Answer first = cluster.Fetch("POST", "/v1/jobs", kJob + padding, key);
  EXPECT_EQ(cluster.Fetch("POST", "/v1/jobs", kJob, key).job().at("id"), first.job().at("id"));
}

TEST(Specs, AreCountedInBytesForATenantAndInAll) {
  Cluster cluster;
  cluster.adjust = [](Shell::Options& options) {
    options.pipeline.core.spec_bytes_of_tenant_max = 250'000;
    options.pipeline.core.spec_bytes_max = 450'000;
  };
  cluster.Start();
  const auto submit = [&](const std::string& tenant) {
    return cluster.Fetch("POST", "/v1/jobs",
                         R"({"command": ["a"], "tenant": ")" + tenant +
                             R"(", "environment": {"X": ")" + std::string(100'000, 'x') + R"("}})");
  };
  const Answer first = submit("a");
  EXPECT_EQ(first.status, 201);
  EXPECT_EQ(submit("a").status, 201);
  const Answer much = submit("a");
  EXPECT_EQ(much.status, 429);
  EXPECT_THAT(much.body, HasSubstr("specs_per_tenant_max"));
  EXPECT_EQ(cluster.Fetch("POST", "/v1/jobs", R"({"command": ["a"], "tenant": "a"})").status, 201)
      << "a small one costs nothing of it";
  EXPECT_EQ(submit("b").status, 201);
  EXPECT_EQ(submit("b").status, 201);
  const Answer all = submit("c");
  EXPECT_EQ(all.status, 429);
  EXPECT_THAT(all.body, HasSubstr("(specs_max)"));
  EXPECT_THAT(all.headers, Contains(Pair("retry-after", "1")));
  // What has ended makes room, and so it does for a scheduler that has read its journal again.
  EXPECT_EQ(cluster.Fetch("DELETE", "/v1/jobs/job-1").status, 200);
  cluster.Kill();
  cluster.Start();
  EXPECT_EQ(submit("a").status, 201);
  EXPECT_EQ(submit("a").status, 429);
}

TEST(Specs, OfAFinishedJobTheBeginningIsKeptAndSaidSo) {
  Cluster cluster;
  cluster.Start();
  const std::string body = R"({"command": ["a", ")" + std::string(10'000, 'w') +
                           R"(", "last"], "environment": {"X": ")" + std::string(50'000, 'x') +
                           R"("}})";
  const http::Headers key = {{"Idempotency-Key", "k"}};
  const Answer submitted = cluster.Fetch("POST", "/v1/jobs", body, key);
  ASSERT_EQ(submitted.status, 201);
  EXPECT_FALSE(submitted.job().contains("spec_bytes_dropped"));
  EXPECT_EQ(cluster.Fetch("DELETE", "/v1/jobs/job-1").status, 200);
  for (const bool again : {false, true}) {
    if (again) {
      cluster.Kill();
      cluster.Start();
    }
    const Answer ended = cluster.Get("/v1/jobs/job-1");
    EXPECT_EQ(ended.job().at("spec_bytes_dropped").as_int64(), 50'001 + 10'001 + 4 - 4'096);
    EXPECT_EQ(ended.job().at("command").as_array().size(), 2u);
    EXPECT_EQ(ended.job().at("command").as_array()[1].as_string().size(), 4'095u);
    // Asked for again with its key it is still the same job, and another is still another.
    EXPECT_EQ(cluster.Fetch("POST", "/v1/jobs", body, key).status, 201);
    EXPECT_EQ(cluster.Fetch("POST", "/v1/jobs", kJob, key).status, 409);
  }
}

TEST(Answers, PagesOfJobsEndAtABound) {
  Cluster cluster;
  cluster.Start();
  for (int i = 0; i < 25; ++i)
    ASSERT_EQ(cluster
                  .Fetch("POST", "/v1/jobs",
                         R"({"command": ["a", ")" + std::string(100'000, 'w') + R"("]})")
                  .status,
              201);
  size_t seen = 0;
  std::string next;
  do {
    const Answer page =
        cluster.Get("/v1/jobs?limit=1000" + (next.empty() ? "" : "&before=" + next));
    ASSERT_EQ(page.status, 200);
    EXPECT_LT(page.body.size(), 1'300'000u);
    const json::object body = page.json().as_object();
    seen += body.at("jobs").as_array().size();
    next = body.contains("next") ? std::string(body.at("next").as_string()) : "";
  } while (!next.empty());
  EXPECT_EQ(seen, 25u);
}

TEST(Answers, LongListsAreMadeAsTheyAreTaken) {
  Cluster cluster;
  cluster.Start();
  const auto put = [&](int i) {
    const std::string name = fmt::format("d{:03}", i);
    return cluster.Fetch("PUT", "/v1/deployments/" + name,
                         R"({"name": ")" + name + R"(", "command": ["s"], "model": ")" + name +
                             std::string(240, 'm') +
                             R"(", "replicas": [{"device": {"kind": "GPU"}}]})");
  };
  ASSERT_EQ(put(0).status, 200) << put(0).body;
  const Answer one = cluster.Get("/v1/deployments");
  EXPECT_THAT(one.headers, Contains(Pair("content-length", std::to_string(one.body.size()))));
  constexpr int kMany = 700;
  for (int i = 1; i < kMany; ++i) ASSERT_EQ(put(i).status, 200);
  const Answer all = cluster.Get("/v1/deployments");
  EXPECT_EQ(all.status, 200);
  ASSERT_GT(all.body.size(), 300'000u);
  EXPECT_THAT(all.headers, Contains(Pair("transfer-encoding", "chunked")));
  const json::array listed = all.json().at("deployments").as_array();
  ASSERT_EQ(listed.size(), static_cast<size_t>(kMany));
  for (int i = 0; i < kMany; ++i)
    EXPECT_EQ(listed[static_cast<size_t>(i)].at("name").as_string(), fmt::format("d{:03}", i));
}

TEST(Shares, OfLogStreamsAreASenders) {
  Cluster cluster;
  cluster.limits.streams_of_sender_max = 0;
  cluster.Start();
  const Answer refused = cluster.Get("/v1/jobs/job-1/logs?follow=1");
  EXPECT_EQ(refused.status, 429);
  EXPECT_THAT(refused.body, HasSubstr("log streams of local are open, which is its share of 1000"));
}

TEST(Shares, OfThoseWhoWaitAreASenders) {
  Cluster cluster;
  cluster.limits.waits_of_sender_max = 0;
  cluster.Start();
  ASSERT_EQ(cluster.Fetch("POST", "/v1/jobs", kJob).status, 201);
  const Answer refused = cluster.Get("/v1/jobs/job-1/wait?timeout_seconds=1");
  EXPECT_EQ(refused.status, 429);
  EXPECT_THAT(refused.body, HasSubstr("which is its share of 20000"));
  EXPECT_EQ(cluster.Get("/v1/jobs/job-1/wait?timeout_seconds=0").status, 200);
}

TEST(Answers, WhatAServerTurnedAwayIsCounted) {
  Cluster cluster;
  cluster.Start();
  EXPECT_EQ(cluster.Fetch("GET", "/v1/jobs", "", {{"Origin", "http://evil.example"}}).status, 403);
  const std::string metrics = cluster.Get("/metrics").body;
  EXPECT_THAT(metrics, HasSubstr("allotrope_http_turned_away_total{reason=\"foreign_name\"} 1"));
  EXPECT_THAT(metrics, HasSubstr("allotrope_http_turned_away_total{reason=\"slow_reader\"} 0"));
  EXPECT_THAT(metrics, HasSubstr("allotrope_http_answers_bytes 0"));
}

}  // namespace
}  // namespace allot::scheduler
