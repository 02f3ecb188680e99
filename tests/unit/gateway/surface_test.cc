// What model clients see of a gateway beside right answers: errors, breaks, headers, other tries.
#include "common/auth/tokens.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/gateway/harness.h"
#include "tests/unit/http/harness.h"

namespace allot::gateway {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

using Habit = std::function<void(FakeAgent&, const FakeAgent::Received&)>;

Habit Says(int status, std::string body = R"({"error":{"message":"no"}})") {
  return [=](FakeAgent& self, const FakeAgent::Received& request) {
    self.Answer(request, status, "application/json", body);
  };
}

std::string RawPost(const std::string& body, const std::string& headers = "") {
  return fmt::format("POST /v1/completions HTTP/1.1\r\nHost: x\r\n{}Content-Length: {}\r\n\r\n{}",
                     headers, body.size(), body);
}

// ---- other tries -----------------------------------------------------------------------------

TEST(GatewayTries, AnErrorBeforeTheFirstByteIsTriedElsewhere) {
  for (const int status : {429, 500, 502, 503}) {
    Harness h;
    h.AddReplica(1, "n1", 1);
    h.AddReplica(2, "n2", 2);
    h.SendRoutes();
    FakeAgent& bad = h.AddAgent("n1");
    bad.on_request = Says(status);
    h.AddAgent("n2").on_request = Says(200, kCompletion);
    const auto answer = h.Done(h.Post("/v1/completions", kPrompt));
    EXPECT_EQ(answer->status, 200) << status;
    EXPECT_EQ(answer->body, kCompletion);
    EXPECT_EQ(answer->headers["x-allot-node"], "n2");
    EXPECT_EQ(bad.requests.size(), 1u);
    EXPECT_THAT(h.Get("/metrics")->body,
                HasSubstr("allotrope_gateway_retries_total{deployment=\"chat\""));
  }
}

TEST(GatewayTries, NothingInAnAnswerIsTriedElsewhere) {
  Harness h;
  h.AddReplica(1, "n1", 1);
  h.AddReplica(2, "n2", 2);
  h.SendRoutes();
  h.AddAgent("n1").on_request = Says(200, "");
  h.AddAgent("n2").on_request = Says(200, kCompletion);
  EXPECT_EQ(h.Done(h.Post("/v1/completions", kPrompt))->body, kCompletion);
}

TEST(GatewayTries, WhatTwoReplicasBreakWithGoesToTheClientAsItIsAndNotAgain) {
  Harness h;
  h.AddReplica(1, "n1", 1);
  h.AddReplica(2, "n2", 2);
  h.AddReplica(3, "n3", 3);
  h.SendRoutes();
  for (const char* node : {"n1", "n2", "n3"})
    h.AddAgent(node).on_request = Says(500, R"({"detail":"boom"})");
  const auto answer = h.Done(h.Post("/v1/completions", kPrompt));
  EXPECT_EQ(answer->status, 500);
  EXPECT_EQ(answer->body, R"({"detail":"boom"})");
  EXPECT_EQ(answer->headers["x-should-retry"], "false");
  EXPECT_FALSE(answer->headers["x-allot-request-id"].empty());
  size_t tries = 0;
  for (const auto& [node, agent] : h.agents) tries += agent->requests.size();
  EXPECT_EQ(tries, 2u);
}

TEST(GatewayTries, TheOnlyReplicasRefusalGoesThroughWithAPauseThatClientsObey) {
  Harness h;
  h.AddReplica(1, "n1");
  h.SendRoutes();
  FakeAgent& agent = h.AddAgent("n1");
  agent.on_request = Says(429);
  agent.extra = {{"retry-after", "120"}};
  const auto answer = h.Done(h.Post("/v1/completions", kPrompt));
  EXPECT_EQ(answer->status, 429);
  EXPECT_EQ(answer->headers["retry-after"], "59");
  EXPECT_EQ(answer->headers["x-should-retry"], "true");
}

TEST(GatewayTries, WhatTheModelServerCallsAMistakeIsNotWorthSendingAgain) {
  for (const int status : {400, 404, 422}) {
    Harness h;
    h.AddReplica(1, "n1");
    h.SendRoutes();
    h.AddAgent("n1").on_request = Says(status);
    const auto answer = h.Done(h.Post("/v1/completions", kPrompt));
    EXPECT_EQ(answer->status, status);
    EXPECT_EQ(answer->headers["x-should-retry"], "false");
  }
}

// In whatever form and unit it asks for a pause.
TEST(GatewayTries, APauseIsNoLongerThanClientsObeyInAnyForm) {
  const struct {
    const char *name, *said, *told;
  } rows[] = {{"retry-after", "59", "59"},
              {"retry-after", "Fri, 01 Jan 2100 00:00:00 GMT", "59"},
              {"retry-after", "Sat, 01 Jan 2000 00:00:00 GMT", "Sat, 01 Jan 2000 00:00:00 GMT"},
              {"retry-after", "soon", "soon"},
              {"retry-after-ms", "1500", "1500"},
              {"retry-after-ms", "120000", "59000"}};
  for (const auto& row : rows) {
    Harness h;
    h.AddReplica(1, "n1");
    h.SendRoutes();
    FakeAgent& agent = h.AddAgent("n1");
    agent.on_request = Says(429);
    agent.extra = {{row.name, row.said}};
    EXPECT_EQ(h.Done(h.Post("/v1/completions", kPrompt))->headers[row.name], row.told) << row.said;
  }
}

// Errors that their status does not tell.
TEST(GatewayTries, AnErrorThatCallsItselfWellIsTriedElsewhere) {
  const struct {
    const char *type, *body;
  } rows[] = {
      {"application/json", R"({"error":{"message":"no memory"}})"},
      {"application/json", R"({"object":"text_completion","choices":[]})"},
      {"text/event-stream", "data: {\"error\":{\"message\":\"no memory\"}}\n\ndata: [DONE]\n\n"},
      {"text/event-stream", "event: error\r\ndata:{\"error\":\"no memory\"}\r\n\r\n"}};
  for (const auto& row : rows) {
    Harness h;
    h.AddReplica(1, "n1");
    h.AddReplica(2, "n2");
    h.SendRoutes();
    FakeAgent& bad = h.AddAgent("n1");
    bad.on_request = [&row](FakeAgent& agent, const FakeAgent::Received& r) {
      agent.Answer(r, 200, row.type, row.body);
    };
    h.AddAgent("n2").on_request = Says(200, kCompletion);
    for (int i = 0; i < 100; ++i)
      ASSERT_EQ(h.Done(h.Post("/v1/completions", kPrompt))->body, kCompletion) << row.body;
    EXPECT_GE(bad.requests.size(), 1u) << row.body;
    EXPECT_LE(bad.requests.size(), 5u) << row.body;
  }
}

TEST(GatewayTries, AnErrorThatCallsItselfWellGoesToTheClientAsItIsWhereThereIsNoOther) {
  Harness h;
  h.AddReplica(1, "n1");
  h.SendRoutes();
  const std::string stream = "data: {\"error\":{\"message\":\"too long\"}}\n\ndata: [DONE]\n\n";
  h.AddAgent("n1").on_request = [&](FakeAgent& agent, const FakeAgent::Received& r) {
    agent.Head(r, 200, "text/event-stream", stream.substr(0, 7));
    agent.Chunk(r, stream.substr(7, 40), false);
    agent.Chunk(r, stream.substr(47), true);
  };
  const auto answer = h.Done(h.Post("/v1/completions", kPrompt));
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, stream);
  EXPECT_THAT(h.Get("/metrics")->body, HasSubstr("outcome=\"upstream_error\""));
}

