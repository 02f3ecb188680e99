#include "client/api.h"

#include <atomic>

#include "client/follow.h"
#include "tests/pace.h"
#include "tests/unit/client/fake_server.h"

namespace allot::client {
namespace {

constexpr char kJob[] = R"({"version":1,"job":{"id":"job-1","phase":"finished","code":0,
  "attempt":1,"tasks_total":1,"tasks":[{"rank":0,"phase":"exited"}]}})";

std::unique_ptr<Api> ConnectTo(const FakeServer& server, const std::string& token = "") {
  auto api = Api::Connect({.url = server.url(), .token = token, .patience = kPatience});
  EXPECT_TRUE(api.ok()) << api.status();
  return *std::move(api);
}

TEST(Api, SendsTheTokenAndAnIdempotencyKeyWithASubmission) {
  FakeServer server([](const http::Request&, http::ResponderPtr responder) {
    responder->Send({.status = 201, .body = kJob});
  });
  const auto api = ConnectTo(server, "secret");
  const auto job = api->Submit(R"({"command":["true"]})");
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->view.id, "job-1");
  EXPECT_EQ(job->body, kJob);
  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].method, "POST");
  EXPECT_EQ(requests[0].path, "/v1/jobs");
  EXPECT_EQ(requests[0].Header("authorization"), "Bearer secret");
  EXPECT_EQ(requests[0].Header("idempotency-key").size(), 32u);
}

TEST(Api, ASubmissionIsRepeatedUnderTheSameKeyWhenTheConnectionBreaks) {
  std::atomic<int> calls{0};
  FakeServer server([&](const http::Request&, http::ResponderPtr responder) {
    if (calls++ == 0) {
      responder->Abort();
    } else {
      responder->Send({.status = 201, .body = kJob});
    }
  });
  const auto api = ConnectTo(server);
  const auto job = api->Submit("{}");
  ASSERT_TRUE(job.ok()) << job.status();
  const auto requests = server.requests();
  ASSERT_GE(requests.size(), 2u);
  EXPECT_EQ(requests[0].Header("idempotency-key"), requests[1].Header("idempotency-key"));
}

TEST(Api, ASubmissionASilentSchedulerTookIsRepeatedUnderTheSameKey) {
  std::atomic<int> calls{0};
  std::vector<http::ResponderPtr> kept;
  FakeServer server([&](const http::Request&, http::ResponderPtr responder) {
    if (calls++ == 0) {
      kept.push_back(std::move(responder));
    } else {
      responder->Send({.status = 201, .body = kJob});
    }
  });
  auto api = Api::Connect(
      {.url = server.url(), .timeout = std::chrono::milliseconds(100), .patience = kPatience});
  const auto job = (*api)->Submit("{}");
  ASSERT_TRUE(job.ok()) << job.status();
  const auto requests = server.requests();
  ASSERT_GE(requests.size(), 2u);
  EXPECT_EQ(requests[0].Header("idempotency-key"), requests[1].Header("idempotency-key"));
}

TEST(Api, ASubmissionInDoubtNamesTheKeyThatMakesItOneJob) {
  std::vector<http::ResponderPtr> kept;
  FakeServer server([&](const http::Request&, http::ResponderPtr responder) {
    kept.push_back(std::move(responder));
  });
  EXPECT_TRUE(AtSomePace([&](std::chrono::milliseconds pace) {
    auto api = Api::Connect({.url = server.url(), .timeout = pace, .patience = 6 * pace});
    const size_t before = server.requests().size();
    const auto job = (*api)->Submit("{}");
    EXPECT_EQ(job.status().code(), StatusCode::kDeadlineExceeded);
    const auto requests = server.requests();
    if (requests.size() < before + 2) return false;
    const std::string key(requests[before].Header("idempotency-key"));
    for (size_t i = before; i < requests.size(); ++i)
      EXPECT_EQ(requests[i].Header("idempotency-key"), key);
    const std::string words = MessageOf(job.status());
    EXPECT_NE(words.find("may have been accepted"), std::string::npos) << words;
    EXPECT_NE(words.find("--idempotency-key " + key), std::string::npos) << words;
    EXPECT_FALSE((*api)->Submit("{}", "mine").ok());
    return server.requests().back().Header("idempotency-key") == "mine";
  }));
}

