// What comes from strangers: too much, too slow, too many, and not HTTP at all.
#include "common/http/overload.h"
#include "tests/pace.h"
#include "tests/unit/http/harness.h"

#include "gmock/gmock.h"

namespace allot::http {
namespace {

using ::testing::HasSubstr;
using HttpLimits = HttpTest;

TEST_F(HttpLimits, BodyOverTheCapIs413) {
  ServeEcho({.body_bytes_max = 1000});
  auto client = Connect();
  client->Send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" +
               std::string(1000, 'b'));
  client->Await("/a|bbb");
  client->Send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n");
  ASSERT_TRUE(client->AwaitEnd());
  EXPECT_THAT(client->received(), HasSubstr("HTTP/1.1 413 "));
  EXPECT_EQ(requests_.size(), 1u);
}

TEST_F(HttpLimits, ClientThatSendsABigBodyAnywayStillReadsItsAnswer) {
  ServeEcho({.body_bytes_max = 1000});
  auto client = Connect();
  client->Send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n" +
               std::string(50'000'000, 'b'));
  client->Await("HTTP/1.1 413 ");
  client->Close();
  EXPECT_TRUE(Until([&] { return server_->connections() == 0; }));
}

TEST_F(HttpLimits, ChunkedBodyOverTheCapIs413) {
  ServeEcho({.body_bytes_max = 1000});
  auto client = Connect();
  client->Send("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 11; ++i) client->Send("64\r\n" + std::string(100, 'b') + "\r\n");
  client->Await("HTTP/1.1 413 ");
  EXPECT_TRUE(requests_.empty());
}

TEST_F(HttpLimits, BigBodyIsNotAskedFor) {
  ServeEcho({.body_bytes_max = 1000});
  auto client = Connect();
  client->Send(
      "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\nExpect: 100-continue\r\n\r\n");
  ASSERT_TRUE(client->AwaitEnd());
  EXPECT_THAT(client->received(), testing::StartsWith("HTTP/1.1 413 "));
}

TEST_F(HttpLimits, HeadOverTheCapIs431) {
  ServeEcho({.header_bytes_max = 2000});
  for (const std::string& head : {"GET /" + std::string(3000, 'p'),
                                  "GET / HTTP/1.1\r\nHost: x\r\nX: " + std::string(3000, 'v')}) {
    auto client = Connect();
    client->Send(head);
    ASSERT_TRUE(client->Await("HTTP/1.1 431 "));
    client->Close();
  }
}

// Each of these never ends, and none of it is body: what is kept of it must have an end.
TEST_F(HttpLimits, WordsAboutChunksAndTrailersOverTheCapAre431) {
  ServeEcho({.header_bytes_max = 2000});
  const std::string head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::string& start : {head + "5;a", head + "0\r\nX: y", head + "0\r\n"}) {
    auto client = Connect();
    client->Send(start);
    EXPECT_TRUE(Until([&] {
      if (!client->ended()) client->Send(std::string(500, 'a'));
      loop_.run_one_for(std::chrono::milliseconds(5));
      return client->Count("HTTP/1.1 431 ") == 1;
    })) << start;
  }
  EXPECT_TRUE(requests_.empty());
}

TEST_F(HttpLimits, WholeLinesWithoutEndAre431) {
  ServeEcho({.header_bytes_max = 2000});
  const std::string chunked = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::pair<std::string, std::string> cases[] = {
      {"GET / HTTP/1.1\r\nHost: x\r\n", "X: " + std::string(100, 'v') + "\r\n"},
      {chunked, "1;" + std::string(100, 'e') + "\r\nb\r\n"},
  };
  for (const auto& [start, line] : cases) {
    auto client = Connect();
    client->Send(start);
    EXPECT_TRUE(Until([&, &line = line] {
      if (!client->ended()) client->Send(line);
      loop_.run_one_for(std::chrono::milliseconds(5));
      return client->Count("HTTP/1.1 431 ") == 1;
    })) << line;
  }
  EXPECT_TRUE(requests_.empty());
}

