// What many requests, heads, bodies and deaf clients may take of a server, of each other's share
// and of its memory (ADR 23).
#include <algorithm>
#include <chrono>

#include "tests/unit/http/harness.h"

#include "gmock/gmock.h"

namespace allot::http {
namespace {

using ::testing::HasSubstr;
using HttpBudgets = HttpTest;

TEST_F(HttpBudgets, APipelineTakesTurnsWithOthers) {
  std::vector<std::string> order;
  Serve([&](Request request, ResponderPtr responder) {
    order.push_back(request.path);
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(1);
    while (request.path == "/slow" && std::chrono::steady_clock::now() < end) {
    }
    responder->Send({});
  });
  auto pipeline = Connect(), other = Connect();
  std::string all;
  for (int i = 0; i < 300; ++i) all += "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n";
  pipeline->Send(all);
  ASSERT_TRUE(Until([&] { return !order.empty(); }));
  other->Send("GET /quick HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(Until([&] { return order.size() == 301; }));
  const auto quick = std::find(order.begin(), order.end(), "/quick") - order.begin();
  EXPECT_LT(quick, 50);
  EXPECT_TRUE(Until([&] { return pipeline->Count("HTTP/1.1 200 ") == 300; }));
}

// What waits for its turn may leave meanwhile, by any end.
TEST_F(HttpBudgets, WhoWaitsForATurnMayGo) {
  int served = 0;
  Serve([&](Request, ResponderPtr responder) {
    ++served;
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(1);
    while (std::chrono::steady_clock::now() < end) {
    }
    responder->Send({});
  });
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 40; ++i) {
    clients.push_back(Connect());
    clients.back()->Send("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n");
  }
  ASSERT_TRUE(Until([&] { return served > 3; }));
  for (size_t i = 0; i < clients.size(); i += 2) clients[i]->Close();
  for (size_t i = 1; i < clients.size(); i += 2) {
    clients[i]->CloseSending();
    EXPECT_TRUE(Until([&] { return clients[i]->Count("HTTP/1.1 200 ") == 2; })) << i;
  }
  clients.clear();
  EXPECT_TRUE(Until([&] { return server_->connections() == 0; }));
}

TEST_F(HttpBudgets, FieldsOfAHeadAreCountedToo) {
  ServeEcho();
  for (const int fields : {100, 200}) {
    auto client = Connect();
    std::string head = "GET / HTTP/1.1\r\nHost: x\r\n";
    for (int i = 0; i < fields; ++i) head += "a:\r\n";
    client->Send(head + "\r\n");
    EXPECT_TRUE(client->Await(fields == 100 ? "HTTP/1.1 200 " : "HTTP/1.1 431 "));
  }
}

TEST_F(HttpBudgets, HeadsThatAreNotWholeHaveATotal) {
  ServeEcho({.heads_bytes_max = 64 << 10});
  std::string part = "GET / HTTP/1.1\r\nHost: x\r\n";
  for (int i = 0; i < 100; ++i) part += "a:\r\n";  // some 13 KiB here
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 12; ++i) {
    clients.push_back(Connect());
    clients.back()->Send(part);
    ASSERT_TRUE(Until([&] { return server_->connections() == static_cast<size_t>(i) + 1; }));
  }
  // Those who came first give way, and whoever says what he wants is served.
  EXPECT_TRUE(Until([&] { return clients[0]->Count("HTTP/1.1 503 ") == 1; }));
  auto quick = Connect();
  quick->Send("GET /quick HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(quick->Await("/quick"));
  clients.back()->Send("\r\n");
  EXPECT_TRUE(clients.back()->Await("HTTP/1.1 200 "));
  EXPECT_GE(server_->turned(Turned::kHeads), 6u);
  EXPECT_LE(server_->turned(Turned::kHeads), 10u);
}

TEST_F(HttpBudgets, ABodyThatComesSlowestGivesWay) {
  ServeEcho({.body_bytes_max = 10'000, .bodies_bytes_max = 40'000});
  const std::string post = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n";
  std::vector<std::unique_ptr<RawClient>> holders;
  for (int i = 0; i < 4; ++i) {
    holders.push_back(Connect());
    holders.back()->Send(post + std::string(9'000, 'h'));
  }
  auto honest = Connect();
  ASSERT_TRUE(Until([&] { return server_->connections() == 5; }));
  honest->Send(post + std::string(10'000, 'b'));
  EXPECT_TRUE(honest->Await("HTTP/1.1 200 "));
  int gone = 0;
  EXPECT_TRUE(Until([&] {
    gone = 0;
    for (const auto& holder : holders) gone += holder->Count("HTTP/1.1 503 ");
    return gone > 0;
  }));
  EXPECT_LE(gone, 2);
  EXPECT_EQ(honest->Count("HTTP/1.1 503 "), 0);
}

// Whoever gives way may have gone by then, and nobody has noticed yet.
TEST_F(HttpBudgets, ABodyWhoseClientHasGoneGivesWay) {
  ServeEcho({.body_bytes_max = 10'000, .bodies_bytes_max = 40'000});
  const std::string post = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n";
  std::vector<std::unique_ptr<RawClient>> holders;
  for (int i = 0; i < 4; ++i) {
    holders.push_back(Connect());
    holders.back()->Send(post + std::string(9'000, 'h'));
  }
  auto honest = Connect();
  ASSERT_TRUE(Until([&] { return server_->connections() == 5; }));
  for (int i = 0; i < 100; ++i) loop_.poll_one();
  honest->Send(post + std::string(10'000, 'b'));
  for (const auto& holder : holders) holder->Reset();
  EXPECT_TRUE(honest->Await("HTTP/1.1 200 "));
  EXPECT_TRUE(Until([&] { return server_->connections() == 1; }));
}

TEST_F(HttpBudgets, WhoSendsFarAheadIsSeenToLeave) {
  ServeLater();
  auto client = Connect();
  client->Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n" + std::string(400'000, 'x'));
  ASSERT_TRUE(Until([&] { return kept_.size() == 1; }));
  bool gone = false;
  kept_[0]->OnClientGone([&] { gone = true; });
  loop_.poll();
  EXPECT_FALSE(gone);
  client->Close();
  EXPECT_TRUE(Until([&] { return gone; }));
}

TEST_F(HttpBudgets, TheAnswerToWhoSendsFarAheadIsHisLast) {
  ServeLater();
  auto client = Connect();
  client->Send("GET /1 HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(Until([&] { return kept_.size() == 1; }));
  std::string more;
  while (more.size() < 300'000) more += "GET /2 HTTP/1.1\r\nHost: x\r\n\r\n";
  client->Send(more);
  for (int i = 0; i < 200; ++i) loop_.run_one_for(std::chrono::milliseconds(1));
  kept_[0]->Send(Response{.body = "the one answer"});
  ASSERT_TRUE(client->AwaitEnd());
  EXPECT_THAT(client->received(), HasSubstr("the one answer"));
  EXPECT_EQ(client->Count("HTTP/1.1 200 "), 1);
  // And who goes on is cut off.
  auto flood = Connect();
  flood->Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n" + std::string(8 << 20, 'x'));
  EXPECT_TRUE(flood->AwaitEnd());
  EXPECT_EQ(server_->turned(Turned::kAhead), 1u);
}

// A token that is taken back is one for what it has begun, too.
TEST_F(HttpBudgets, WhatMayNotGoOnEnds) {
  bool good = true;
  ServeLater({.idle_timeout = std::chrono::milliseconds(80),
              .standing = [&good](std::string_view authorization) {
                EXPECT_EQ(authorization, "Bearer t");
                return good ? absl::OkStatus() : Unauthenticated("it was removed");
              }});
  const std::string get = "GET / HTTP/1.1\r\nHost: x\r\n";
  auto streamed = Connect(), waiting = Connect(), without = Connect();
  streamed->Send(get + "Authorization: Bearer t\r\n\r\n");
  ASSERT_TRUE(Until([&] { return kept_.size() == 1; }));
  kept_[0]->StartStream(200, {}, "text/plain");
  kept_[0]->Write("some of it");
  waiting->Send(get + "Authorization: Bearer t\r\n\r\n");
  without->Send(get + "\r\n");
  ASSERT_TRUE(Until([&] { return kept_.size() == 3; }));
  int gone = 0;
  for (const ResponderPtr& each : kept_) each->OnClientGone([&] { ++gone; });
  ASSERT_TRUE(streamed->Await("some of it"));
  EXPECT_EQ(gone, 0);
  good = false;
  EXPECT_TRUE(streamed->AwaitEnd());
  EXPECT_TRUE(waiting->AwaitEnd());
  EXPECT_THAT(waiting->received(), HasSubstr("HTTP/1.1 401 "));
  EXPECT_THAT(waiting->received(), HasSubstr("it was removed"));
  EXPECT_TRUE(Until([&] { return gone == 2; }));
  EXPECT_FALSE(without->ended());
  kept_[0]->Write("more");  // is nobody's any more
  kept_[1]->Send({});
  EXPECT_EQ(streamed->received().find("more"), std::string::npos);
}

// What the kernel would keep for a client that does not read is here, where it is counted.
TEST_F(HttpBudgets, TheKernelKeepsLittleForWhoDoesNotRead) {
  ResponderPtr kept;
  Serve([&](Request, ResponderPtr responder) { kept = std::move(responder); });
  auto deaf = Connect();
  deaf->StopReading();
  deaf->Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(Until([&] { return kept != nullptr; }));
  kept->StartStream(200, {}, "text/plain");
  size_t written = 0;
  // The client's side takes what its own buffer holds, however much that is.
  while (kept->Backlog() == 0 && written < (64 << 20)) {
    kept->Write(std::string(16 << 10, 'x'));
    written += 16 << 10;
    loop_.poll();
  }
  EXPECT_LE(written, size_t{512} << 10) << "its window, and little more";
}

}  // namespace
}  // namespace allot::http