TEST(Api, ASubmissionNobodyTookIsNotInDoubt) {
  std::string url;
  {
    FakeServer gone([](const http::Request&, http::ResponderPtr) {});
    url = gone.url();
  }
  auto api = Api::Connect({.url = url});
  const auto job = (*api)->Submit("{}");
  EXPECT_EQ(job.status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(MessageOf(job.status()).find("may have been accepted"), std::string::npos);
}

TEST(Api, ErrorsKeepTheServersCodeAndWords) {
  FakeServer server([](const http::Request&, http::ResponderPtr responder) {
    responder->Send(http::ErrorResponse(PermissionDenied("viewers may not cancel")));
  });
  const auto job = ConnectTo(server)->Cancel("job-1");
  EXPECT_EQ(job.status().code(), StatusCode::kPermissionDenied);
  EXPECT_EQ(MessageOf(job.status()), "viewers may not cancel");
}

TEST(Api, NobodyListeningIsUnavailable) {
  std::string url;
  {
    FakeServer gone([](const http::Request&, http::ResponderPtr) {});
    url = gone.url();
  }
  auto api = Api::Connect({.url = url});
  ASSERT_TRUE(api.ok());
  EXPECT_EQ((*api)->Cluster().status().code(), StatusCode::kUnavailable);
}

TEST(Api, NamesGoIntoPathsEncoded) {
  FakeServer server([](const http::Request&, http::ResponderPtr responder) {
    responder->Send(http::ErrorResponse(NotFound("no such job")));
  });
  EXPECT_FALSE(ConnectTo(server)->Job("a/../b?x").ok());
  EXPECT_EQ(UrlEncode("a/../b?x"), "a%2F..%2Fb%3Fx");
  EXPECT_TRUE(server.requests()[0].query.empty());
}

TEST(Follow, WaitingLastsUntilTheJobIsFinished) {
  std::atomic<int> calls{0};
  FakeServer server([&](const http::Request&, http::ResponderPtr responder) {
    const bool done = calls++ >= 2;
    responder->Send(
        {.body = done ? kJob : R"({"job":{"id":"job-1","phase":"running","attempt":1}})"});
  });
  const auto api = ConnectTo(server);
  const auto job = WaitForJob(*api, "job-1", std::nullopt);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->view.code, 0);
  EXPECT_EQ(calls, 3);
}

TEST(Follow, ASchedulerThatSaysNothingIsWaitedForLikeOneThatIsGone) {
  std::atomic<int> calls{0};
  std::vector<http::ResponderPtr> kept;
  FakeServer server([&](const http::Request&, http::ResponderPtr responder) {
    const int call = calls++;
    if (call == 0 || call == 2) return kept.push_back(std::move(responder));
    responder->Send(
        {.body = call >= 3 ? kJob : R"({"job":{"id":"job-1","phase":"running","attempt":1}})"});
  });
  EXPECT_TRUE(AtSomePace([&](std::chrono::milliseconds pace) {
    calls = 0;
    auto api = Api::Connect({.url = server.url(), .timeout = pace, .patience = kPatience});
    const auto job = WaitForJob(**api, "job-1", std::nullopt, pace);
    EXPECT_TRUE(job.ok()) << job.status();
    return calls == 4;  // More, where an answer came too late.
  }));
}

// Whoever types `allot wait` cannot know that the scheduler restarts just now.
TEST(Follow, ARestartIsWaitedForFromTheFirstLookOn) {
  std::atomic<int> calls{0};
  FakeServer server([&](const http::Request&, http::ResponderPtr responder) {
    const int call = calls++;
    if (call == 0)
      return responder->Send(http::ErrorResponse(absl::UnavailableError("restarting")));
    if (call == 1) return responder->Abort();
    responder->Send({.body = kJob});
  });
  testing::internal::CaptureStderr();
  const auto job = WaitForJob(*ConnectTo(server), "job-1", std::nullopt);
  const std::string said = testing::internal::GetCapturedStderr();
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_GE(calls, 3);
  EXPECT_EQ(said, "allot: restarting; trying again for 1m …\n") << "once, whatever comes after";
}

TEST(Follow, ADeadlineEndsTheWaitForARestartAsWell) {
  FakeServer server([&](const http::Request&, http::ResponderPtr responder) {
    responder->Send(http::ErrorResponse(absl::UnavailableError("restarting")));
  });
  EXPECT_TRUE(AtSomePace([&](std::chrono::milliseconds pace) {
    const size_t before = server.requests().size();
    const auto job =
        WaitForJob(*ConnectTo(server), "job-1", std::chrono::steady_clock::now() + 5 * pace);
    EXPECT_EQ(job.status().code(), StatusCode::kDeadlineExceeded) << job.status();
    return server.requests().size() >= before + 2;
  }));
}