TEST_F(HttpLimits, SmallChunksWithExtensionsAndTrailersAreARequest) {
  ServeEcho({.header_bytes_max = 2000});
  auto client = Connect();
  std::string request = "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n";
  for (int i = 0; i < 1000; ++i) request += "1\r\nb\r\n";
  request += "1;sign=yes\r\nc\r\n0\r\nDigest: x\r\n\r\n";
  client->Send(request);
  ASSERT_TRUE(client->Await("bc"));
  EXPECT_EQ(requests_.at(0).body, std::string(1000, 'b') + "c");
  EXPECT_EQ(requests_.at(0).Header("digest"), "");
}

TEST_F(HttpLimits, BadEncodingIs400AndTheConnectionLivesOn) {
  ServeEcho();
  auto client = Connect();
  for (const char* target :
       {"/%", "/%4", "/%zz", "/%00", "/%ff", "/a?x=%9", "/a?%C0%AF=1", "a", "?"}) {
    client->Forget();
    client->Send(fmt::format("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", target));
    if (std::string_view(target) == "?") {
      client->Await("HTTP/1.1 200 ");  // An empty path is "/".
    } else {
      client->Await("HTTP/1.1 400 ");
    }
  }
  EXPECT_EQ(requests_.size(), 1u);
}

TEST_F(HttpLimits, WhatIsNotHttpIs400) {
  ServeEcho();
  for (const char* text :
       {"\x16\x03\x01\x02\x01\x01\xfc\x03\x03 hello tls", "GET / HTTP/3.0\r\n\r\n", "GET\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ten\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"}) {
    auto client = Connect();
    client->Send(text);
    ASSERT_TRUE(client->AwaitEnd()) << text;
    EXPECT_THAT(client->received(), HasSubstr("HTTP/1.1 400 ")) << text;
  }
  EXPECT_TRUE(requests_.empty());
}

// To a proxy before us these have a body, and what is in it was never checked as a request.
TEST_F(HttpLimits, BodyWhoseEndIsInDoubtIsNeverTheNextRequest) {
  ServeEcho();
  for (const char* head :
       {"HTTP/1.1\r\nTransfer-Encoding: xchunked", "HTTP/1.1\r\nTransfer-Encoding: identity",
        "HTTP/1.1\r\nTransfer-Encoding: chunked, identity",
        "HTTP/1.1\r\nTransfer-Encoding: gzip, chunked", "HTTP/1.1\r\nTransfer-Encoding:",
        "HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "HTTP/1.1\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "HTTP/1.1\r\nTransfer-Encoding: identity\r\nContent-Length: 3",
        "HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked"}) {
    auto client = Connect();
    client->Send(fmt::format("POST / {}\r\nHost: x\r\n\r\n0\r\n\r\n", head) +
                 "GET /inner HTTP/1.1\r\nHost: x\r\n\r\n");
    ASSERT_TRUE(client->AwaitEnd()) << head;
    EXPECT_THAT(client->received(), testing::StartsWith("HTTP/1.1 400 ")) << head;
    EXPECT_EQ(client->Count("\r\nDate: "), 1) << head;
  }
  EXPECT_TRUE(requests_.empty());
}

TEST_F(HttpLimits, UnknownExpectationAndForbiddenMethods) {
  ServeEcho();
  auto client = Connect();
  client->Send("POST / HTTP/1.1\r\nHost: x\r\nExpect: tea\r\nContent-Length: 1\r\n\r\n");
  client->Await("HTTP/1.1 417 ");
  auto other = Connect();
  other->Send("TRACE / HTTP/1.1\r\nHost: x\r\n\r\n");
  other->Await("HTTP/1.1 405 ");
}