TEST(GatewayTries, AReplicaThatDeclinesWhatItsPeerAnswersGetsFewOfManyRequests) {
  Harness h;
  h.AddReplica(1, "n1");
  h.AddReplica(2, "n2");
  h.SendRoutes();
  FakeAgent& bad = h.AddAgent("n1");
  bad.on_request = Says(404);
  h.AddAgent("n2").on_request = Says(200, kCompletion);
  for (int i = 0; i < 400; ++i) h.Done(h.Post("/v1/completions", kPrompt));
  EXPECT_LE(bad.requests.size(), 20u);
  EXPECT_THAT(h.Get("/allot/v1/deployments")->body, HasSubstr(R"("out_why":"declines")"));
}

// A stream of one event is an answer; one of none, beside a peer that has some, is nothing.
TEST(GatewayTries, AStreamOfOneEventIsAnAnswerAndOneOfNoneIsNot) {
  for (const char* stream : {"data: {}\n\n", ": nothing\n\n"}) {
    Harness h;
    h.AddReplica(1, "n1");
    h.AddReplica(2, "n2");
    h.SendRoutes();
    FakeAgent& one = h.AddAgent("n1");
    one.on_request = [&](FakeAgent& self, const FakeAgent::Received& request) {
      self.Answer(request, 200, "text/event-stream", stream);
    };
    h.AddAgent("n2").on_request = [](FakeAgent& self, const FakeAgent::Received& request) {
      self.Answer(request, 200, "text/event-stream", "data: {}\n\ndata: {}\n\n");
    };
    for (int i = 0; i < 100; ++i) h.Done(h.Post("/v1/completions", kStreamPrompt));
    const bool put_out =
        h.Get("/metrics")->body.find("allotrope_gateway_replica_ejections_total{") !=
        std::string::npos;
    EXPECT_EQ(put_out, stream[0] == ':') << stream << h.Get("/metrics")->body;
  }
}