TEST(Api, EveryQuestionIsPutAgainToASchedulerThatRestarts) {
  std::atomic<int> calls{0};
  FakeServer server([&](const http::Request&, http::ResponderPtr responder) {
    if (calls++ % 2 == 0)
      return responder->Send(http::ErrorResponse(absl::UnavailableError("restarting")));
    responder->Send(
        {.body = R"({"job":{"id":"job-1"},"jobs":[],"nodes":[],"node":{},"deployment":{},
        "deployments":[],"devices":[],"device":{},"policy":{},"cluster":{}})"});
  });
  const auto api = ConnectTo(server);
  EXPECT_TRUE(api->Cluster().ok());
  EXPECT_TRUE(api->Jobs({}).ok());
  EXPECT_TRUE(api->Job("job-1").ok());
  EXPECT_TRUE(api->Cancel("job-1").ok());
  EXPECT_TRUE(api->ExplainJob("job-1").ok());
  EXPECT_TRUE(api->Deploy("d", "{}").ok());
  EXPECT_TRUE(api->Undeploy("d").ok());
  EXPECT_TRUE(api->Nodes().ok());
  EXPECT_TRUE(api->Drain("n", true).ok());
  EXPECT_TRUE(api->DrainDevice("n", "d", true).ok());
  EXPECT_TRUE(api->Policy().ok());
  EXPECT_TRUE(api->Power().ok());
  EXPECT_EQ(calls, 24);
}

TEST(Api, WhatWasAnsweredIsNotAskedAgain) {
  FakeServer server([](const http::Request&, http::ResponderPtr responder) {
    responder->Send(http::ErrorResponse(absl::ResourceExhaustedError("too many jobs wait")));
  });
  EXPECT_EQ(ConnectTo(server)->Submit("{}").status().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(server.requests().size(), 1u);
}

TEST(Api, AnUndeployThatWasCutOffAndFindsNothingHasBeenDone) {
  std::atomic<int> calls{0};
  FakeServer server([&](const http::Request&, http::ResponderPtr responder) {
    if (calls++ == 0) return responder->Abort();
    responder->Send(http::ErrorResponse(NotFound("no deployment d")));
  });
  EXPECT_TRUE(ConnectTo(server)->Undeploy("d").ok());
  EXPECT_EQ(ConnectTo(server)->Undeploy("d").status().code(), StatusCode::kNotFound);
}

TEST(Follow, ADeadlineThatPassedLeavesTheJobAlone) {
  FakeServer server([](const http::Request&, http::ResponderPtr responder) {
    responder->Send({.body = R"({"job":{"id":"job-1","phase":"running"}})"});
  });
  const auto api = ConnectTo(server);
  const auto job = WaitForJob(*api, "job-1", std::chrono::steady_clock::now());
  EXPECT_EQ(job.status().code(), StatusCode::kDeadlineExceeded);
  for (const auto& request : server.requests()) EXPECT_EQ(request.method, "GET");
}

TEST(Follow, ABrokenLogStreamIsTakenUpWhereItBroke) {
  std::atomic<int> streams{0};
  FakeServer server([&](const http::Request& request, http::ResponderPtr responder) {
    if (!request.path.ends_with("/logs")) return responder->Send({.body = kJob});
    responder->StartStream(200, {}, "text/plain");
    if (streams++ == 0) {
      EXPECT_EQ(request.Query("offset"), "0");
      responder->Write("first\n");
      responder->Abort();
    } else {
      EXPECT_EQ(request.Query("offset"), "6");
      responder->Write("second\n");
      responder->End();
    }
  });
  testing::internal::CaptureStdout();
  const Status status =
      PrintJobLogs({.url = server.url(), .patience = kPatience}, "job-1", {.follow = true});
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "first\nsecond\n");
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(streams, 2);
}

TEST(Follow, LinesOfAGangBeginWithTheTasksRank) {
  testing::internal::CaptureStdout();
  LogSink sink(/*ranks=*/true);
  sink.Write(0, "a");
  sink.Write(1, "x\ny");
  sink.Write(0, "b\n");
  sink.Flush(1);
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "1: x\n0: ab\n1: y\n");
}

}  // namespace
}  // namespace allot::client
