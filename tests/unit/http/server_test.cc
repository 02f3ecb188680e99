#include "tests/unit/http/harness.h"

#include "gmock/gmock.h"

namespace allot::http {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

using HttpServer = HttpTest;

TEST_F(HttpServer, AnswersRequestsOfOneConnectionOneAfterTheOther) {
  ServeEcho();
  auto client = Connect();
  client->Send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  client->Await("/a|");
  EXPECT_THAT(client->received(), HasSubstr("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(client->received(), HasSubstr("Content-Length: 3\r\n"));
  EXPECT_THAT(client->received(), HasSubstr("Content-Type: text/plain\r\n"));
  client->Send("POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
  client->Await("/b|hello");
  EXPECT_EQ(server_->connections(), 1u);
}

TEST_F(HttpServer, GivesTheHandlerADecodedRequest) {
  ServeEcho();
  auto client = Connect();
  client->Send(
      "PUT /v1/a%20b/%C3%A4?x=1&y=a+b%26&x=2&flag HTTP/1.1\r\nHost: h\r\n"
      "X-Allot-Tenant:  Blue \r\nContent-Length: 0\r\n\r\n");
  client->Await("HTTP/1.1 200");
  ASSERT_EQ(requests_.size(), 1u);
  const Request& request = requests_[0];
  EXPECT_EQ(request.method, "PUT");
  EXPECT_EQ(request.path, "/v1/a b/\xC3\xA4");
  EXPECT_THAT(request.query, testing::ElementsAre(Pair("x", "1"), Pair("y", "a b&"), Pair("x", "2"),
                                                  Pair("flag", "")));
  EXPECT_EQ(request.Query("x"), "1");
  EXPECT_EQ(request.Query("none"), "");
  EXPECT_EQ(request.Header("x-allot-tenant"), "Blue");
  EXPECT_THAT(request.peer, testing::StartsWith("127.0.0.1:"));
}

TEST_F(HttpServer, AnswersPipelinedRequestsInOrder) {
  ServeLater();
  auto client = Connect();
  std::string burst;
  for (int i = 0; i < 50; ++i) burst += fmt::format("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", i);
  client->Send(burst);
  for (size_t i = 0; i < 50; ++i) {
    ASSERT_TRUE(Until([&] { return kept_.size() == i + 1; }));
    kept_.back()->Send(Response{.body = fmt::format("<{}>", requests_.back().path)});
  }
  client->Await("</49>");
  size_t at = 0;
  for (int i = 0; i < 50; ++i) {
    at = client->received().find(fmt::format("</{}>", i), at);
    ASSERT_NE(at, std::string::npos) << i;
  }
}

TEST_F(HttpServer, KeepsPipelinedBytesThatArriveWhileAnAnswerIsPending) {
  ServeLater();
  auto client = Connect();
  client->Send("GET /first HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(Until([&] { return kept_.size() == 1; }));
  // A request in pieces, with a body, all before the first is answered.
  client->Send("POST /second HTTP/1.1\r\nHost: x\r\nContent-");
  for (int i = 0; i < 20; ++i) loop_.poll();
  client->Send("Length: 4\r\n\r\nbo");
  for (int i = 0; i < 20; ++i) loop_.poll();
  client->Send("dyGET /third HTTP/1.1\r\nHost: x\r\n\r\n");
  for (int i = 0; i < 20; ++i) loop_.poll();
  kept_[0]->Send(Response{.body = "one"});
  ASSERT_TRUE(Until([&] { return kept_.size() == 2; }));
  EXPECT_EQ(requests_[1].path, "/second");
  EXPECT_EQ(requests_[1].body, "body");
  kept_[1]->Send(Response{.body = "two"});
  ASSERT_TRUE(Until([&] { return kept_.size() == 3; }));
  EXPECT_EQ(requests_[2].path, "/third");
}

TEST_F(HttpServer, StreamsEveryChunkAtOnce) {
  ServeLater();
  auto client = Connect();
  client->Send("GET /s HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(Until([&] { return kept_.size() == 1; }));
  kept_[0]->StartStream(200, {{"X-Kind", "sse"}}, "text/event-stream");
  client->Await("\r\n\r\n");
  EXPECT_THAT(client->received(), HasSubstr("Transfer-Encoding: chunked\r\n"));
  EXPECT_THAT(client->received(), HasSubstr("X-Kind: sse\r\n"));
  for (int i = 0; i < 10; ++i) {
    client->Forget();
    kept_[0]->Write(fmt::format("data: {}\n\n", i));
    client->Await(fmt::format("9\r\ndata: {}\n\n\r\n", i));  // before the next is written
  }
  kept_[0]->End();
  client->Await("0\r\n\r\n");
  client->Send("GET /next HTTP/1.1\r\nHost: x\r\n\r\n");  // and the connection lives on
  ASSERT_TRUE(Until([&] { return kept_.size() == 2; }));
}

TEST_F(HttpServer, StreamsToAnOldClientUntilItCloses) {
  ServeLater();
  auto client = Connect();
  client->Send("GET /s HTTP/1.0\r\n\r\n");
  ASSERT_TRUE(Until([&] { return kept_.size() == 1; }));
  kept_[0]->StartStream(200, {}, "text/plain");
  kept_[0]->Write("abc");
  kept_[0]->End();
  ASSERT_TRUE(client->AwaitEnd());
  EXPECT_THAT(client->received(), testing::EndsWith("\r\n\r\nabc"));
  EXPECT_THAT(client->received(), Not(HasSubstr("chunked")));
}

TEST_F(HttpServer, KeepsAnOldClientsConnectionOnlyIfItAsks) {
  ServeEcho();
  auto client = Connect();
  client->Send("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  client->Await("/a|");
  EXPECT_THAT(client->received(), HasSubstr("Connection: keep-alive"));
  client->Send("GET /b HTTP/1.0\r\n\r\n");
  ASSERT_TRUE(client->AwaitEnd());
  EXPECT_THAT(client->received(), HasSubstr("/b|"));
}

TEST_F(HttpServer, ClosesWhenTheClientAsks) {
  ServeEcho();
  auto client = Connect();
  client->Send("GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  ASSERT_TRUE(client->AwaitEnd());
  EXPECT_THAT(client->received(), HasSubstr("Connection: close\r\n"));
  client.reset();
  EXPECT_TRUE(Until([&] { return server_->connections() == 0; }));
}

TEST_F(HttpServer, TellsWhenTheClientGoesWhileAnAnswerIsPending) {
  ServeLater();
  auto client = Connect();
  client->Send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(Until([&] { return kept_.size() == 1; }));
  int gone = 0;
  kept_[0]->OnClientGone([&] { ++gone; });
  client->Close();
  ASSERT_TRUE(Until([&] { return gone == 1; }));
  kept_[0]->Send(Response{.body = "too late"});  // Harmless.
  EXPECT_TRUE(Until([&] { return server_->connections() == 0; }));
  EXPECT_EQ(gone, 1);
}

TEST_F(HttpServer, TellsWhenTheClientGoesInTheMiddleOfAStream) {
  ServeLater();
  auto client = Connect();
  client->Send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(Until([&] { return kept_.size() == 1; }));
  bool gone = false;
  kept_[0]->OnClientGone([&] {
    gone = true;
    kept_.clear();  // Dropping the responder from here is fine.
  });
  kept_[0]->StartStream(200, {}, "text/plain");
  kept_[0]->Write("x");
  client->Await("x");
  client->Close();
  EXPECT_TRUE(Until([&] { return gone; }));
  EXPECT_TRUE(Until([&] { return server_->connections() == 0; }));
}

TEST_F(HttpServer, TellsALateListenerThatTheClientHasGone) {
  ServeLater();
  auto client = Connect();
  client->Send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(Until([&] { return kept_.size() == 1; }));
  client->CloseSending();
  for (int i = 0; i < 20; ++i) loop_.poll();
  bool gone = false;
  kept_[0]->OnClientGone([&] { gone = true; });
  EXPECT_TRUE(Until([&] { return gone; }));
  // It has only stopped sending, so it still gets its answer.
  kept_[0]->Send(Response{.body = "answer"});
  ASSERT_TRUE(client->AwaitEnd());
  EXPECT_THAT(client->received(), HasSubstr("answer"));
}

TEST_F(HttpServer, ServesEveryRequestOfAClientThatStoppedSending) {
  ServeEcho();
  auto client = Connect();
  client->Send("GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n");
  client->CloseSending();
  ASSERT_TRUE(client->AwaitEnd());
  EXPECT_THAT(client->received(), HasSubstr("/b|"));
}

TEST_F(HttpServer, CountsWhatASlowClientHasNotTaken) {
  ServeLater();
  auto client = Connect();
  client->StopReading();
  client->Send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(Until([&] { return kept_.size() == 1; }));
  kept_[0]->StartStream(200, {}, "text/plain");
  EXPECT_EQ(kept_[0]->Backlog(), 0u);
  const std::string chunk(1 << 20, 'x');
  size_t written = 0;
  while (kept_[0]->Backlog() == 0 && written < (256u << 20)) {
    kept_[0]->Write(chunk);
    written += chunk.size();
  }
  EXPECT_GT(kept_[0]->Backlog(), 0u);
  client->ResumeReading();
  EXPECT_TRUE(Until([&] { return kept_[0]->Backlog() == 0; }));
  kept_[0]->Write("end");
  client->Await("3\r\nend\r\n");
  EXPECT_EQ(static_cast<size_t>(client->Count("x")), written + 1);  // and the x of "text"
}

TEST_F(HttpServer, AnswersForAHandlerThatForgets) {
  Serve([](Request, ResponderPtr) {});
  auto client = Connect();
  client->Send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  client->Await("HTTP/1.1 500");
  EXPECT_THAT(client->received(), HasSubstr("\"code\":\"internal\""));
}

TEST_F(HttpServer, CutsAStreamThatIsDroppedOrAborted) {
  ServeLater();
  for (bool drop : {true, false}) {
    auto client = Connect();
    client->Send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    ASSERT_TRUE(Until([&] { return kept_.size() == 1; }));
    kept_[0]->StartStream(200, {}, "text/plain");
    kept_[0]->Write("x");
    client->Await("x\r\n");
    if (!drop) kept_[0]->Abort();
    kept_.clear();
    ASSERT_TRUE(client->AwaitEnd());
    EXPECT_THAT(client->received(), Not(HasSubstr("0\r\n\r\n")));
  }
}

TEST_F(HttpServer, LeavesTheBodyOutForHead) {
  ServeEcho();
  auto client = Connect();
  client->Send("HEAD /abc HTTP/1.1\r\nHost: x\r\n\r\nGET /d HTTP/1.1\r\nHost: x\r\n\r\n");
  client->Await("/d|");
  EXPECT_EQ(requests_[0].method, "GET");
  EXPECT_THAT(client->received(), HasSubstr("Content-Length: 5\r\n"));
  EXPECT_THAT(client->received(), Not(HasSubstr("/abc|")));
}

TEST_F(HttpServer, StopsAStreamThatAnswersHead) {
  ServeLater();
  auto client = Connect();
  client->Send("HEAD /logs HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(Until([&] { return kept_.size() == 1; }));
  bool gone = false;
  kept_[0]->OnClientGone([&] { gone = true; });
  kept_[0]->StartStream(200, {}, "text/plain");
  EXPECT_TRUE(Until([&] { return gone; }));
  kept_[0]->Write("not sent");
  kept_[0]->End();
  client->Send("HEAD /again HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(Until([&] { return kept_.size() == 2; }));
  EXPECT_THAT(client->received(), Not(HasSubstr("not sent")));
}

TEST_F(HttpServer, AnswersOptionsItself) {
  ServeEcho();
  auto client = Connect();
  client->Send("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n");
  client->Await("\r\n\r\n");
  EXPECT_THAT(client->received(), HasSubstr("HTTP/1.1 204 No Content\r\n"));
  EXPECT_THAT(client->received(), HasSubstr("Allow: GET"));
  EXPECT_TRUE(requests_.empty());
}

TEST_F(HttpServer, TakesAChunkedBody) {
  ServeEcho();
  auto client = Connect();
  client->Send(
      "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n4;ext=1\r\ndefg\r\n0\r\nTrailer: dropped\r\n\r\nGET /n HTTP/1.1\r\nHost: "
      "x\r\n\r\n");
  client->Await("/n|");
  EXPECT_THAT(client->received(), HasSubstr("/c|abcdefg"));
  EXPECT_EQ(requests_[0].Header("trailer"), "");
}

TEST_F(HttpServer, LetsAClientThatAsksSendItsBody) {
  ServeEcho();
  auto client = Connect();
  client->Send("POST /c HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  client->Await("HTTP/1.1 100 Continue\r\n\r\n");
  client->Send("ok");
  client->Await("/c|ok");
  EXPECT_EQ(client->Count("100 Continue"), 1);
}

TEST_F(HttpServer, KeepsHeadersOfItsOwnAndLineBreaksOutOfAnswers) {
  Serve([](Request, ResponderPtr responder) {
    responder->Send(Response{.headers = {{"Content-Length", "999"},
                                         {"transfer-encoding", "chunked"},
                                         {"Content-Type", "text/html"},
                                         {"X-Evil", "a\r\nSet-Cookie: b"}},
                             .body = "hi"});
  });
  auto client = Connect();
  client->Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  client->Await("hi");
  EXPECT_THAT(client->received(), HasSubstr("Content-Length: 2\r\n"));
  EXPECT_THAT(client->received(), HasSubstr("Content-Type: text/html\r\n"));
  EXPECT_THAT(client->received(), HasSubstr("X-Evil: a  Set-Cookie: b\r\n"));
  EXPECT_THAT(client->received(), Not(HasSubstr("999")));
  EXPECT_THAT(client->received(), Not(HasSubstr("application/json")));
}

TEST_F(HttpServer, MayBeDestroyedFromItsHandlerAndBeforeItsResponders) {
  Serve([this](Request, ResponderPtr responder) {
    kept_.push_back(responder);
    server_.reset();
  });
  auto client = Connect();
  auto other = Connect();
  client->Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(client->AwaitEnd());
  ASSERT_TRUE(other->AwaitEnd());
  bool gone = false;
  kept_[0]->OnClientGone([&] { gone = true; });
  EXPECT_EQ(kept_[0]->Backlog(), 0u);
  kept_[0]->Send(Response{});
  loop_.restart();
  loop_.poll();
  EXPECT_FALSE(gone);
}

TEST(HttpListen, SaysWhatIsWrongWithAnAddress) {
  boost::asio::io_context loop;
  const auto listen = [&](std::string address) {
    return Server::Listen(loop, {.listen = std::move(address)}, [](Request, ResponderPtr) {});
  };
  for (const char* bad : {"", "7401", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000",
                          "host.example:1", "127.0.0.1:1/x"}) {
    EXPECT_EQ(listen(bad).status().code(), StatusCode::kInvalidArgument) << bad;
  }
  auto first = listen("127.0.0.1:0");
  ASSERT_TRUE(first.ok());
  const auto second = listen((*first)->address());
  EXPECT_EQ(second.status().code(), StatusCode::kUnavailable);
  EXPECT_THAT(MessageOf(second.status()), HasSubstr("the port is in use"));
}

}  // namespace
}  // namespace allot::http