// Errors are answered whole, whatever was asked for: one that breaks off is tried elsewhere.
TEST(GatewayTries, AnErrorIsNotStreamed) {
  Harness h;
  h.AddTwo(
      [](FakeAgent& self, const FakeAgent::Received& request) {
        self.Head(request, 400, "application/json", "{\"error\":{\"mess");
        self.Fail(request, true, "the server died");
      },
      [](FakeAgent& self, const FakeAgent::Received& request) {
        self.Answer(request, 200, "text/event-stream", "data: {}\n\n");
      });
  const auto answer = h.Done(h.Post("/v1/completions", kStreamPrompt));
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, "data: {}\n\n");
}

// The client is wrong, and no replica is.
TEST(GatewayTries, WhatAllDeclinePutsNobodyOutForLong) {
  Harness h;
  h.AddReplica(1, "n1");
  h.AddReplica(2, "n2");
  h.SendRoutes();
  FakeAgent& one = h.AddAgent("n1");
  FakeAgent& other = h.AddAgent("n2");
  one.on_request = other.on_request = Says(400);
  for (int i = 0; i < 400; ++i) ASSERT_EQ(h.Done(h.Post("/v1/completions", kPrompt))->status, 400);
  EXPECT_GE(one.requests.size(), 1u);
  EXPECT_GE(other.requests.size(), 1u);
  EXPECT_THAT(h.Get("/metrics")->body,
              HasSubstr("allotrope_gateway_replica_ejections_total{cause=\"declines\",deployment="
                        "\"chat\"} 1\n"));
}

TEST(GatewayTries, AReplicaThatFailsAtOnceGetsFewOfManyRequests) {
  Harness h;
  h.AddReplica(1, "n1");
  h.AddReplica(2, "n2");
  h.SendRoutes();
  FakeAgent& bad = h.AddAgent("n1");
  bad.on_request = Says(500);
  h.AddAgent("n2").on_request = Says(200, kCompletion);
  for (int i = 0; i < 100; ++i) ASSERT_EQ(h.Done(h.Post("/v1/completions", kPrompt))->status, 200);
  EXPECT_LE(bad.requests.size(), 5u);
  const std::string metrics = h.Get("/metrics")->body;
  EXPECT_THAT(metrics,
              HasSubstr("allotrope_gateway_replica_ejections_total{cause=\"failures\",deployment="
                        "\"chat\"}"));
  EXPECT_THAT(metrics, HasSubstr("allotrope_gateway_replicas_out{deployment=\"chat\"} 1"));
  EXPECT_THAT(h.Get("/allot/v1/deployments")->body, HasSubstr(R"("out_why":"failures")"));
}

// Clients in use take a pause of more than a minute for none; nonsense is theirs to read.
TEST(GatewayTries, PausesOfSecondsAreCutToWhatClientsObey) {
  for (const auto& [said, heard] : std::vector<std::pair<std::string, std::string>>{
           {"0", "0"},
           {"59", "59"},
           {"60", "59"},
           {"3600", "59"},
           {"9223372036854775807", "59"},
           {"9223372036854775808", "9223372036854775808"},
           {"-1", "-1"},
           {"120 s", "120 s"},
           {"Fri, 31 Dec 9999 23:59:59 GMT", "59"},
           {"Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"}}) {
    Harness h;
    h.AddReplica(1, "n1");
    h.SendRoutes();
    FakeAgent& agent = h.AddAgent("n1");
    agent.on_request = Says(429);
    agent.extra = {{"retry-after", said}};
    EXPECT_EQ(h.Done(h.Post("/v1/completions", kPrompt))->headers["retry-after"], heard) << said;
  }
}

