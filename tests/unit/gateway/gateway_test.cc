// The gateway over real sockets, between a scheduler, agents and clients played by the test.
#include "gateway/gateway.h"

#include "common/auth/tokens.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/pace.h"
#include "tests/unit/gateway/harness.h"

namespace allot::gateway {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

void AnswerAll(FakeAgent& agent) {
  agent.on_request = [](FakeAgent& self, const FakeAgent::Received& request) {
    self.Answer(request, 200, "application/json", kCompletion);
  };
}

TEST(Gateway, TellsTheSchedulerWhereItIs) {
  Harness h;
  ASSERT_TRUE(h.Until([&] { return h.hellos.size() >= 2; }));
  EXPECT_EQ(h.hellos[0].name(), "gw");
  EXPECT_EQ(h.hellos[0].address().endpoint(), h.gateway->endpoint());
  EXPECT_EQ(h.hellos[0].address().public_key(), h.gateway->public_key());
  EXPECT_EQ(h.hellos[0].http_address(), h.gateway->http_address());
  EXPECT_FALSE(h.gateway->has_routes());
}

TEST(Gateway, AnswersACompletionWithTheHeadersOfItsReplica) {
  Harness h;
  h.AddReplica(3, "n1", 1.25);
  h.SendRoutes();
  FakeAgent& agent = h.AddAgent("n1");
  AnswerAll(agent);

  const auto answer = h.Done(h.Post("/v1/completions", kPrompt));
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, kCompletion);
  EXPECT_EQ(answer->headers["content-type"], "application/json");
  EXPECT_EQ(answer->headers["x-model"], "yes");
  EXPECT_NE(answer->headers["server"], "inner");
  EXPECT_THAT(answer->headers["x-allot-request-id"], ::testing::StartsWith("req-"));
  EXPECT_EQ(answer->headers["x-allot-node"], "n1");
  EXPECT_EQ(answer->headers["x-allot-replica"], "replica-3");
  EXPECT_EQ(answer->headers["x-allot-device"], "groq/lpu-v1");
  EXPECT_EQ(answer->headers["x-allot-device-kind"], "ASIC");
  EXPECT_EQ(answer->headers["x-allot-emulated"], "true");
  EXPECT_EQ(answer->headers["x-allot-price-usd-per-hour"], "1.250000");
  EXPECT_EQ(answer->headers["x-allot-policy"], "test-policy");
  EXPECT_EQ(answer->headers["x-allot-reason"], "only_replica");
  EXPECT_GT(std::stod(answer->headers["x-allot-predicted-ms"]), 0);
  EXPECT_FALSE(answer->headers.contains("x-allot-power-watts")) << "which are not known";
  EXPECT_FALSE(answer->headers.contains("x-allot-energy-joules"));
}

TEST(Gateway, PassesTheBodyOnByteForByteAndKeepsTheTokenToItself) {
  Harness h;
  h.AddReplica(1, "n1");
  h.SendRoutes();
  FakeAgent& agent = h.AddAgent("n1");
  AnswerAll(agent);
  const std::string odd =
      "{ \"model\" :\"tiny\",\n\"prompt\":\"\\u00e4 \xF0\x9F\x98\x80\", \"x\":[1e3]}  ";
  h.Done(h.Post("/v1/completions", odd,
                {{"Authorization", "Bearer secret"}, {"X-Request-Id", "mine"}, {"Cookie", "c"}}));
  ASSERT_EQ(agent.requests.size(), 1u);
  EXPECT_EQ(agent.requests[0].body, odd);
  EXPECT_EQ(agent.requests[0].request.replica(), 1u);
  EXPECT_EQ(agent.requests[0].request.method(), "POST");
  EXPECT_EQ(agent.requests[0].request.path(), "/v1/completions");
  EXPECT_EQ(agent.requests[0].Header("content-type"), "application/json");
  EXPECT_EQ(agent.requests[0].Header("x-request-id"), "mine");
  EXPECT_THAT(agent.requests[0].Header("x-allot-request-id"), ::testing::StartsWith("req-"));
  EXPECT_EQ(agent.requests[0].Header("authorization"), "");
  EXPECT_EQ(agent.requests[0].Header("cookie"), "");
}

