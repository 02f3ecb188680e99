#include "common/transport/link.h"

#include <fcntl.h>

#include <set>

#include "tests/unit/transport/harness.h"

namespace allot::transport {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(LinkTest, CarriesEnvelopesAndBodiesBothWays) {
  Listen({}, /*echo=*/true);
  auto peer = EnrolledPeer("n1");
  const Bodies bodies = {"", "small", std::string(100'000, 'b'), std::string("\0\xff", 2)};
  EXPECT_TRUE(peer->link->Send(Numbered(7), bodies));  // Waits for the handshake by itself.
  ASSERT_TRUE(Until([&] { return peer->heard.size() == 1; }));
  ASSERT_EQ(arrived_.size(), 1u);
  EXPECT_EQ(arrived_[0].name, "n1");
  EXPECT_EQ(arrived_[0].role, Role::kAgent);
  EXPECT_EQ(arrived_[0].envelope.sequence(), 7u);
  EXPECT_EQ(arrived_[0].envelope.version(), 1u);  // Filled in for a sender that left it out.
  EXPECT_EQ(arrived_[0].envelope.messages(0).link_hello().node(), "hello");
  EXPECT_EQ(arrived_[0].bodies, bodies);
  EXPECT_EQ(peer->heard[0].bodies, bodies);
  EXPECT_EQ(peer->connected, 1);
  EXPECT_EQ(server_->counters().envelopes_in, 1u);
  EXPECT_EQ(server_->counters().envelopes_out, 1u);
  EXPECT_EQ(peer->link->counters().bytes_in, server_->counters().bytes_out);
  EXPECT_GT(server_->counters().bytes_in, 100'000u);
}

TEST_F(LinkTest, BurstsLongerThanATurnOfTheLoopArriveWhole) {
  Listen({}, /*echo=*/true);
  auto peer = EnrolledPeer("n1");
  constexpr uint64_t kCount = 5000;
  for (uint64_t i = 0; i < kCount; ++i) ASSERT_TRUE(peer->link->Send(Numbered(i)));
  ASSERT_TRUE(Until([&] { return peer->heard.size() == kCount; }));
  for (uint64_t i = 0; i < kCount; ++i) ASSERT_EQ(peer->heard[i].envelope.sequence(), i);
}

TEST_F(LinkTest, LeavesRoomForOthersOnTheLoop) {
  Listen();
  auto peer = EnrolledPeer("n1");
  for (uint64_t i = 0; i < 5000; ++i) ASSERT_TRUE(peer->link->Send(Numbered(i)));
  size_t most = 0, before = 0;
  ASSERT_TRUE(Until([&] {  // Asked after every handler of the loop.
    most = std::max(most, arrived_.size() - before);
    before = arrived_.size();
    return arrived_.size() == 5000;
  }));
  EXPECT_LE(most, 256u);
}

TEST_F(LinkTest, AnswersSentInAnyOrderReachTheirPeers) {
  Listen();
  auto a = EnrolledPeer("a"), b = EnrolledPeer("b"), c = EnrolledPeer("c");
  a->link->Send(Numbered(1));
  b->link->Send(Numbered(2));
  c->link->Send(Numbered(3));
  ASSERT_TRUE(Until([&] { return arrived_.size() == 3; }));
  for (const auto& message : arrived_) {
    wire::Envelope envelope = Numbered(message.envelope.sequence() * 10);
    EXPECT_TRUE(server_->Send(message.peer, envelope));
  }
  ASSERT_TRUE(Until([&] { return !a->heard.empty() && !b->heard.empty() && !c->heard.empty(); }));
  EXPECT_EQ(a->heard[0].envelope.sequence(), 10u);
  EXPECT_EQ(b->heard[0].envelope.sequence(), 20u);
  EXPECT_EQ(c->heard[0].envelope.sequence(), 30u);
}

TEST_F(LinkTest, UnroutableIsCounted) {
  Listen();
  EXPECT_FALSE(server_->Send(std::string("\0abcd", 5), Numbered(1)));
  EXPECT_EQ(server_->counters().dropped_unroutable, 1u);
  auto peer = EnrolledPeer("n1");
  peer->link->Send(Numbered(1));
  ASSERT_TRUE(Until([&] { return arrived_.size() == 1; }));
  EXPECT_TRUE(server_->Send(arrived_[0].peer, Numbered(1)));
  peer->link.reset();
  EXPECT_TRUE(Until([&] { return !server_->Send(arrived_[0].peer, Numbered(1)); }));
  EXPECT_EQ(server_->counters().dropped_unroutable, 2u);
  EXPECT_TRUE(Until([&] { return server_->counters().disconnected == 1; }));
}

TEST_F(LinkTest, FullQueueRefusesAtOnce) {
  Listen();
  auto peer = std::make_unique<Peer>();
  Enroll("n1", peer->keys);
  ClientLink::Options options;
  options.queue_max = 10;
  options.endpoint = "tcp://127.0.0.1:1";  // Nobody reads: nothing listens there.
  Dial(*peer, options);
  int taken = 0;
  while (peer->link->Send(Numbered(1))) ++taken;
  EXPECT_LE(taken, 10);
  EXPECT_EQ(peer->link->counters().dropped_unroutable, 1u);
}

TEST_F(LinkTest, MessagesOverTheCapAreRefusedHereAndCutOffThere) {
  Listen({.message_bytes_max = 10'000}, /*echo=*/true);
  auto peer = EnrolledPeer("n1");
  ASSERT_TRUE(Exchange(*peer, 1));
  EXPECT_TRUE(server_->Send(arrived_[0].peer, Numbered(1), {std::string(10'000, 'x')}));
  EXPECT_FALSE(server_->Send(arrived_[0].peer, Numbered(1), {std::string(10'001, 'x')}));
  EXPECT_EQ(server_->counters().dropped_oversize, 1u);
  // The peer's own cap is higher, so it does send, and the server ends the connection.
  EXPECT_TRUE(peer->link->Send(Numbered(2), {std::string(100'000, 'x')}));
  ASSERT_TRUE(UntilRefused(*peer));
  EXPECT_EQ(arrived_.size(), 1u);
  EXPECT_THAT(peer->disconnected, ElementsAre(HasSubstr("was lost")));
  // Everybody else goes on.
  auto other = EnrolledPeer("n2");
  EXPECT_TRUE(Exchange(*other, 3));
}

TEST_F(LinkTest, TwoDialersWithOneKeyAreTwoPeersOfOneName) {
  Listen({}, /*echo=*/true);
  auto first = EnrolledPeer("n1");
  Peer second;
  second.keys = first->keys;
  Dial(second);
  ASSERT_TRUE(Exchange(*first, 3));
  ASSERT_TRUE(Exchange(second, 3));
  EXPECT_EQ(arrived_.front().name, "n1");
  EXPECT_EQ(arrived_.back().name, "n1");
  EXPECT_NE(arrived_.front().peer, arrived_.back().peer);
}

TEST_F(LinkTest, ClientHearsWhenTheServerGoes) {
  Listen({}, /*echo=*/true);
  auto peer = EnrolledPeer("n1");
  ASSERT_TRUE(Exchange(*peer, 1));
  server_.reset();
  ASSERT_TRUE(UntilRefused(*peer));
  EXPECT_THAT(peer->disconnected, ElementsAre(HasSubstr("was lost")));
  EXPECT_FALSE(peer->link->Send(Numbered(1)));  // Dead for good: the caller dials anew.
}

TEST_F(LinkTest, WhatArrivedBeforeTheEndIsDelivered) {
  Listen();
  auto peer = EnrolledPeer("n1");
  peer->link->Send(Numbered(1));
  ASSERT_TRUE(Until([&] { return arrived_.size() == 1; }));
  size_t heard_at_end = 0;
  Peer watcher;
  watcher.keys = peer->keys;
  auto link = ClientLink::Dial(
      *context_, loop_,
      {.endpoint = server_->endpoint(),
       .server_public_key = server_keys_.public_key,
       .keys = watcher.keys},
      {.message = [&](ClientLink::Incoming m) { watcher.heard.push_back(std::move(m)); },
       .disconnected =
           [&](std::string why) {
             heard_at_end = watcher.heard.size();
             watcher.disconnected.push_back(why);
           }});
  ASSERT_TRUE(link.ok());
  (*link)->Send(Numbered(2));
  ASSERT_TRUE(Until([&] { return arrived_.size() == 2; }));
  for (int i = 0; i < 600; ++i) ASSERT_TRUE(server_->Send(arrived_[1].peer, Numbered(i)));
  ASSERT_TRUE(Until([&] { return !watcher.heard.empty(); }));
  server_.reset();
  ASSERT_TRUE(UntilRefused(watcher));
  EXPECT_EQ(heard_at_end, watcher.heard.size());
}

TEST_F(LinkTest, ClientHearsThatNobodyListens) {
  // Bound and not listening: the port is ours, and connecting to it is refused.
  boost::asio::ip::tcp::acceptor held(loop_);
  held.open(boost::asio::ip::tcp::v4());
  held.bind({boost::asio::ip::make_address("127.0.0.1"), 0});
  Peer peer;
  Dial(peer, {.endpoint = fmt::format("tcp://127.0.0.1:{}", held.local_endpoint().port())});
  ASSERT_TRUE(UntilRefused(peer));
  EXPECT_THAT(peer.disconnected, ElementsAre(HasSubstr("nothing listens there")));
  EXPECT_EQ(peer.connected, 0);
}

TEST_F(LinkTest, HandlersMayDestroyTheirLink) {
  Listen({}, /*echo=*/true);
  Peer by_message, by_end;
  Enroll("n1", by_message.keys);
  Dial(by_message);
  by_message.on_message = [&](const ClientLink::Incoming&) { by_message.link.reset(); };
  for (int i = 0; i < 10; ++i) by_message.link->Send(Numbered(i));
  ASSERT_TRUE(Until([&] { return by_message.link == nullptr; }));
  EXPECT_EQ(by_message.heard.size(), 1u);

  std::unique_ptr<ClientLink> link;  // A key nobody knows: its end comes by refusal.
  bool ended = false;
  auto dialled = ClientLink::Dial(*context_, loop_,
                                  {.endpoint = server_->endpoint(),
                                   .server_public_key = server_keys_.public_key,
                                   .keys = by_end.keys},
                                  {.disconnected = [&](std::string) {
                                    link.reset();
                                    ended = true;
                                  }});
  ASSERT_TRUE(dialled.ok());
  link = *std::move(dialled);
  EXPECT_TRUE(Until([&] { return ended; }));

  // And the server from its own handler.
  auto last = EnrolledPeer("n3");
  std::unique_ptr<ServerLink> server;
  auto listening =
      ServerLink::Listen(*context_, loop_, {.endpoint = "tcp://127.0.0.1:0", .keys = server_keys_},
                         [&](ServerLink::Incoming) { server.reset(); });
  ASSERT_TRUE(listening.ok());
  server = *std::move(listening);
  ClientLink::Options options;
  options.endpoint = server->endpoint();
  Dial(*last, options);
  for (int i = 0; i < 10; ++i) last->link->Send(Numbered(i));
  EXPECT_TRUE(Until([&] { return server == nullptr; }));
}

TEST_F(LinkTest, LinksEndInAnyOrder) {
  for (int order = 0; order < 6; ++order) {
    Listen({}, /*echo=*/true);
    auto a = EnrolledPeer(fmt::format("a{}", order)), b = EnrolledPeer(fmt::format("b{}", order));
    for (const auto* one : {a.get(), b.get()}) one->link->Send(Numbered(0));
    a->link->Send(Numbered(1), {std::string(1 << 20, 'x')});
    b->link->Send(Numbered(2), {std::string(1 << 20, 'y')});
    if (order % 2 == 0) {  // With everything connected, or in the middle of it.
      ASSERT_TRUE(Until([&] { return a->heard.size() == 2 && b->heard.size() == 2; }));
    }
    std::vector<std::function<void()>> ends = {[&] { server_.reset(); }, [&] { a.reset(); },
                                               [&] { b.reset(); }};
    std::rotate(ends.begin(), ends.begin() + order % 3, ends.end());
    for (const auto& end : ends) end();
    loop_.restart();
    loop_.poll();
  }
}

TEST_F(LinkTest, ProgramsWeStartInheritNoConnection) {
  std::set<int> others;
  for (int fd = 3; fd < 4096; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0) others.insert(fd);
  }
  Listen({}, /*echo=*/true);
  auto peer = EnrolledPeer("n1");
  ASSERT_TRUE(Exchange(*peer, 1));
  for (int fd = 3; fd < 4096; ++fd) {
    const int flags = ::fcntl(fd, F_GETFD);
    if (flags >= 0 && !others.contains(fd)) {
      EXPECT_NE(flags & FD_CLOEXEC, 0) << fd;
    }
  }
}

TEST_F(LinkTest, DiallingOverTheSocketLimitFailsAndDoesNotHang) {
  Listen();
  // Three sockets a link and one for key checks: whichever of them is the one too many.
  for (int sockets_max = 4; sockets_max < 14; ++sockets_max) {
    auto context = Context::Create({.allow_file = "", .sockets_max = sockets_max});
    ASSERT_TRUE(context.ok());
    std::vector<std::unique_ptr<ClientLink>> links;
    Status failed;
    while (failed.ok()) {
      auto dialled = ClientLink::Dial(**context, loop_,
                                      {.endpoint = server_->endpoint(),
                                       .server_public_key = server_keys_.public_key,
                                       .keys = server_keys_},
                                      {});
      failed = dialled.status();
      if (dialled.ok()) links.push_back(*std::move(dialled));
    }
    EXPECT_EQ(failed.code(), StatusCode::kUnavailable);
    EXPECT_LE(links.size(), static_cast<size_t>(sockets_max / 3));
  }
}

TEST_F(LinkTest, BadOptionsSayWhatToDo) {
  const auto listen = [&](std::string endpoint) {
    return ServerLink::Listen(*context_, loop_,
                              {.endpoint = std::move(endpoint), .keys = server_keys_},
                              [](ServerLink::Incoming) {})
        .status();
  };
  for (const char* bad : {"", "127.0.0.1:1", "tcp://", "tcp://:", "tcp://h:", "tcp://h:x",
                          "tcp://h:70000", "ipc:///tmp/x", "tcp://127.0.0.1:1/x"}) {
    EXPECT_EQ(listen(bad).code(), StatusCode::kInvalidArgument) << bad;
  }
  Listen();
  EXPECT_THAT(MessageOf(listen(server_->endpoint())), HasSubstr("is in use"));
  EXPECT_EQ(listen("tcp://192.0.2.1:7400").code(), StatusCode::kUnavailable);  // not ours
  const auto dial = [&](std::string endpoint, std::string server_key) {
    return ClientLink::Dial(*context_, loop_,
                            {.endpoint = std::move(endpoint),
                             .server_public_key = std::move(server_key),
                             .keys = server_keys_},
                            {})
        .status()
        .code();
  };
  EXPECT_EQ(dial("tcp://127.0.0.1", server_keys_.public_key), StatusCode::kInvalidArgument);
  EXPECT_EQ(dial("tcp://127.0.0.1:1", "not a key"), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace allot::transport