TEST(GatewayAnswers, AStatusThatIsNoneIs502) {
  for (const auto& [said, heard] : std::vector<std::pair<int, int>>{{0, 502},
                                                                    {99, 502},
                                                                    {199, 502},
                                                                    {200, 200},
                                                                    {299, 299},
                                                                    {404, 404},
                                                                    {599, 599},
                                                                    {600, 502}}) {
    Harness h;
    h.AddReplica(1, "n1");
    h.SendRoutes();
    h.AddAgent("n1").on_request = Says(said, kCompletion);
    EXPECT_EQ(h.Done(h.Post("/v1/completions", kPrompt))->status, heard) << said;
  }
}

// ---- answers that belong to nobody -----------------------------------------------------------

TEST(GatewayAnswers, FromAnotherNodeThanTheOneAskedAreNotTaken) {
  Harness h;
  h.AddReplica(1, "n1");
  h.AddReplica(2, "n2", 100);
  h.SendRoutes();
  FakeAgent& asked = h.AddAgent("n1");
  FakeAgent& other = h.AddAgent("n2");
  const auto answer = h.Post("/v1/completions", kPrompt);
  ASSERT_TRUE(h.Until([&] { return !asked.requests.empty() || !other.requests.empty(); }));
  FakeAgent& right = asked.requests.empty() ? other : asked;
  FakeAgent& wrong = asked.requests.empty() ? asked : other;
  wrong.Answer(right.requests[0], 200, "application/json", R"({"forged":1})");
  ASSERT_TRUE(h.Until([&] { return !wrong.cancelled.empty(); }));
  right.Answer(right.requests[0], 200, "application/json", kCompletion);
  EXPECT_EQ(h.Done(answer)->body, kCompletion);
}

TEST(GatewayAnswers, AHeadSaidTwiceCountsOnce) {
  Harness h;
  h.AddReplica(1, "n1");
  h.SendRoutes();
  FakeAgent& agent = h.AddAgent("n1");
  const auto answer = h.Post("/v1/completions", kPrompt);
  ASSERT_TRUE(h.Until([&] { return !agent.requests.empty(); }));
  agent.Head(agent.requests[0], 200, "application/json", "{\"a\":");
  agent.Head(agent.requests[0], 500, "text/plain", "oh");
  agent.Chunk(agent.requests[0], "1}", true);
  h.Done(answer);
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, "{\"a\":1}");
  EXPECT_EQ(answer->headers["content-type"], "application/json");
}

// ---- streams ---------------------------------------------------------------------------------

// One replica is asked for a stream, and what it answers is the test's.
class GatewayStreams : public ::testing::Test {
 protected:
  void Ask(const char* body = kStreamPrompt) {
    h.AddReplica(1, "n1");
    h.SendRoutes();
    agent = &h.AddAgent("n1");
    answer = h.Post("/v1/completions", body);
    ASSERT_TRUE(h.Until([&] { return !agent->requests.empty(); }));
  }
  const FakeAgent::Received& request() const { return agent->requests[0]; }

  Harness h;
  FakeAgent* agent = nullptr;
  std::shared_ptr<Answer> answer;
};

TEST_F(GatewayStreams, WhatStreamsIsTheAnswersToSay) {
  Ask(R"({"model":"tiny","stream":"please"})");
  agent->Head(request(), 200, "text/event-stream; charset=utf-8", "data: 1\n\nda");
  ASSERT_TRUE(h.Until([&] { return !answer->pieces.empty(); }));
  EXPECT_EQ(answer->body, "data: 1\n\n") << "events go out whole";
  EXPECT_EQ(answer->headers["x-accel-buffering"], "no");
  EXPECT_EQ(answer->headers["cache-control"], "no-cache");
  agent->Chunk(request(), "ta: {\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":9}}\n\n",
               false);
  agent->Chunk(request(), "data: [DONE]\n\nno end", true);
  h.Done(answer);
  EXPECT_TRUE(answer->ended.ok());
  EXPECT_THAT(answer->body, HasSubstr("data: [DONE]\n\nno end"));
  EXPECT_THAT(h.Get("/metrics")->body,
              HasSubstr("allotrope_gateway_tokens_total{deployment=\"chat\",kind=\"output\",tenant="
                        "\"default\"} 9"));
}

// The end of a long stream is where usage stands, however it was cut into pieces.
TEST_F(GatewayStreams, UsageIsFoundBehindALongAnswer) {
  Ask();
  const std::string event = "data: " + std::string(992, 'x') + "\n\n";
  agent->Head(request(), 200, "text/event-stream", event);
  for (int i = 0; i < 7; ++i) agent->Chunk(request(), event, false);
  agent->Chunk(request(), event + "data: {\"usage\":{\"prompt_tokens\":5,\"completion_tok", false);
  agent->Chunk(request(), "ens\":77}}\n\n", false);
  agent->Chunk(request(), "data: [DONE]\n\n", true);
  h.Done(answer);
  EXPECT_THAT(h.Get("/metrics")->body,
              HasSubstr("allotrope_gateway_tokens_total{deployment=\"chat\",kind=\"output\",tenant="
                        "\"default\"} 77"));
}

