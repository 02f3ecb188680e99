// One odd byte costs itself: what is sent is mended, and of what came all that can be read is.
#include "common/transport/text_fields.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/transport/harness.h"

namespace allot::transport {
namespace {

using ::testing::ElementsAre;

constexpr char kOdd[] = "caf\xe9";
constexpr char kMended[] = "caf\xEF\xBF\xBD";

// Protobuf 3.21 writes what it is given and only complains; so does any peer of another make.
wire::Envelope WithOddText() {
  wire::Envelope envelope;
  envelope.set_version(1);
  envelope.set_sequence(7);
  envelope.set_incarnation(9);
  envelope.set_store(11);
  envelope.add_messages()->mutable_cancel_request()->set_request(1);
  auto* info = envelope.add_messages()->mutable_register_node()->mutable_info();
  info->add_warnings("fine");
  info->add_warnings(kOdd);
  (*info->mutable_labels())[kOdd] = kOdd;
  info->add_devices()->set_model(kOdd);
  auto* failed = envelope.add_messages()->mutable_response_failed();
  failed->set_request(2);
  failed->set_message(kOdd);
  return envelope;
}

TEST(TextFields, AreMendedWhereverTheyAre) {
  wire::Envelope envelope = WithOddText();
  EXPECT_FALSE(TextIsSound(envelope));
  MendText(&envelope);
  EXPECT_TRUE(TextIsSound(envelope));
  const wire::NodeInfo& info = envelope.messages(1).register_node().info();
  EXPECT_THAT(info.warnings(), ElementsAre("fine", kMended));
  EXPECT_EQ(info.labels().at(kMended), kMended);
  EXPECT_EQ(info.devices(0).model(), kMended);
  EXPECT_EQ(envelope.messages(2).response_failed().message(), kMended);
  wire::Envelope received;
  EXPECT_TRUE(received.ParseFromString(envelope.SerializeAsString()));
}

TEST(TextFields, HeadersAreBytesAndStayAsTheyAre) {
  wire::Envelope envelope;
  auto* header = envelope.add_messages()->mutable_response_head()->add_headers();
  header->set_name("x-n");
  header->set_value(kOdd);
  EXPECT_TRUE(TextIsSound(envelope));
  wire::Envelope received;
  ASSERT_TRUE(received.ParseFromString(envelope.SerializeAsString()));
  EXPECT_EQ(received.messages(0).response_head().headers(0).value(), kOdd);
}

TEST(TextFields, AMessageThatCannotBeReadCostsItselfAndItsBody) {
  wire::Envelope envelope = WithOddText();
  envelope.add_messages()->mutable_response_chunk()->set_request(3);
  std::string frame = envelope.SerializeAsString();
  // A head whose inside is no Protobuf, then another chunk.
  const std::string garbage = "\xe2\x02\x02\x0a\xff";  // field 44, length 2, cut short inside
  frame += '\x22';
  frame += static_cast<char>(garbage.size());
  frame += garbage;
  wire::Envelope more;
  more.add_messages()->mutable_response_chunk()->set_request(4);
  frame += more.SerializeAsString();

  wire::Envelope received;
  EXPECT_FALSE(received.ParseFromString(frame));
  std::vector<std::string> bodies = {"three", "of the head", "four"};
  size_t lost = 0;
  ASSERT_TRUE(SalvageEnvelope(frame, &received, &bodies, &lost));
  EXPECT_EQ(lost, 3u);
  EXPECT_EQ(received.version(), 1u);
  EXPECT_EQ(received.sequence(), 7u);
  EXPECT_EQ(received.incarnation(), 9u);
  EXPECT_EQ(received.store(), 11u);
  ASSERT_EQ(received.messages_size(), 3);
  EXPECT_EQ(received.messages(0).cancel_request().request(), 1u);
  EXPECT_EQ(received.messages(1).response_chunk().request(), 3u);
  EXPECT_EQ(received.messages(2).response_chunk().request(), 4u);
  EXPECT_THAT(bodies, ElementsAre("three", "four"));
}

TEST(TextFields, WhatIsNoEnvelopeIsNone) {
  wire::Envelope received;
  std::vector<std::string> bodies;
  size_t lost = 0;
  for (const std::string_view frame : {"\x22\x7fshort", "\x0b", "\x22\xff\xff\xff\xff\xff"})
    EXPECT_FALSE(SalvageEnvelope(frame, &received, &bodies, &lost)) << frame;
}

class OddText : public LinkTest {};

TEST_F(OddText, CostsNeitherTheLinkNorWhatTravelsWithIt) {
  Listen({}, /*echo=*/false);
  const auto peer = EnrolledPeer("n1");
  peer->link->Send(WithOddText());
  ASSERT_TRUE(Until([&] { return !arrived_.empty(); }));
  EXPECT_EQ(arrived_[0].envelope.messages_size(), 3);
  EXPECT_EQ(arrived_[0].envelope.messages(2).response_failed().message(), kMended);
  EXPECT_EQ(server_->counters().dropped_garbage, 0u);
  EXPECT_EQ(server_->counters().dropped_unreadable, 0u);
}

}  // namespace
}  // namespace allot::transport
