// Peers that mean harm or speak something else. Real peers must not notice.
#include <zmq.hpp>

#include "tests/unit/transport/harness.h"

namespace allot::transport {
namespace {

using Hostile = LinkTest;

TEST_F(Hostile, PlainConnectionIsRefusedAndCounted) {
  Listen();
  RawPeer plain;
  plain.Connect(server_->endpoint());
  plain.Send("hello");
  EXPECT_TRUE(Until([&] { return server_->counters().handshakes_failed >= 1; }));
  EXPECT_TRUE(arrived_.empty());
  EXPECT_EQ(context_->zap().admitted, 0u);
}

TEST_F(Hostile, GarbageIsCutOffWhileARealPeerGoesOn) {
  Listen({}, /*echo=*/true);
  auto peer = EnrolledPeer("n1");
  ASSERT_TRUE(Exchange(*peer, 1));
  constexpr size_t kTotal = 100 << 20;
  uint64_t strangers = 0;
  for (const std::string& bytes : Garbage()) {
    Stranger stranger(loop_, server_->endpoint());
    stranger.Send(bytes, kTotal);
    ++strangers;
    ASSERT_TRUE(Exchange(*peer, 20));
    ASSERT_TRUE(Until([&] { return stranger.cut_off(); })) << strangers;
    EXPECT_LT(stranger.sent(), kTotal);
    ASSERT_TRUE(Until([&] { return server_->counters().handshakes_failed == strangers; }));
    ASSERT_TRUE(Exchange(*peer, 20));
  }
  EXPECT_EQ(server_->counters().accepted, strangers + 1);
  EXPECT_EQ(server_->counters().disconnected, strangers);
}

TEST_F(Hostile, HalfOpenConnectionsDoNotKeepARealPeerOut) {
  Listen({.handshake_ms_max = 60'000}, /*echo=*/true);
  std::vector<std::unique_ptr<Stranger>> strangers;
  for (int i = 0; i < 500; ++i) {
    strangers.push_back(std::make_unique<Stranger>(loop_, server_->endpoint()));
    if (i % 2 == 0) strangers.back()->Send(CurveGreeting(), 64);
  }
  ASSERT_TRUE(Until([&] { return server_->counters().accepted == 500; }));
  auto peer = EnrolledPeer("n1");
  EXPECT_TRUE(Exchange(*peer, 100));
  strangers.clear();
  EXPECT_TRUE(Until([&] { return server_->counters().handshakes_failed == 500; }));
  EXPECT_TRUE(Exchange(*peer, 1));
}

TEST_F(Hostile, HalfOpenConnectionsAreClosedInTheEnd) {
  Listen({.handshake_ms_max = 50}, /*echo=*/true);
  Stranger silent(loop_, server_->endpoint()), greeted(loop_, server_->endpoint());
  greeted.Send(CurveGreeting(), 64);
  EXPECT_TRUE(Until([&] { return silent.cut_off(); }));
  EXPECT_TRUE(Until([&] { return greeted.cut_off(); }));
  EXPECT_TRUE(Until([&] { return server_->counters().handshakes_failed == 2; }));
}

TEST_F(Hostile, NameIsTheOneTheKeyProves) {
  Listen();
  auto peer = EnrolledPeer("n1");
  Enroll("n2", NewKeyPair());
  wire::Envelope claim;  // What it says of itself is for the receiver to compare.
  claim.add_messages()->mutable_register_node()->mutable_info()->set_name("n2");
  peer->link->Send(claim);
  ASSERT_TRUE(Until([&] { return arrived_.size() == 1; }));
  EXPECT_EQ(arrived_[0].name, "n1");
}

TEST_F(Hostile, PeerThatBringsItsOwnRoutingIdIsNotHeard) {
  Listen();
  RawPeer peer;
  const KeyPair keys = NewKeyPair();
  Enroll("n1", keys);
  peer.Curve(keys, server_keys_.public_key);
  peer.socket.set(zmq::sockopt::routing_id, "n2");
  peer.Connect(server_->endpoint());
  wire::Envelope envelope = Numbered(1);
  envelope.set_version(1);
  peer.Send(envelope.SerializeAsString());
  EXPECT_TRUE(Until([&] { return server_->counters().dropped_garbage == 1; }));
  EXPECT_TRUE(arrived_.empty());
}

TEST_F(Hostile, FramesThatAreNoEnvelopeOfOursAreDroppedAndCounted) {
  Listen();
  RawPeer peer;
  const KeyPair keys = NewKeyPair();
  Enroll("n1", keys);
  peer.Curve(keys, server_keys_.public_key);
  peer.Connect(server_->endpoint());
  wire::Envelope good = Numbered(2);
  good.set_version(1);
  peer.Send("");
  peer.Send("\xff\xff\xff not protobuf");
  peer.Send("garbage", /*more=*/true);
  peer.Send("and a body");
  peer.Send(good.SerializeAsString());
  ASSERT_TRUE(Until([&] { return arrived_.size() == 1; }));
  EXPECT_EQ(arrived_[0].envelope.sequence(), 2u);
  EXPECT_TRUE(arrived_[0].bodies.empty());
  EXPECT_EQ(server_->counters().dropped_garbage, 3u);
}

TEST_F(Hostile, ClientDropsWhatItsServerShouldNotSay) {
  RawPeer server;  // A context without a ZAP handler: plain ZeroMQ with our key.
  zmq::socket_t router(server.context, zmq::socket_type::router);
  router.set(zmq::sockopt::linger, 0);
  router.set(zmq::sockopt::curve_server, true);
  router.set(zmq::sockopt::curve_secretkey, server_keys_.secret_key);
  router.bind("tcp://127.0.0.1:0");
  Peer peer;
  Dial(peer, {.endpoint = router.get(zmq::sockopt::last_endpoint)});
  peer.link->Send(Numbered(1));
  zmq::message_t id, envelope;
  ASSERT_TRUE(Until([&] { return router.recv(id, zmq::recv_flags::dontwait).has_value(); }));
  ASSERT_TRUE(router.recv(envelope));
  router.send(zmq::buffer(id.data(), id.size()), zmq::send_flags::sndmore);
  router.send(zmq::buffer(std::string_view("nonsense")));
  EXPECT_TRUE(Until([&] { return peer.link->counters().dropped_garbage == 1; }));
  EXPECT_TRUE(peer.heard.empty());
}

}  // namespace
}  // namespace allot::transport