TEST_F(GatewayStreams, ABreakInTheMiddleOfAnEventIsToldBetweenEvents) {
  Ask();
  agent->Head(request(), 200, "text/event-stream", "data: 1\n\ndata: {\"half");
  ASSERT_TRUE(h.Until([&] { return !answer->pieces.empty(); }));
  agent->Fail(request(), true, "the server died");
  h.Done(answer);
  EXPECT_FALSE(answer->ended.ok());
  EXPECT_THAT(answer->body, ::testing::StartsWith("data: 1\n\ndata: {\"error\":{\"message\":"));
  EXPECT_THAT(answer->body, Not(HasSubstr("half")));
  EXPECT_THAT(answer->body, Not(HasSubstr("[DONE]")));
}

// It has half of an event already: no event of ours can follow.
TEST_F(GatewayStreams, ABreakWithinAnEventThatIsTooLongToKeepIsOnlyACut) {
  Ask();
  const std::string half = "data: " + std::string(100'000, 'x');
  agent->Head(request(), 200, "text/event-stream", half);
  ASSERT_TRUE(h.Until([&] { return answer->body.size() == half.size(); }));
  agent->Fail(request(), true, "the server died");
  h.Done(answer);
  EXPECT_FALSE(answer->ended.ok());
  EXPECT_EQ(answer->body, half);
}

// Whatever is kept to be looked at goes out at the end of the stream.
TEST_F(GatewayStreams, OneThatEndsBeforeItsFirstEventIsWholeIsPassedOn) {
  Ask();
  agent->Head(request(), 200, "text/event-stream", "da");
  agent->Chunk(request(), "ta: {}", true);
  h.Done(answer);
  EXPECT_TRUE(answer->ended.ok()) << answer->ended;
  EXPECT_EQ(answer->body, "data: {}");
}

// Its first line says that it is no error, and that is all there is to wait for.
TEST_F(GatewayStreams, OneBeginsWithItsFirstLineOfData) {
  Ask();
  agent->Head(request(), 200, "text/event-stream", "data: {}\n");
  ASSERT_TRUE(h.Until([&] { return answer->status == 200; }));
  EXPECT_EQ(answer->body, "");
  agent->Chunk(request(), "\n", true);
  h.Done(answer);
  EXPECT_EQ(answer->body, "data: {}\n\n");
}

TEST_F(GatewayStreams, ABreakOfAnythingElseIsOnlyACut) {
  Ask();
  agent->Head(request(), 200, "application/x-ndjson", "{\"a\":1}\n");
  ASSERT_TRUE(h.Until([&] { return !answer->pieces.empty(); }));
  agent->Fail(request(), true, "the server died");
  h.Done(answer);
  EXPECT_FALSE(answer->ended.ok());
  EXPECT_EQ(answer->body, "{\"a\":1}\n");
}

// ---- headers and paths -----------------------------------------------------------------------

TEST(GatewayHeaders, PassBothWaysButThoseOfThisConnectionAndOurs) {
  Harness h;
  h.AddReplica(1, "n1");
  h.SendRoutes();
  FakeAgent& agent = h.AddAgent("n1");
  agent.extra = {{"openai-processing-ms", "7"},
                 {"x-ratelimit-limit-requests", "9"},
                 {"x-allot-node", "forged"},
                 {"keep-alive", "timeout=1"}};
  agent.on_request = Says(200, kCompletion);
  const auto answer = h.Done(h.Post("/v1/completions?api-version=2026-01&a%20b=%2F&c", kPrompt,
                                    {{"OpenAI-Organization", "o"},
                                     {"X-Session", "s"},
                                     {"Accept-Encoding", "gzip"},
                                     {"Proxy-Authorization", "Basic x"},
                                     {"X-Allot-Tenant", "red"}}));
  const FakeAgent::Received& got = agent.requests.at(0);
  EXPECT_EQ(got.request.path(), "/v1/completions?api-version=2026-01&a%20b=%2F&c");
  EXPECT_EQ(got.Header("openai-organization"), "o");
  EXPECT_EQ(got.Header("x-session"), "s");
  for (const char* name : {"accept-encoding", "proxy-authorization", "host", "content-length",
                           "x-allot-tenant", "authorization"})
    EXPECT_EQ(got.Header(name), "") << name;
  http::RawClient raw(h.loop, h.gateway->http_address());
  raw.Send(RawPost(kPrompt, "X-Hop: one\r\nX-Stays: two\r\nConnection: keep-alive ,\tX-Hop\r\n"));
  ASSERT_TRUE(raw.Await(kCompletion));
  EXPECT_EQ(agent.requests.at(1).Header("x-hop"), "");
  EXPECT_EQ(agent.requests.at(1).Header("connection"), "");
  EXPECT_EQ(agent.requests.at(1).Header("x-stays"), "two");
  EXPECT_EQ(answer->headers["openai-processing-ms"], "7");
  EXPECT_EQ(answer->headers["x-ratelimit-limit-requests"], "9");
  EXPECT_EQ(answer->headers["x-allot-node"], "n1");
}

// How an answer is framed and what x-allot-… says of it is the gateway's, whatever the model server
// sends.
TEST(GatewayHeaders, WhatTheGatewaySaysItselfIsNotTakenFromTheModelServer) {
  Harness h;
  h.AddReplica(1, "n1");
  h.SendRoutes();
  FakeAgent& agent = h.AddAgent("n1");
  for (const char* name : {"content-length", "date", "server", "connection", "keep-alive",
                           "transfer-encoding", "x-allot-node", "x-allot-anything"})
    agent.extra.emplace_back(name, "forged-" + std::string(name));
  agent.extra.emplace_back("x-other", "passed");
  agent.on_request = Says(200, kCompletion);
  http::RawClient raw(h.loop, h.gateway->http_address());
  raw.Send(RawPost(kPrompt));
  ASSERT_TRUE(raw.Await(kCompletion));
  EXPECT_THAT(raw.received(), Not(HasSubstr("forged")));
  EXPECT_THAT(raw.received(), HasSubstr("passed"));
  EXPECT_EQ(raw.Count("application/json"), 1);
}

TEST(GatewayHeaders, DeadlinesAreAnyTimeFromNow) {
  Harness h;
  h.AddReplica(1, "n1");
  h.SendRoutes();
  h.AddAgent("n1").on_request = Says(200, kCompletion);
  for (const char* fine : {"100000.5", "1e5", "99999999999"})
    EXPECT_EQ(h.Done(h.Post("/v1/completions", kPrompt, {{"X-Allot-Deadline-Ms", fine}}))->status,
              200)
        << fine;
  for (const char* wrong : {"-1", "0", "nan", "soon", "1s"})
    EXPECT_EQ(h.Done(h.Post("/v1/completions", kPrompt, {{"X-Allot-Deadline-Ms", wrong}}))->status,
              400)
        << wrong;
}

TEST(GatewayPaths, AreServedAsAFilterInFrontSeesThem) {
  Harness h;
  h.AddReplica(1, "n1");
  h.SendRoutes();
  h.AddAgent("n1").on_request = Says(200, kCompletion);
  EXPECT_EQ(h.Done(h.Post("/v1/completions/", kPrompt))->status, 200);
  EXPECT_EQ(h.Done(h.Post("/v1%2Fcompletions", kPrompt))->status, 404);
  EXPECT_EQ(h.Done(h.Post("/v1%2fcompletions", kPrompt))->status, 404);
  EXPECT_EQ(h.Done(h.Post("/v1/%63ompletions", kPrompt))->status, 400);
  EXPECT_EQ(h.Done(h.Post("/v1/completions%2e", kPrompt))->status, 400);
}

TEST(GatewayModels, AreLookedUpByName) {
  Harness h;
  h.deployment().model = "maker/tiny";
  h.deployment().created = FromMicros(1'700'000'000'500'000);
  h.deployment().tenant = "red";
  RouteDeployment younger = h.deployment();
  younger.name = "a";
  younger.created = FromMicros(1'800'000'000'000'000);
  h.table.deployments.insert(h.table.deployments.begin(), younger);
  h.SendRoutes();
  const std::string one =
      R"({"id":"maker/tiny","object":"model","created":1700000000,"owned_by":"red","deployment":"chat"})";
  EXPECT_EQ(h.Get("/v1/models")->body, R"({"object":"list","data":[)" + one + "]}");
  for (const char* path : {"/v1/models/maker/tiny", "/v1/models/maker%2Ftiny"})
    EXPECT_EQ(h.Get(path)->body, one) << path;
  const auto none = h.Get("/v1/models/other");
  EXPECT_EQ(none->status, 404);
  EXPECT_THAT(none->body, HasSubstr("model_not_found"));
  EXPECT_THAT(h.Get("/allot/v1/deployments")->body, HasSubstr(R"("shadowed_by":"chat")"));
  EXPECT_THAT(h.Get("/metrics")->body,
              HasSubstr("allotrope_gateway_deployments_shadowed{deployment=\"a\"} 1"));
}

// ---- errors of the HTTP layer ----------------------------------------------------------------

TEST(GatewayHttp, ItsErrorsAreTheGatewaysAndAreCounted) {
  Harness h([](Options& options) { options.body_bytes_max = 1000; });
  h.SendRoutes();
  const struct {
    std::string request, status, header, counted;
  } cases[] = {
      {"GET /v1/models HTTP/1.1\r\n\r\n", "400", "", "bad_request"},
      {"nonsense\r\n\r\n", "400", "", "bad_request"},
      {"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", "400", "", "bad_request"},
      {"GET / HTTP/1.1\r\nHost: x\r\nX: " + std::string(40'000, 'x') + "\r\n\r\n", "431", "",
       "head_too_large"},
      {RawPost(std::string(1001, 'x')), "413", "", "body_too_large"},
      {"POST /v1/completions HTTP/1.1\r\nHost: x\r\nExpect: tea\r\nContent-Length: 9\r\n\r\n",
       "417", "", "expectation"},
      {"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", "405", "Allow: ", "method"},
      {"GET /v1/completions HTTP/1.1\r\nHost: x\r\n\r\n", "405", "Allow: POST\r\n", "method"},
      {RawPost(kPrompt, "Content-Encoding: gzip\r\n"), "415", "", "media_type"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.request.substr(0, 60));
    http::RawClient client(h.loop, h.gateway->http_address());
    client.Send(c.request);
    ASSERT_TRUE(client.Await("}}"));
    EXPECT_THAT(client.received(), ::testing::StartsWith("HTTP/1.1 " + c.status));
    EXPECT_THAT(client.received(), HasSubstr("X-Allot-Request-Id: req-"));
    EXPECT_THAT(client.received(), HasSubstr("X-Should-Retry: false"));
    EXPECT_THAT(client.received(), HasSubstr(R"("type":"invalid_request_error","param":)"));
    EXPECT_THAT(client.received(), HasSubstr(c.header));
    EXPECT_THAT(h.Get("/metrics")->body,
                Not(HasSubstr("http_refused_total{reason=\"" + c.counted + "\"} 0")));
  }
  http::RawClient options(h.loop, h.gateway->http_address());
  options.Send("OPTIONS /v1/models HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(options.Await("\r\n\r\n"));
  EXPECT_THAT(options.received(), HasSubstr("X-Allot-Request-Id: req-"));
}

TEST(GatewayHttp, AClientThatHasOnlyStoppedSendingGetsItsAnswer) {
  Harness h;
  h.AddReplica(1, "n1");
  h.SendRoutes();
  FakeAgent& agent = h.AddAgent("n1");
  http::RawClient client(h.loop, h.gateway->http_address());
  client.Send(RawPost(kPrompt));
  ASSERT_TRUE(h.Until([&] { return !agent.requests.empty(); }));
  client.CloseSending();
  h.Turn();
  agent.Answer(agent.requests[0], 200, "application/json", kCompletion);
  ASSERT_TRUE(client.AwaitEnd());
  EXPECT_THAT(client.received(), HasSubstr("HTTP/1.1 200 OK"));
  EXPECT_THAT(client.received(), HasSubstr(kCompletion));
  EXPECT_TRUE(agent.cancelled.empty());
}

TEST(GatewayHttp, AndSoDoesOneThatReadsAStream) {
  Harness h;
  h.AddReplica(1, "n1");
  h.SendRoutes();
  FakeAgent& agent = h.AddAgent("n1");
  http::RawClient client(h.loop, h.gateway->http_address());
  client.Send(RawPost(kStreamPrompt));
  ASSERT_TRUE(h.Until([&] { return !agent.requests.empty(); }));
  agent.Head(agent.requests[0], 200, "text/event-stream", "data: 1\n\n");
  ASSERT_TRUE(client.Await("data: 1"));
  client.CloseSending();
  h.Turn();
  agent.Chunk(agent.requests[0], "data: 2\n\n", false);
  ASSERT_TRUE(client.Await("data: 2"));
  agent.Chunk(agent.requests[0], "data: [DONE]\n\n", true);
  ASSERT_TRUE(client.AwaitEnd());
  EXPECT_THAT(client.received(), ::testing::EndsWith("\r\n0\r\n\r\n"));
}

TEST(GatewayHttp, OneThatIsGoneIsNoticedBeforeItsAnswer) {
  Harness h;
  h.AddReplica(1, "n1");
  h.SendRoutes();
  FakeAgent& agent = h.AddAgent("n1");
  {
    http::RawClient client(h.loop, h.gateway->http_address());
    client.Send(RawPost(kPrompt));
    ASSERT_TRUE(h.Until([&] { return !agent.requests.empty(); }));
  }
  EXPECT_TRUE(h.Until([&] { return !agent.cancelled.empty(); }));
  EXPECT_THAT(h.Get("/metrics")->body,
              Not(HasSubstr("allotrope_gateway_repeated_requests_total{deployment=\"chat\"} 1")));
  // The same asked again is work done twice.
  const auto again = h.Post("/v1/completions", kPrompt);
  ASSERT_TRUE(h.Until([&] { return agent.requests.size() == 2; }));
  EXPECT_THAT(h.Get("/metrics")->body,
              HasSubstr("allotrope_gateway_repeated_requests_total{deployment=\"chat\"} 1"));
}

// ---- who goes first --------------------------------------------------------------------------

TEST(GatewayPriority, IsForTheTenantOfTheDeployment) {
  TempFolder folder;
  folder.Write("tokens.yaml",
               "tokens:\n- {name: red, sha256: " + auth::Sha256Hex("r") +
                   ", role: user, tenant: red}\n- {name: blue, sha256: " + auth::Sha256Hex("b") +
                   ", role: user, tenant: blue}\n- {name: any, sha256: " + auth::Sha256Hex("a") +
                   ", role: user}\n");
  Harness h([&](Options& options) {
    options.local = options.open = false;
    options.tokens_file = folder.File("tokens.yaml");
  });
  h.AddReplica(1, "n1");
  h.deployment().tenant = "red";
  h.SendRoutes();
  h.AddAgent("n1").on_request = Says(200, kCompletion);
  const auto ask = [&](const std::string& token, const std::string& priority) {
    return h
        .Done(h.Post("/v1/completions", kPrompt,
                     {{"Authorization", "Bearer " + token}, {"X-Allot-Priority", priority}}))
        ->status;
  };
  EXPECT_EQ(ask("r", "5"), 200);
  EXPECT_EQ(ask("a", "5"), 200);
  EXPECT_EQ(ask("b", "5"), 403);
  EXPECT_EQ(ask("b", "0"), 200);
  EXPECT_EQ(ask("b", "-5"), 200);
  EXPECT_THAT(
      h.Get("/metrics", {{"Authorization", "Bearer a"}})->body,
      HasSubstr("allotrope_gateway_tenant_requests_total{outcome=\"ok\",tenant=\"blue\"} 2"));
}

TEST(GatewayMetrics, TellAModelServersErrorsFromAnswers) {
  Harness h;
  h.AddReplica(1, "n1");
  h.SendRoutes();
  h.AddAgent("n1").on_request = Says(404);
  const auto answer = h.Done(h.Post("/v1/completions", kPrompt));
  EXPECT_EQ(answer->headers["x-should-retry"], "false");
  const std::string metrics = h.Get("/metrics")->body;
  EXPECT_THAT(metrics, HasSubstr("outcome=\"client_error\"} 1"));
  EXPECT_THAT(metrics, HasSubstr("allotrope_gateway_upstream_answers_total{deployment=\"chat\","
                                 "status=\"404\"} 1"));
  EXPECT_THAT(metrics, Not(HasSubstr("outcome=\"ok\"} 1")));
}

TEST(GatewayMetrics, TenantsThatClientsMakeUpAreBounded) {
  Harness h;
  h.SendRoutes();
  for (int i = 0; i < 150; ++i)
    h.Done(h.Post("/v1/completions", kPrompt, {{"X-Allot-Tenant", fmt::format("t{}", i)}}));
  EXPECT_THAT(h.Get("/metrics")->body,
              HasSubstr("allotrope_gateway_tenant_requests_total{outcome=\"rejected\",tenant="
                        "\"other\"}"));
  EXPECT_THAT(h.Get("/metrics")->body, Not(HasSubstr("tenant=\"t149\"")));
}

}  // namespace
}  // namespace allot::gateway