// Without a head nobody knows what it is a piece of.
TEST(Gateway, APieceBeforeItsHeadIsTriedElsewhere) {
  for (const bool last : {false, true}) {
    SCOPED_TRACE(last);
    Harness h;
    h.AddTwo(
        [last](FakeAgent& self, const FakeAgent::Received& request) {
          self.Chunk(request, "half of it", last);
        },
        [](FakeAgent& self, const FakeAgent::Received& request) {
          self.Answer(request, 200, "application/json", kCompletion);
        });
    const auto answer = h.Done(h.Post("/v1/completions", kPrompt));
    EXPECT_EQ(answer->status, 200);
    EXPECT_EQ(answer->body, kCompletion);
  }
}

TEST(Gateway, StreamsEveryEventWhenItComes) {
  Harness h;
  h.AddReplica(1, "n1");
  h.SendRoutes();
  FakeAgent& agent = h.AddAgent("n1");
  const auto answer =
      h.Post("/v1/chat/completions",
             R"({"model":"tiny","messages":[{"role":"user","content":"hi"}],"stream":true})");
  ASSERT_TRUE(h.Until([&] { return !agent.requests.empty(); }));
  EXPECT_EQ(agent.requests[0].request.path(), "/v1/chat/completions");
  agent.Head(agent.requests[0], 200, "text/event-stream", "data: {\"a\":1}\n\n");
  ASSERT_TRUE(h.Until([&] { return answer->pieces.size() == 1; }));
  EXPECT_EQ(answer->headers["content-type"], "text/event-stream");
  EXPECT_EQ(answer->headers["x-allot-node"], "n1");
  EXPECT_EQ(answer->pieces[0], "data: {\"a\":1}\n\n");
  agent.Chunk(agent.requests[0], "data: {\"b\":2}\n\n", false);
  ASSERT_TRUE(h.Until([&] { return answer->pieces.size() == 2; }));
  EXPECT_FALSE(answer->done);
  agent.Chunk(agent.requests[0], "data: [DONE]\n\n", true);
  h.Done(answer);
  EXPECT_TRUE(answer->ended.ok()) << answer->ended;
  EXPECT_EQ(answer->body, "data: {\"a\":1}\n\ndata: {\"b\":2}\n\ndata: [DONE]\n\n");
}

TEST(Gateway, TellsTheAgentAtOnceWhenTheClientGoes) {
  Harness h;
  h.AddReplica(1, "n1", 1, 1);
  h.SendRoutes();
  FakeAgent& agent = h.AddAgent("n1");
  const auto leaving = h.Post("/v1/completions", kStreamPrompt);
  ASSERT_TRUE(h.Until([&] { return agent.requests.size() == 1; }));
  agent.Head(agent.requests[0], 200, "text/event-stream", "data: 1\n\n");
  ASSERT_TRUE(h.Until([&] { return !leaving->pieces.empty(); }));
  // The only place is taken, so the next waits and gets it.
  const auto waiting = h.Post("/v1/completions", kPrompt);
  leaving->call->Cancel();
  ASSERT_TRUE(h.Until([&] { return agent.requests.size() == 2; }));
  EXPECT_THAT(agent.cancelled, ElementsAre(agent.requests[0].request.request()));
  // A piece that was on its way then is no harm, nor is the end; the word may have been lost, so it
  // is said again while more is to come.
  const std::vector<uint64_t> twice(2, agent.requests[0].request.request());
  agent.Chunk(agent.requests[0], "data: 2\n\n", false);
  ASSERT_TRUE(h.Until([&] { return agent.cancelled == twice; }));
  agent.Chunk(agent.requests[0], "data: [DONE]\n\n", true);
  agent.Answer(agent.requests[1], 200, "application/json", kCompletion);
  EXPECT_EQ(h.Done(waiting)->status, 200);
  const auto last = h.Post("/v1/completions", kPrompt);
  ASSERT_TRUE(h.Until([&] { return agent.requests.size() == 3; }));
  EXPECT_EQ(agent.cancelled, twice);
  agent.Answer(agent.requests[2], 200, "application/json", kCompletion);
  EXPECT_EQ(h.Done(last)->status, 200);
}

TEST(Gateway, TriesAnotherReplicaAndHeedsNoLateAnswerOfTheFirst) {
  Harness h;
  h.AddReplica(1, "n1", 1);
  h.AddReplica(2, "n2", 2);
  h.SendRoutes();
  FakeAgent& first = h.AddAgent("n1");
  FakeAgent& second = h.AddAgent("n2");
  const auto answer = h.Post("/v1/completions", kPrompt);
  ASSERT_TRUE(h.Until([&] { return !first.requests.empty(); }));
  first.Fail(first.requests[0], false, "connection refused");
  ASSERT_TRUE(h.Until([&] { return !second.requests.empty(); }));
  EXPECT_EQ(second.requests[0].body, kPrompt);
  EXPECT_NE(first.requests[0].request.request(), second.requests[0].request.request());
  first.Answer(first.requests[0], 200, "application/json", "late");
  // Nobody waits for it, so the agent is told.
  ASSERT_TRUE(h.Until([&] { return !first.cancelled.empty(); }));
  second.Answer(second.requests[0], 200, "application/json", kCompletion);
  h.Done(answer);
  EXPECT_EQ(answer->body, kCompletion);
  EXPECT_EQ(answer->headers["x-allot-replica"], "replica-2");
}

