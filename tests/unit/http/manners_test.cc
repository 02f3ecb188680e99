// Clients that stop sending, servers that shape their own answers, paths that hide.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/http/harness.h"

namespace allot::http {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class HttpManners : public HttpTest {
 protected:
  static Server::Options HalfClose() { return {.half_close = true}; }
};

TEST_F(HttpManners, AClientThatStopsSendingGetsItsAnswerAndIsNotGone) {
  ServeLater(HalfClose());
  auto client = Connect();
  client->Send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(Until([&] { return kept_.size() == 1; }));
  bool gone = false;
  kept_[0]->OnClientGone([&] { gone = true; });
  client->CloseSending();
  // Told apart from one that is gone by an interim answer, which it ignores.
  ASSERT_TRUE(client->Await("HTTP/1.1 100 Continue\r\n\r\n"));
  kept_[0]->Send(Response{.body = "answer"});
  ASSERT_TRUE(client->AwaitEnd());
  EXPECT_THAT(client->received(), HasSubstr("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(client->received(), EndsWith("answer"));
  EXPECT_FALSE(gone);
}

TEST_F(HttpManners, OneThatIsGoneIsFoundOut) {
  ServeLater(HalfClose());
  auto client = Connect();
  client->Send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(Until([&] { return kept_.size() == 1; }));
  int gone = 0;
  kept_[0]->OnClientGone([&] { ++gone; });
  client->Close();
  EXPECT_TRUE(Until([&] { return gone == 1; }));
  EXPECT_TRUE(Until([&] { return server_->connections() == 0; }));
}

TEST_F(HttpManners, InAStreamOfEventsACommentFindsOut) {
  for (const bool there : {true, false}) {
    ServeLater(HalfClose());
    auto client = Connect();
    client->Send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    ASSERT_TRUE(Until([&] { return kept_.size() == 1; }));
    bool gone = false;
    kept_[0]->OnClientGone([&] { gone = true; });
    kept_[0]->StartStream(200, {}, "text/event-stream");
    kept_[0]->Write("data: 1\n\n");
    ASSERT_TRUE(client->Await("data: 1\n\n"));
    if (there) {
      client->CloseSending();
      ASSERT_TRUE(client->Await("3\r\n:\n\n\r\n"));
      kept_[0]->Write("data: 2\n\n");
      kept_[0]->End();
      ASSERT_TRUE(client->AwaitEnd());
      EXPECT_THAT(client->received(), EndsWith("data: 2\n\n\r\n0\r\n\r\n"));
      EXPECT_FALSE(gone);
    } else {
      client->Close();
      EXPECT_TRUE(Until([&] { return gone; }));
    }
    kept_.clear();
    server_.reset();
  }
}

TEST_F(HttpManners, NoCommentIsPutIntoTheMiddleOfAnEvent) {
  ServeLater(HalfClose());
  auto client = Connect();
  client->Send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(Until([&] { return kept_.size() == 1; }));
  kept_[0]->StartStream(200, {}, "text/event-stream");
  kept_[0]->Write("data: on");
  ASSERT_TRUE(client->Await("data: on"));
  client->CloseSending();
  for (int i = 0; i < 20; ++i) loop_.poll();
  kept_[0]->Write("e\n\n");
  kept_[0]->End();
  ASSERT_TRUE(client->AwaitEnd());
  EXPECT_THAT(client->received(), HasSubstr("data: on\r\n3\r\ne\n\n\r\n0\r\n\r\n"));
}

TEST_F(HttpManners, ACutStreamArrivesWithoutItsEnd) {
  ServeLater();
  auto client = Connect();
  client->Send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(Until([&] { return kept_.size() == 1; }));
  kept_[0]->StartStream(200, {}, "text/event-stream");
  const std::string large(4 << 20, 'x');
  kept_[0]->Write(large);
  kept_[0]->Write("last words\n\n");
  kept_[0]->Cut();
  ASSERT_TRUE(client->AwaitEnd());
  EXPECT_THAT(client->received(), EndsWith("last words\n\n\r\n"));
  EXPECT_GT(client->received().size(), large.size());
}

TEST_F(HttpManners, TheServersOwnAnswersAreShapedByTheApi) {
  std::vector<int> shaped;
  Server::Options options{.header_bytes_max = 1000, .connections_max = 1};
  options.own_answer = [&](Response plain, const Status& why) {
    shaped.push_back(plain.status);
    plain.headers.emplace_back("X-Shaped", why.ok() ? "ok" : MessageOf(why));
    if (!why.ok()) plain.body = "shape";
    return plain;
  };
  Serve([](Request, ResponderPtr) {}, options);
  for (const auto& [request, status] : std::vector<std::pair<std::string, int>>{
           {"GET / HTTP/1.1\r\n\r\n", 400},
           {"what\r\n\r\n", 400},
           {"GET /%6a HTTP/1.1\r\nHost: x\r\n\r\n", 400},
           {"GET / HTTP/1.1\r\nHost: x\r\nA: " + std::string(2000, 'x') + "\r\n\r\n", 431},
           {"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", 405},
           {"OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n", 204},
           {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 500}}) {
    ASSERT_TRUE(Until([&] { return server_->connections() == 0; }));
    shaped.clear();
    auto client = Connect();
    client->Send(request);
    ASSERT_TRUE(client->Await("\r\n\r\n"));
    EXPECT_THAT(client->received(), StartsWith(fmt::format("HTTP/1.1 {}", status))) << request;
    EXPECT_THAT(client->received(), HasSubstr("X-Shaped: ")) << request;
    EXPECT_THAT(client->received(),
                status == 204 ? Not(HasSubstr("shape\r"))
                              : ::testing::Matcher<std::string>(HasSubstr("\r\n\r\nshape")))
        << request;
    EXPECT_EQ(shaped, std::vector<int>{status});
  }
  ASSERT_TRUE(Until([&] { return server_->connections() == 0; }));
  auto first = Connect();
  ASSERT_TRUE(Until([&] { return server_->connections() == 1; }));
  auto refused = Connect();
  ASSERT_TRUE(refused->Await("X-Shaped: "));
  EXPECT_THAT(refused->received(), StartsWith("HTTP/1.1 503"));
}

TEST_F(HttpManners, PathsDoNotHideWhatTheyAre) {
  ServeEcho();
  auto client = Connect();
  client->Send("GET /a%2Fb%2fc/%20%25?x=%2F+y HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(client->Await("|"));
  EXPECT_EQ(requests_.at(0).path, "/a%2Fb%2fc/ %");
  EXPECT_EQ(requests_.at(0).raw_query, "x=%2F+y");
  EXPECT_EQ(requests_.at(0).Query("x"), "/ y");
  client->Forget();
  for (const char* hidden : {"/%61", "/%5A", "/%30", "/a%2e%2E/b", "/%5f", "/%7e", "/a%2Db"}) {
    client->Send(fmt::format("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", hidden));
    ASSERT_TRUE(client->Await("HTTP/1.1 400")) << hidden;
    client->Forget();
  }
}

}  // namespace
}  // namespace allot::http