TEST_F(HttpLimits, WhoMayNotAskIsToldBeforeTheBodyIsRead) {
  std::vector<std::string> asked;
  ServeEcho({.refuse = [&](const Request& head) -> std::optional<Response> {
    asked.push_back(head.method + " " + head.path);
    EXPECT_EQ(head.body, "");
    if (head.Header("authorization") == "Bearer good") return std::nullopt;
    return ErrorResponse(Unauthenticated("no token"));
  }});
  const std::string head = "POST /a%20b?x=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n";
  for (const char* more : {"\r\n", "\r\nbody", "Expect: 100-continue\r\n\r\n"}) {
    auto stranger = Connect();
    stranger->Send(head + more);  // and the rest never comes
    ASSERT_TRUE(stranger->AwaitEnd());
    EXPECT_THAT(stranger->received(), testing::StartsWith("HTTP/1.1 401 "));
  }
  EXPECT_THAT(asked, testing::Each("POST /a b"));
  EXPECT_EQ(asked.size(), 3u);
  EXPECT_TRUE(requests_.empty());
  auto friendly = Connect();
  for (int i = 0; i < 2; ++i) {
    friendly->Send(head + "Authorization: Bearer good\r\nExpect: 100-continue\r\n\r\n");
    ASSERT_TRUE(friendly->Await("HTTP/1.1 100 "));
    friendly->Send("1234");
    friendly->Send("5678");
    ASSERT_TRUE(friendly->Await("|12345678"));
    friendly->Forget();
  }
  EXPECT_EQ(asked.size(), 5u);  // once a request
}

TEST_F(HttpLimits, TrickledBodyDoesNotHoldAConnection) {
  ServeEcho({.body_timeout = std::chrono::milliseconds(100)});
  auto client = Connect();
  client->Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n");
  EXPECT_TRUE(Until([&] {
    if (!client->ended()) client->Send("x");
    loop_.run_one_for(std::chrono::milliseconds(5));
    return client->ended();
  }));
  EXPECT_THAT(client->received(), HasSubstr("HTTP/1.1 408 "));
  EXPECT_TRUE(requests_.empty());
}

TEST_F(HttpLimits, BodiesOfAllRequestsTogetherAreBounded) {
  ServeLater({.body_bytes_max = 1000, .bodies_bytes_max = 3500});
  const std::string post = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n";
  auto waiting = Connect(), half = Connect(), late = Connect();
  waiting->Send(post + std::string(1000, 'a'));  // with the handler
  ASSERT_TRUE(Until([&] { return kept_.size() == 1; }));
  half->Send(post + std::string(900, 'b'));  // on its way
  late->Send(post + std::string(900, 'c'));
  // Whichever of the two comes second is too much.
  ASSERT_TRUE(Until([&] { return half->ended() || late->ended(); }));
  const bool half_ended = half->ended();
  RawClient& told = half_ended ? *half : *late;
  RawClient& other = half_ended ? *late : *half;
  EXPECT_THAT(told.received(), HasSubstr("HTTP/1.1 503 "));
  EXPECT_THAT(told.received(), HasSubstr("Retry-After: 1\r\n"));
  other.Send(std::string(100, 'b'));
  ASSERT_TRUE(Until([&] { return kept_.size() == 2; }));
  // An answer makes room, and so does a client that goes away.
  kept_[0]->Send(Response{.body = "done"});
  ASSERT_TRUE(waiting->Await("done"));
  told.Close();
  other.Close();
  kept_[1].reset();
  ASSERT_TRUE(Until([&] { return server_->connections() == 1; }));
  auto next = Connect(), after = Connect();
  next->Send(post + std::string(1000, 'd'));
  after->Send(post + std::string(1000, 'e'));
  EXPECT_TRUE(Until([&] { return kept_.size() == 4; }));
}

TEST(Overload, IsWaitedForAsLongAsItHasLasted) {
  Overload overload;
  const auto after = [&](int seconds) {
    return overload
        .RetryAfter(Overload::Clock::time_point(std::chrono::hours(1)) +
                    std::chrono::seconds(seconds))
        .count();
  };
  EXPECT_EQ(after(0), 1);
  EXPECT_EQ(after(1), 1);
  EXPECT_EQ(after(7), 7);
  for (int second = 8; second < 120; ++second) after(second);
  EXPECT_EQ(after(120), 59) << "more than clients in use obey";
  EXPECT_EQ(after(131), 1) << "nobody was turned away for a while: it was over";
}