TEST(Gateway, StartsOverElsewhereWhenAHeldBackAnswerBreaksOff) {
  Harness h;
  h.AddReplica(1, "n1", 1);
  h.AddReplica(2, "n2", 2);
  h.SendRoutes();
  FakeAgent& first = h.AddAgent("n1");
  AnswerAll(h.AddAgent("n2"));
  const auto answer = h.Post("/v1/completions", kPrompt);
  ASSERT_TRUE(h.Until([&] { return !first.requests.empty(); }));
  first.Head(first.requests[0], 200, "application/json", "{\"half\":");
  first.Fail(first.requests[0], true, "the server died");
  EXPECT_EQ(h.Done(answer)->body, kCompletion);
}

TEST(Gateway, CutsAStreamOffWhenItsReplicaDies) {
  Harness h;
  h.AddReplica(1, "n1");
  h.AddReplica(2, "n2");
  h.SendRoutes();
  FakeAgent& agent = h.AddAgent("n1");
  const auto answer = h.Post("/v1/completions", kStreamPrompt);
  ASSERT_TRUE(h.Until([&] { return !agent.requests.empty(); }));
  agent.Head(agent.requests[0], 200, "text/event-stream", "data: 1\n\n");
  ASSERT_TRUE(h.Until([&] { return !answer->pieces.empty(); }));
  agent.Fail(agent.requests[0], true, "the server died");
  h.Done(answer);
  EXPECT_FALSE(answer->ended.ok());
  EXPECT_EQ(answer->body,
            "data: 1\n\ndata: {\"error\":{\"message\":\"replica-1 failed: the server died; part of "
            "the answer had been sent\",\"type\":\"server_error\",\"param\":null,\"code\":"
            "\"replica_failed\"}}\n\n");
}

TEST(Gateway, FailsOverWhenAnAgentDialsAnew) {
  Harness h;
  h.AddReplica(1, "n1", 1);
  h.AddReplica(2, "n2", 2);
  h.SendRoutes();
  FakeAgent& first = h.AddAgent("n1");
  AnswerAll(h.AddAgent("n2"));
  const auto answer = h.Post("/v1/completions", kPrompt);
  ASSERT_TRUE(h.Until([&] { return !first.requests.empty(); }));
  first.Redial();
  EXPECT_EQ(h.Done(answer)->headers["x-allot-node"], "n2");
}

// The router hears that the node is gone before it hears that it is back: what was under way there
// ends, and the new link gets new work.
TEST(Gateway, ANodeThatDialsAnewIsUnlinkedFirstAndThenLinked) {
  Harness h;
  h.AddReplica(1, "n1", 1);
  h.SendRoutes();
  FakeAgent& agent = h.AddAgent("n1");
  const auto lost = h.Post("/v1/completions", kPrompt);
  ASSERT_TRUE(h.Until([&] { return !agent.requests.empty(); }));
  AnswerAll(agent);
  agent.Redial();
  EXPECT_EQ(h.Done(lost)->status, 502) << "no other replica could begin it anew";
  EXPECT_EQ(h.Done(h.Post("/v1/completions", kPrompt))->status, 200);
}

TEST(Gateway, TakesASilentNodeAsGone) {
  EXPECT_TRUE(AtSomePace([&](std::chrono::milliseconds pace) {
    Harness h([pace](Options& options) { options.agent_silence_max = pace; });
    h.AddReplica(1, "n1", 1);
    h.SendRoutes();
    FakeAgent& agent = h.AddAgent("n1");
    const auto answer = h.Post("/v1/completions", kPrompt);
    h.Done(answer);
    if (agent.requests.empty()) return false;  // It had been given up before.
    // The agent said nothing more.
    EXPECT_EQ(answer->status, 502);
    EXPECT_THAT(answer->body, HasSubstr("replica_failed"));
    return true;
  }));
}

