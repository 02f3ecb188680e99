// Programs of another version of the protocol: both sides say which one is to be upgraded.
#include "common/transport/version.h"

#include "common/wire/codec.h"
#include "tests/unit/transport/harness.h"

namespace allot::transport {
namespace {

using ::testing::HasSubstr;

TEST(VersionOf, IsFieldOneOfWhateverElseIsThere) {
  struct Row {
    const char* name;
    std::string bytes;
    uint32_t version;
  };
  wire::Envelope ours = Numbered(7);
  ours.set_version(1);
  const Row rows[] = {
      {"an envelope of ours", ours.SerializeAsString(), 1},
      {"nothing but a version", std::string("\x08\x02", 2), 2},
      {"fields of a shape we do not know",
       std::string("\x22\x01x\x08\x03\x35"
                   "abcd",
                   10),
       3},
      {"field 1 last", std::string("\x22\x01x\x08\x02", 5), 2},
      {"two of them: the last", std::string("\x08\x02\x08\x05", 4), 5},
      {"none", std::string("\x22\x01x", 3), 0},
      {"nothing", "", 0},
      {"cut off", std::string("\x08", 1), 0},
      {"cut off behind it", std::string("\x08\x02\x22\x09x", 5), 0},
      {"text", "\xff\xff\xff not protobuf", 0},
  };
  for (const Row& row : rows) EXPECT_EQ(VersionOf(row.bytes), row.version) << row.name;
}

TEST(WhichToUpgrade, IsTheSideOfTheLowerVersion) {
  EXPECT_EQ(WhichToUpgrade("n1 (agent)", wire::kProtocolVersion + 1),
            "n1 (agent) speaks protocol version 2, this program 1: upgrade this program");
  EXPECT_EQ(WhichToUpgrade("n1 (agent)", wire::kProtocolVersion - 1),
            "n1 (agent) speaks protocol version 0, this program 1: upgrade that one");
}

TEST(NoteOtherVersion, IsSaidOnceOfEachPeerAndVersion) {
  EXPECT_TRUE(NoteOtherVersion("note-1", 2));
  EXPECT_FALSE(NoteOtherVersion("note-1", 2));
  EXPECT_TRUE(NoteOtherVersion("note-1", 3));
  EXPECT_TRUE(NoteOtherVersion("note-2", 2));
}

using OtherVersion = LinkTest;

// What the next version may make of an envelope: another number, fields of other types.
std::string OfVersion(uint32_t version) {
  return std::string("\x08", 1) + static_cast<char>(version) +
         std::string("\x22\x01x\x1a\x02zz", 7);
}

TEST_F(OtherVersion, IsNotHeardByTheServerAndIsToldOurs) {
  Listen();
  RawPeer peer;
  const KeyPair keys = NewKeyPair();
  Enroll("n1", keys);
  peer.Curve(keys, server_keys_.public_key);
  peer.Connect(server_->endpoint());
  peer.Send(OfVersion(2));
  ASSERT_TRUE(Until([&] { return server_->counters().dropped_version == 1; }));
  zmq::message_t answer;
  ASSERT_TRUE(
      Until([&] { return peer.socket.recv(answer, zmq::recv_flags::dontwait).has_value(); }));
  wire::Envelope told;
  ASSERT_TRUE(told.ParseFromArray(answer.data(), static_cast<int>(answer.size())));
  EXPECT_EQ(told.version(), wire::kProtocolVersion);
  EXPECT_EQ(told.messages_size(), 0);
  EXPECT_TRUE(arrived_.empty());
  EXPECT_EQ(server_->counters().dropped_garbage, 0u);
}

TEST_F(OtherVersion, IsNotHeardByTheClientWhichDoesNotAnswer) {
  Listen();
  Peer peer;
  Enroll("n1", peer.keys);
  Dial(peer);
  peer.link->Send(Numbered(1));
  ASSERT_TRUE(Until([&] { return arrived_.size() == 1; }));
  wire::Envelope next;
  next.set_version(2);
  server_->Send(arrived_[0].peer, next);
  ASSERT_TRUE(Until([&] { return peer.link->counters().dropped_version == 1; }));
  EXPECT_TRUE(peer.heard.empty());
  EXPECT_EQ(peer.link->counters().envelopes_out, 1u);
  // The link itself is good: what is of our version is heard.
  server_->Send(arrived_[0].peer, Numbered(5));
  EXPECT_TRUE(Until([&] { return peer.heard.size() == 1; }));
}

TEST_F(OtherVersion, AFieldThatOneSideDoesNotKnowIsIgnored) {
  Listen();
  RawPeer peer;
  const KeyPair keys = NewKeyPair();
  Enroll("n1", keys);
  peer.Curve(keys, server_keys_.public_key);
  peer.Connect(server_->endpoint());
  wire::Envelope known = Numbered(9);
  known.set_version(1);
  // Field 1000, in the envelope and in a message of it, as a later build may have added them.
  const std::string unknown("\xc2\x3e\x03new", 6);
  known.mutable_messages(0)
      ->mutable_link_hello()
      ->GetReflection()
      ->MutableUnknownFields(known.mutable_messages(0)->mutable_link_hello())
      ->AddLengthDelimited(1000, "new");
  peer.Send(known.SerializeAsString() + unknown);
  ASSERT_TRUE(Until([&] { return arrived_.size() == 1; }));
  EXPECT_EQ(arrived_[0].envelope.sequence(), 9u);
  EXPECT_EQ(arrived_[0].envelope.messages(0).link_hello().node(), "hello");
}

}  // namespace
}  // namespace allot::transport