TEST_F(HttpLimits, ConnectionsOverTheCapAreTold) {
  ServeEcho({.connections_max = 2});
  auto a = Connect(), b = Connect();
  ASSERT_TRUE(Until([&] { return server_->connections() == 2; }));
  auto c = Connect();
  ASSERT_TRUE(c->AwaitEnd());
  EXPECT_THAT(c->received(), HasSubstr("HTTP/1.1 503 "));
  EXPECT_THAT(c->received(), HasSubstr("Retry-After: 1\r\n"));
  c->Close();
  a->Close();
  ASSERT_TRUE(Until([&] { return server_->connections() == 1; }));
  auto d = Connect();
  d->Send("GET /d HTTP/1.1\r\nHost: x\r\n\r\n");
  d->Await("/d|");
}

TEST_F(HttpLimits, IdleConnectionsAreClosedAndSlowHeadsAreTold) {
  EXPECT_TRUE(AtSomePace([&](std::chrono::milliseconds pace) {
    ServeEcho({.idle_timeout = pace});
    auto silent = Connect(), slow = Connect();
    slow->Send("GET / HTTP/1.1\r\nHos");
    EXPECT_TRUE(silent->AwaitEnd());
    EXPECT_EQ(silent->received(), "");
    EXPECT_TRUE(slow->AwaitEnd());
    return slow->Count("HTTP/1.1 408 ") == 1;
  }));
}

TEST_F(HttpLimits, TrickledHeadDoesNotHoldAConnection) {
  ServeEcho({.idle_timeout = std::chrono::milliseconds(100)});
  auto client = Connect();
  client->Send("GET / HTTP/1.1\r\n");
  EXPECT_TRUE(Until([&] {
    if (!client->ended()) client->Send("X: y\r\n");  // A byte now and then is not progress.
    loop_.run_one_for(std::chrono::milliseconds(5));
    return client->ended();
  }));
  EXPECT_TRUE(requests_.empty());
}

TEST_F(HttpLimits, TrickledWordsAboutChunksDoNotHoldAConnection) {
  ServeEcho({.idle_timeout = std::chrono::milliseconds(100)});
  auto client = Connect();
  client->Send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;");
  EXPECT_TRUE(Until([&] {
    if (!client->ended()) client->Send("e");
    loop_.run_one_for(std::chrono::milliseconds(5));
    return client->ended();
  }));
  EXPECT_THAT(client->received(), HasSubstr("HTTP/1.1 408 "));
}

TEST_F(HttpLimits, HandlerMayTakeLongerThanTheIdleTimeout) {
  EXPECT_TRUE(AtSomePace([&](std::chrono::milliseconds pace) {
    kept_.clear();
    ServeLater({.idle_timeout = pace});
    auto waiting = Connect();
    waiting->Send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_TRUE(Until([&] { return kept_.size() == 1 || waiting->ended(); }));
    if (kept_.empty()) return false;  // It had no time to say a word.
    auto silent = Connect();
    EXPECT_TRUE(silent->AwaitEnd());  // So the timeout has passed for the other one too.
    kept_[0]->Send(Response{.body = "patience"});
    EXPECT_TRUE(waiting->Await("patience"));
    return true;
  }));
}

TEST_F(HttpLimits, ClientThatTakesNothingIsGivenUp) {
  EXPECT_TRUE(AtSomePace([&](std::chrono::milliseconds pace) {
    kept_.clear();
    ServeLater({.idle_timeout = pace});
    auto client = Connect();
    client->StopReading();
    client->Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    bool accepted = false;
    EXPECT_TRUE(Until([&] {
      accepted |= server_->connections() == 1;
      return kept_.size() == 1 || (accepted && server_->connections() == 0);
    }));
    if (kept_.empty()) return false;  // It had no time to say a word.
    bool gone = false;
    kept_[0]->OnClientGone([&] { gone = true; });
    kept_[0]->StartStream(200, {}, "text/plain");
    kept_[0]->Write(std::string(64 << 20, 'x'));
    EXPECT_TRUE(Until([&] { return gone; }));
    EXPECT_TRUE(Until([&] { return server_->connections() == 0; }));
    return true;
  }));
}