TEST(Gateway, DropsAHelloUnderAnotherNodesName) {
  Harness h;
  h.AddReplica(2, "n2");
  h.SendRoutes();
  FakeAgent& agent = h.AddAgent("n1");
  agent.Hello("n2");
  const auto answer = h.Done(h.Post("/v1/completions", kPrompt));
  EXPECT_EQ(answer->status, 503);
  EXPECT_TRUE(agent.requests.empty());
  const auto counted = [&] {
    return h.Get("/metrics")
               ->body.find("allotrope_gateway_link_dropped_total{reason=\"garbage\"} 1") !=
           std::string::npos;
  };
  EXPECT_TRUE(h.Until(counted));
}

TEST(Gateway, ServesOnWithoutASchedulerAndTakesItsRoutesWhenItIsBack) {
  Harness h;
  h.AddReplica(1, "n1");
  h.SendRoutes();
  AnswerAll(h.AddAgent("n1"));
  h.StopScheduler();
  EXPECT_EQ(h.Done(h.Post("/v1/completions", kPrompt))->status, 200);
  EXPECT_EQ(h.Get("/v1/models")->status, 200);
  h.deployment().model = "renamed";
  h.hellos.clear();
  h.StartScheduler();
  h.SendRoutes();
  EXPECT_EQ(h.Done(h.Post("/v1/completions", kPrompt))->status, 404);
}

TEST(Gateway, DialsASilentSchedulerAnew) {
  Harness h(
      [](Options& options) { options.scheduler_silence_max = std::chrono::milliseconds(100); });
  h.mute = true;
  EXPECT_TRUE(h.Until([&] { return h.peers.size() >= 2; }));
}

TEST(Gateway, CutsOffAClientThatDoesNotReadAndFreesTheReplica) {
  Harness h([](Options& options) { options.backlog_bytes_max = 100'000; });
  h.AddReplica(1, "n1");
  h.SendRoutes();
  FakeAgent& agent = h.AddAgent("n1");
  SilentClient client(h.gateway->http_address(), kStreamPrompt);
  ASSERT_TRUE(h.Until([&] { return !agent.requests.empty(); }));
  agent.Head(agent.requests[0], 200, "text/event-stream", "data: 1\n\n");
  // The kernel's buffers take some megabytes before anything piles up here.
  int pieces = 0;
  EXPECT_TRUE(h.Until([&] {
    if (agent.cancelled.empty() && ++pieces < 1'000)
      agent.Chunk(agent.requests[0], std::string(100'000, 'x'), false);
    return !agent.cancelled.empty();
  }));
  EXPECT_THAT(h.Get("/metrics")->body, HasSubstr("allotrope_gateway_slow_clients_total 1"));
}

// ---- refusals --------------------------------------------------------------------------------

TEST(GatewayErrors, UnknownModelIs404InOpenAisShape) {
  Harness h;
  h.SendRoutes();
  const auto answer = h.Done(h.Post("/v1/completions", R"({"model":"none","prompt":""})"));
  EXPECT_EQ(answer->status, 404);
  EXPECT_EQ(answer->body,
            R"({"error":{"message":"no deployment serves the model \"none\"",)"
            R"("type":"invalid_request_error","param":"model","code":"model_not_found"}})");
  EXPECT_FALSE(answer->headers["x-allot-request-id"].empty());
}

TEST(GatewayErrors, FullQueueIs429WithRetryAfter) {
  Harness h;
  h.AddReplica(1, "n1", 1, 1);
  h.deployment().queue_max = 1;
  h.SendRoutes();
  FakeAgent& agent = h.AddAgent("n1");
  const auto flying = h.Post("/v1/completions", kPrompt);
  ASSERT_TRUE(h.Until([&] { return agent.requests.size() == 1; }));
  const auto second = h.Post("/v1/completions", kPrompt);
  const auto third = h.Post("/v1/completions", kPrompt);
  ASSERT_TRUE(h.Until([&] { return second->done || third->done; }));
  const auto& refused = second->done ? second : third;
  EXPECT_EQ(refused->status, 429);
  EXPECT_GE(std::stoi(refused->headers["retry-after"]), 1);
  EXPECT_THAT(refused->body,
              HasSubstr(R"("type":"rate_limit_error","param":null,"code":"queue_full")"));
}

TEST(GatewayErrors, NoReadyReplicaIs503WithRetryAfter) {
  Harness h;
  h.AddReplica(1, "n1");
  h.SendRoutes();
  const auto answer = h.Done(h.Post("/v1/completions", kPrompt));
  EXPECT_EQ(answer->status, 503);
  EXPECT_GE(std::stoi(answer->headers["retry-after"]), 1);
  EXPECT_LE(std::stoi(answer->headers["retry-after"]), 59);
  EXPECT_EQ(answer->headers["x-should-retry"], "true");
  EXPECT_THAT(answer->body, HasSubstr("no_replica"));
}

TEST(GatewayErrors, AWaitThatTakesTooLongIs503) {
  Harness h;
  h.AddReplica(1, "n1", 1, 1);
  h.deployment().queue_timeout = std::chrono::milliseconds(50);
  h.SendRoutes();
  FakeAgent& agent = h.AddAgent("n1");
  const auto flying = h.Post("/v1/completions", kPrompt);
  ASSERT_TRUE(h.Until([&] { return agent.requests.size() == 1; }));
  const auto answer = h.Done(h.Post("/v1/completions", kPrompt));
  EXPECT_EQ(answer->status, 503);
  EXPECT_THAT(answer->body, HasSubstr("queue_timeout"));
  EXPECT_FALSE(answer->headers["retry-after"].empty());
}

TEST(GatewayErrors, APassedDeadlineIs504AndEndsTheWork) {
  Harness h;
  h.AddReplica(1, "n1");
  h.SendRoutes();
  FakeAgent& agent = h.AddAgent("n1");
  EXPECT_TRUE(AtSomePace([&](std::chrono::milliseconds pace) {
    const auto answer = h.Done(h.Post("/v1/completions", kPrompt,
                                      {{"X-Allot-Deadline-Ms", fmt::to_string(pace.count())}}));
    EXPECT_EQ(answer->status, 504);
    EXPECT_THAT(answer->body, HasSubstr("\"code\":\"deadline\""));
    EXPECT_EQ(answer->headers["x-should-retry"], "false");
    h.Turn();
    return !agent.requests.empty();  // Else it had passed before the work began.
  }));
  ASSERT_TRUE(h.Until([&] { return !agent.cancelled.empty(); }));
}

TEST(GatewayErrors, AReplicaThatFailsIs502) {
  Harness h;
  h.AddReplica(1, "n1");
  h.SendRoutes();
  FakeAgent& agent = h.AddAgent("n1");
  agent.on_request = [](FakeAgent& self, const FakeAgent::Received& request) {
    self.Fail(request, false, "connection refused");
  };
  const auto answer = h.Done(h.Post("/v1/completions", kPrompt));
  EXPECT_EQ(answer->status, 502);
  EXPECT_THAT(answer->body, HasSubstr("connection refused"));
}

TEST(GatewayErrors, TheModelServersOwnErrorsGoThrough) {
  Harness h;
  h.AddReplica(1, "n1");
  h.SendRoutes();
  h.AddAgent("n1").on_request = [](FakeAgent& self, const FakeAgent::Received& request) {
    self.Answer(request, 422, "application/json", R"({"error":"no"})");
  };
  // Also when a stream was asked for.
  const auto answer = h.Done(h.Post("/v1/completions", kStreamPrompt));
  EXPECT_EQ(answer->status, 422);
  EXPECT_EQ(answer->body, R"({"error":"no"})");
  EXPECT_EQ(answer->headers["x-allot-node"], "n1");
}

TEST(GatewayErrors, AnAnswerThatIsTooLongIs502) {
  for (const bool last : {false, true}) {
    SCOPED_TRACE(last);
    Harness h([](Options& options) { options.answer_bytes_max = 1000; });
    h.AddReplica(1, "n1");
    h.SendRoutes();
    FakeAgent& agent = h.AddAgent("n1");
    agent.on_request = [last](FakeAgent& self, const FakeAgent::Received& request) {
      self.Head(request, 200, "application/json", std::string(600, 'x'));
      self.Chunk(request, std::string(600, 'x'), last);
    };
    const auto answer = h.Done(h.Post("/v1/completions", kPrompt));
    EXPECT_EQ(answer->status, 502);
    ASSERT_TRUE(h.Until([&] { return !agent.cancelled.empty(); }));
  }
}

TEST(GatewayErrors, ABodyNoLinkCanCarryIs413AndCostsNobodyElse) {
  Harness h([](Options& options) {
    options.body_bytes_max = 1 << 30;
    options.agent_silence_max = std::chrono::minutes(5);  // Reading it takes a while.
  });
  h.AddReplica(1, "n1");
  h.SendRoutes();
  FakeAgent& agent = h.AddAgent("n1");
  const auto flying = h.Post("/v1/completions", kPrompt);
  ASSERT_TRUE(h.Until([&] { return agent.requests.size() == 1; }));
  const auto prompt = [](size_t bytes) {
    const std::string head = R"({"model":"tiny","prompt":")";
    return head + std::string(bytes - head.size() - 2, 'x') + "\"}";
  };
  EXPECT_EQ(h.Done(h.Post("/v1/completions", prompt(kBodyBytesMax + 1)))->status, 413);
  // The largest that is taken arrives.
  const auto large = h.Post("/v1/completions", prompt(kBodyBytesMax));
  ASSERT_TRUE(h.Until([&] { return agent.requests.size() == 2; }));
  EXPECT_EQ(agent.requests[1].body.size(), static_cast<size_t>(kBodyBytesMax));
  agent.Answer(agent.requests[0], 200, "application/json", kCompletion);
  EXPECT_EQ(h.Done(flying)->status, 200);
  EXPECT_FALSE(agent.disconnected);
}

TEST(GatewayErrors, BadInputIs400AndSaysWhat) {
  Harness h;
  h.SendRoutes();
  const struct {
    std::string body, param, says;
    http::Headers headers;
  } cases[] = {
      {"", "null", "not a JSON object", {}},
      {"{", "null", "not a JSON object", {}},
      {"[]", "null", "must be an object", {}},
      {std::string(200, '[') + std::string(200, ']'), "null", "must be an object", {}},
      {R"({"prompt":"x"})", "\"model\"", "model", {}},
      {R"({"model":7,"prompt":"x"})", "\"model\"", "model", {}},
      {kPrompt, "\"X-Allot-Deadline-Ms\"", "milliseconds", {{"X-Allot-Deadline-Ms", "soon"}}},
      {kPrompt, "\"X-Allot-Deadline-Ms\"", "milliseconds", {{"X-Allot-Deadline-Ms", "0"}}},
      {kPrompt, "\"X-Allot-Priority\"", "-1000 to 1000", {{"X-Allot-Priority", "1001"}}},
      {kPrompt, "\"X-Allot-Tenant\"", "letter or digit", {{"X-Allot-Tenant", "No!"}}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.body.substr(0, 60));
    const auto answer = h.Done(h.Post("/v1/completions", c.body, c.headers));
    EXPECT_EQ(answer->status, 400);
    EXPECT_THAT(answer->body, HasSubstr("\"type\":\"invalid_request_error\",\"param\":" + c.param));
    EXPECT_THAT(answer->body, HasSubstr(c.says));
  }
}

TEST(GatewayErrors, UnknownRoutesAndMethods) {
  Harness h;
  const auto unknown = h.Get("/v1/embeddings");
  EXPECT_EQ(unknown->status, 404);
  EXPECT_THAT(unknown->body, HasSubstr("POST /v1/chat/completions"));
  const auto method = h.Get("/v1/completions");
  EXPECT_EQ(method->status, 405);
  EXPECT_EQ(method->headers["allow"], "POST");
  EXPECT_EQ(h.Done(h.Post("/v1/models", "{}"))->headers["allow"], "GET");
  EXPECT_EQ(h.Done(h.Post("/v1/models", "{}"))->status, 405);
  EXPECT_EQ(h.Get("/allot/v1/requests/nonsense")->status, 400);
  EXPECT_EQ(h.Get("/allot/v1/requests/req-00000000000000f3")->status, 404);
}

// ---- who may -----------------------------------------------------------------------------------

TEST(GatewayTokens, NothingButHealthAnswersWithoutOne) {
  TempFolder folder;
  folder.Write("tokens.yaml",
               "tokens:\n"
               "- {name: reader, sha256: " +
                   auth::Sha256Hex("r") +
                   ", role: viewer}\n"
                   "- {name: writer, sha256: " +
                   auth::Sha256Hex("w") + ", role: user, tenant: red}\n");
  Harness h([&](Options& options) {
    options.local = options.open = false;
    options.tokens_file = folder.File("tokens.yaml");
  });
  h.AddReplica(1, "n1");
  h.SendRoutes();
  AnswerAll(h.AddAgent("n1"));
  EXPECT_EQ(h.Get("/healthz")->status, 200);
  for (const char* path : {"/metrics", "/v1/models", "/allot/v1/deployments", "/nowhere",
                           "/allot/v1/requests/req-00000000000000f3"})
    EXPECT_EQ(h.Get(path)->status, 401) << path;
  const auto refused = h.Done(h.Post("/v1/completions", kPrompt, {{"Authorization", "Bearer no"}}));
  EXPECT_EQ(refused->status, 401);
  EXPECT_THAT(refused->body, HasSubstr("invalid_api_key"));

  const http::Headers reader = {{"Authorization", "Bearer r"}},
                      writer = {{"Authorization", "Bearer w"}};
  EXPECT_EQ(h.Get("/v1/models", reader)->status, 200);
  EXPECT_EQ(h.Done(h.Post("/v1/completions", kPrompt, reader))->status, 403);
  EXPECT_EQ(h.Done(h.Post("/v1/completions", kPrompt, writer))->status, 200);
  http::Headers other = writer;
  other.emplace_back("X-Allot-Tenant", "blue");
  EXPECT_EQ(h.Done(h.Post("/v1/completions", kPrompt, other))->status, 403);
}

TEST(GatewayStart, RefusesToServeTheWorldWithoutTokens) {
  boost::asio::io_context loop;
  Options options;
  options.name = "gw";
  options.schedulers = {"tcp://127.0.0.1:1"};
  options.http_listen = "0.0.0.0:0";
  options.listen = "tcp://127.0.0.1:0";
  options.local = true;
  EXPECT_THAT(MessageOf(Gateway::Start(loop, options).status()), HasSubstr("loopback"));
}

// Without a file of its own nobody has a token until the scheduler tells whose are good.
TEST(GatewayStart, LetsNobodyInBeforeItKnowsWhom) {
  Harness h([](Options& options) {
    options.local = options.open = false;
    options.allow_file.clear();
  });
  h.AddReplica(1, "n1", 1);
  h.SendRoutes();
  const http::Headers ann = {{"Authorization", "Bearer one"}};
  EXPECT_EQ(h.Get("/v1/models", ann)->status, 401);
  ASSERT_TRUE(h.hellos.back().has_admission_version());
  EXPECT_EQ(h.hellos.back().admission_version(), 0u);

  wire::Admission lists;
  lists.set_version(7);
  lists.add_agents()->set_name("n1");
  lists.mutable_agents(0)->set_public_key(h.KeyOf("n1"));
  wire::AdmittedToken* token = lists.add_tokens();
  token->set_name("ann");
  token->set_sha256(auth::Sha256Hex("one"));
  token->set_role("user");
  h.Tell(lists);
  EXPECT_EQ(h.Get("/v1/models", ann)->status, 200);
  AnswerAll(h.AddAgent("n1"));  // by the scheduler's list alone
  EXPECT_EQ(h.Done(h.Post("/v1/completions", kPrompt, ann))->status, 200);

  // Revoked there is revoked here.
  wire::Admission fewer;
  fewer.set_version(8);
  h.Tell(fewer);
  EXPECT_EQ(h.Get("/v1/models", ann)->status, 401);
  FakeAgent& n1 = *h.agents["n1"];
  n1.Redial();
  EXPECT_TRUE(h.Until([&] { return n1.disconnected; }));
}

// What is bound everywhere is told as where it is; a scheduler on this machine knows that better.
TEST(GatewayStart, TellsWhereItIs) {
  const auto told = [](const std::function<void(Options&)>& adjust) {
    Harness h([&](Options& options) {
      options.local = options.open = false;
      options.listen = "tcp://0.0.0.0:0";
      options.http_listen = "0.0.0.0:0";
      adjust(options);
    });
    EXPECT_TRUE(h.Until([&] { return !h.hellos.empty(); }));
    const wire::GatewayHello& hello = h.hellos.back();
    return hello.address().endpoint().substr(0, hello.address().endpoint().rfind(':')) + " " +
           hello.http_address().substr(0, hello.http_address().rfind(':'));
  };
  EXPECT_EQ(told([](Options&) {}), "tcp://0.0.0.0 0.0.0.0");
  EXPECT_EQ(told([](Options& options) { options.own_host = "10.0.0.5"; }),
            "tcp://10.0.0.5 10.0.0.5");
  EXPECT_EQ(told([](Options& options) { options.own_host = "fd00::5"; }),
            "tcp://[fd00::5] [fd00::5]");
  EXPECT_EQ(told([](Options& options) {
              options.own_host = "10.0.0.5";
              options.advertise = "tcp://gw1.example:7410";
              options.http_advertise = "models.example:443";
            }),
            "tcp://gw1.example models.example");
}

TEST(GatewayStart, DialsTheNextOfItsSchedulers) {
  Harness h([](Options& options) {
    options.schedulers.insert(options.schedulers.begin(), "tcp://127.0.0.1:1");
    options.schedulers.insert(options.schedulers.begin(), "tcp://no-such-host.invalid:7400");
  });
  EXPECT_TRUE(h.Until([&] { return !h.hellos.empty(); }));
}

// ---- what is shown
// -------------------------------------------------------------------------------

TEST(GatewayViews, ListsModelsAndExplainsARequest) {
  Harness h;
  h.AddReplica(1, "n1", 1);
  h.AddReplica(2, "n2", 2);
  h.SendRoutes();
  AnswerAll(h.AddAgent("n1"));
  EXPECT_THAT(h.Get("/v1/models")->body,
              HasSubstr(R"({"object":"list","data":[{"id":"tiny","object":"model")"));
  const auto answer = h.Done(h.Post("/v1/completions", kPrompt));
  const auto explained = h.Get("/allot/v1/requests/" + answer->headers["x-allot-request-id"]);
  EXPECT_EQ(explained->status, 200);
  for (
      const char* text :
      {R"({"version":1,"request":{"id":"req-)", R"("deployment":"chat","policy":"test-policy")",
       R"("outcome":"forwarded","reason":"only_replica","objective":{"end_to_end_seconds":)",
       R"({"replica":"replica-1","node":"n1","device_model":"groq/lpu-v1","kind":"ASIC","emulated":true)",
       R"("verdict":"chosen")", R"("verdict":"not linked")"})
    EXPECT_THAT(explained->body, HasSubstr(text));
  const auto deployments = h.Get("/allot/v1/deployments");
  EXPECT_THAT(
      deployments->body,
      HasSubstr(
          R"({"version":1,"deployments":[{"name":"chat","model":"tiny","queued":0,"in_flight":0,"predictions":[)"));
}

TEST(GatewayMetrics, CountByDeploymentAndDeviceAndNeverByWhatClientsMakeUp) {
  Harness h;
  h.AddReplica(1, "n1", 3.6e6);  // 1,000 $/s, so that a request costs something
  h.SendRoutes();
  AnswerAll(h.AddAgent("n1"));
  h.Done(h.Post("/v1/completions", kPrompt));
  h.Done(h.Post("/v1/completions", R"({"model":"made-up","prompt":""})"));
  const std::string text = h.Get("/metrics")->body;
  for (const char* line :
       {"allotrope_gateway_requests_total{deployment=\"chat\",device_kind=\"ASIC\","
        "device_model=\"groq/lpu-v1\",emulated=\"true\",outcome=\"ok\"} 1",
        "allotrope_gateway_requests_total{deployment=\"none\",device_kind=\"none\","
        "device_model=\"none\",emulated=\"false\",outcome=\"rejected\"} 1",
        "allotrope_gateway_request_seconds_count{", "allotrope_gateway_ttft_seconds_count{",
        "allotrope_gateway_cost_usd_total{",
        "allotrope_gateway_objective_total{deployment=\"chat\",met=\"true\"} 1",
        "allotrope_gateway_route_decisions_total{deployment=\"chat\",reason=\"only_replica\"} 1",
        "allotrope_gateway_decision_seconds_count 2",
        "allotrope_gateway_queue_length{deployment=\"chat\"} 0",
        "allotrope_gateway_requests_in_flight{deployment=\"chat\"} 0",
        "allotrope_gateway_predicted_seconds{deployment=\"chat\"",
        "allotrope_gateway_nodes_linked 1", "allotrope_gateway_scheduler_connected 1",
        "allotrope_gateway_zap_total{outcome=\"admitted\"}"})
    EXPECT_THAT(text, HasSubstr(line));
  EXPECT_THAT(text, ::testing::Not(HasSubstr("made-up")));
}

TEST(Gateway, TellsPowerAndEnergyWhereTheyAreKnown) {
  Harness h;
  h.AddReplica(1, "n1", 1.0, 4, 400'000'000);  // 400 kW, so that a request draws something
  h.SendRoutes();
  AnswerAll(h.AddAgent("n1"));
  const auto whole = h.Done(h.Post("/v1/completions", kPrompt));
  EXPECT_EQ(whole->headers["x-allot-power-watts"], "400000.000");
  EXPECT_NE(whole->headers["x-allot-energy-joules"], "");
  const auto explained = h.Get("/allot/v1/requests/" + whole->headers["x-allot-request-id"]);
  EXPECT_THAT(explained->body, HasSubstr(R"("energy_source":"modelled")"));
  EXPECT_THAT(explained->body, HasSubstr(R"("power_watts":4E5)"));
  EXPECT_THAT(h.Get("/metrics")->body,
              HasSubstr("allotrope_gateway_energy_joules_total{deployment=\"chat\""));
}

}  // namespace
}  // namespace allot::gateway