// Clients that each keep to every bound of their own: only together are they too many.
TEST_F(HttpLimits, AnswersThatNobodyTakesAreBoundedTogether) {
  constexpr size_t kAnswer = 24 << 20, kMost = 64 << 20;
  Serve(
      [this](Request request, ResponderPtr responder) {
        requests_.push_back(std::move(request));
        responder->Send(Response{.body = std::string(kAnswer, 'x')});
      },
      {.answers_bytes_max = kMost});
  std::vector<std::unique_ptr<RawClient>> deaf;
  for (size_t i = 0; i < 10; ++i) {
    deaf.push_back(Connect());
    deaf.back()->StopReading();
    deaf.back()->Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    ASSERT_TRUE(Until([&] { return requests_.size() == i + 1; }));
    EXPECT_LE(server_->answers_bytes(), kMost);
  }
  EXPECT_EQ(server_->turned(Turned::kAnswers), 8u);
  auto told = Connect();
  told->Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(told->Await("wait for clients that do not take them"));
  EXPECT_THAT(told->received(), testing::StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(told->received(), HasSubstr("Retry-After: "));
  // One of them goes: there is room again, to the last byte.
  for (auto& client : deaf) client->Close();
  ASSERT_TRUE(Until([&] { return server_->connections() == 1; }));
  EXPECT_EQ(server_->answers_bytes(), 0u);
  told->Forget();
  told->Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(Until([&] { return told->received().size() > kAnswer; }));
}

TEST_F(HttpLimits, SmallAnswersAreSentWhateverOthersDoNotTake) {
  Serve(
      [](Request request, ResponderPtr responder) {
        responder->Send(Response{.body = std::string(request.path == "/big" ? 24 << 20 : 16, 'x')});
      },
      {.answers_bytes_max = 1 << 20});
  auto deaf = Connect(), other = Connect();
  deaf->StopReading();
  deaf->Send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(Until([&] { return server_->answers_bytes() > 0; })) << "one alone always fits";
  other->Send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(other->Await("HTTP/1.1 503 "));
  other->Send("GET /small HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(other->Await("\r\n\r\nxxxxxxxxxxxxxxxx"));
}

TEST_F(HttpLimits, ClientThatTakesTooLittleIsCutOff) {
  EXPECT_TRUE(AtSomePace([&](std::chrono::milliseconds pace) {
    // Nobody is as fast as this asks, and the first is as slow as it likes.
    Serve(
        [](Request, ResponderPtr responder) {
          responder->Send(Response{.body = std::string(64 << 20, 'x')});
        },
        {.answers_bytes_max = 1 << 30, .idle_timeout = pace, .write_rate_min = size_t{1} << 40});
    auto client = Connect();
    client->Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    if (!Until([&] { return client->received().size() > 1 << 20 || client->ended(); }))
      return false;
    const bool began = client->received().size() > 1 << 20;
    client->StopReading();
    EXPECT_TRUE(Until([&] {
      client->ResumeReading();  // a little at a time
      loop_.run_one_for(std::chrono::milliseconds(1));
      client->StopReading();
      return server_->connections() == 0;
    }));
    return began && server_->turned(Turned::kSlowReader) == 1;
  }));
}

TEST_F(HttpLimits, ConnectionsOfOneAddressOverTheCapAreTold) {
  ServeEcho({.connections_max = 10, .connections_per_address_max = 2});
  auto a = Connect(), b = Connect();
  ASSERT_TRUE(Until([&] { return server_->connections() == 2; }));
  auto c = Connect();
  ASSERT_TRUE(c->AwaitEnd());
  EXPECT_THAT(c->received(), testing::StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(c->received(), HasSubstr("from your address"));
  EXPECT_EQ(server_->turned(Turned::kConnectionsOfAddress), 1u);
  c->Close();
  // Another address is not theirs to fill.
  RawClient far(loop_, server_->address(), "127.0.0.2");
  far.Send("GET /far HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(far.Await("/far|"));
  a->Close();
  ASSERT_TRUE(Until([&] { return server_->connections() == 2; }));
  auto d = Connect();
  d->Send("GET /d HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(d->Await("/d|"));
}

// A page of evil.example whose name is resolved to 127.0.0.1 speaks to us as to itself.
TEST_F(HttpLimits, OnLoopbackNamesOfOthersAreRefusedBeforeAnythingIsDone) {
  bool asked = false;
  ServeEcho({.refuse = [&](const Request&) -> std::optional<Response> {
               asked = true;
               return std::nullopt;
             },
             .loopback_names = true,
             .cors_origins = {"https://chat.example"}});
  const std::pair<const char*, int> cases[] = {
      {"Host: 127.0.0.1:7401", 200},
      {"Host: localhost", 200},
      {"Host: [::1]:1", 200},
      {"Host: evil.example", 403},
      {"Host: 127.0.0.1.evil.example", 403},
      {"Host: 10.0.0.1", 403},
      {"Host: localhost\r\nOrigin: http://localhost:3000", 200},
      {"Host: localhost\r\nOrigin: https://chat.example", 200},
      {"Host: localhost\r\nOrigin: https://evil.example", 403},
      {"Host: localhost\r\nOrigin: null", 403},
  };
  uint64_t refused = 0;
  for (const auto& [headers, status] : cases) {
    for (const std::string& rest :
         {std::string("\r\n"), std::string("Content-Length: 2\r\n\r\n")}) {
      auto client = Connect();
      asked = false;
      requests_.clear();
      client->Send(fmt::format("{} / HTTP/1.1\r\n{}\r\n{}", rest.size() > 2 ? "POST" : "GET",
                               headers, rest));
      if (status == 200 && rest.size() > 2) client->Send("ab");
      ASSERT_TRUE(client->Await(fmt::format("HTTP/1.1 {} ", status))) << headers;
      EXPECT_EQ(requests_.size(), status == 200 ? 1u : 0u) << headers;
      if (status == 403) {
        EXPECT_FALSE(asked) << headers;
        EXPECT_EQ(server_->turned(Turned::kForeignName), ++refused) << headers;
      }
    }
  }
}

TEST_F(HttpLimits, ClientThatPipelinesWithoutReadingIsHeldBack) {
  Serve([this](Request request, ResponderPtr responder) {
    requests_.push_back(std::move(request));
    responder->Send(Response{.body = std::string(1 << 20, 'x')});
  });
  auto client = Connect();
  client->StopReading();
  std::string burst;
  for (int i = 0; i < 200; ++i) burst += "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  client->Send(burst);
  ASSERT_TRUE(Until([&] { return !requests_.empty(); }));
  loop_.restart();
  while (loop_.poll_one() > 0) {
  }
  EXPECT_LT(requests_.size(), 200u);  // The first answers fill the socket; the rest must wait.
  client->ResumeReading();
  EXPECT_TRUE(Until([&] { return requests_.size() == 200; }));
}

TEST(HttpErrors, FollowTheTable) {
  const auto code = [](const Status& status) { return StatusToHttp(status); };
  EXPECT_EQ(code(absl::OkStatus()), 200);
  EXPECT_EQ(code(InvalidArgument("x")), 400);
  EXPECT_EQ(code(Unauthenticated("x")), 401);
  EXPECT_EQ(code(PermissionDenied("x")), 403);
  EXPECT_EQ(code(NotFound("x")), 404);
  EXPECT_EQ(code(AlreadyExists("x")), 409);
  EXPECT_EQ(code(FailedPrecondition("x")), 412);
  EXPECT_EQ(code(ResourceExhausted("x")), 429);
  EXPECT_EQ(code(Internal("x")), 500);
  EXPECT_EQ(code(absl::UnknownError("x")), 500);
  EXPECT_EQ(code(Unavailable("x")), 503);
  EXPECT_EQ(code(DeadlineExceeded("x")), 504);
  const Response full = ErrorResponse(ResourceExhausted("the \"queue\" is full\n"));
  EXPECT_EQ(full.body,
            R"({"error":{"code":"resource_exhausted","message":"the \"queue\" is full\n"}})");
  EXPECT_THAT(full.headers, testing::ElementsAre(testing::Pair("Retry-After", "1")));
  EXPECT_THAT(ErrorResponse(InvalidArgument("\xff")).body, HasSubstr("\xEF\xBF\xBD"));
}

}  // namespace
}  // namespace allot::http
