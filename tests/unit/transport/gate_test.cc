// The door: what strangers hold, who gives way, what a peer may have on its way.
#include "common/transport/gate.h"

#include <malloc.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "common/transport/intake.h"
#include "common/transport/zmtp.h"
#include "tests/unit/transport/harness.h"

// Clang says it in its own way.
#if defined(__has_feature) && !defined(__SANITIZE_ADDRESS__)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/allocator_interface.h>
#endif

namespace allot::transport {
namespace {

using ::testing::HasSubstr;

class GateTest : public LinkTest {
 protected:
  uint64_t Strangers(const std::string& why) const {
    for (const auto& [name, count] : server_->gate().strangers())
      if (name == why) return count;
    return 0;
  }
  uint64_t Throttled(const std::string& by) const {
    for (const auto& [name, count] : server_->gate().throttled())
      if (name == by) return count;
    return 0;
  }
  // What is allocated. Resident pages are no measure of it: an allocator keeps what was freed
  // (Glibc some, AddressSanitizer by plan 256 MiB of it).
  static size_t AllocatedBytes() {
#ifdef __SANITIZE_ADDRESS__
    return __sanitizer_get_current_allocated_bytes();
#else
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
#endif
  }
  // The longest that may be said where a handshake is expected, and what the head of one asks for.
  static std::string LongFrame(const std::string& before) {
    return before + std::string("\x06\0\0\0\0\x03\xff\xff\xff", 9) + std::string(64 << 10, 'x');
  }
};

TEST_F(GateTest, AStrangerHoldsNoMemoryWhateverItAnnounces) {
  Listen({}, /*echo=*/true);
  auto peer = EnrolledPeer("n1");
  ASSERT_TRUE(Exchange(*peer, 1));
  const size_t before = AllocatedBytes();
  std::vector<std::unique_ptr<Stranger>> strangers;
  const std::string hello = Greeting() + std::string("\x04\xc8\x05HELLO", 8);
  for (int i = 0; i < 60; ++i) {
    strangers.push_back(std::make_unique<Stranger>(loop_, server_->endpoint()));
    strangers.back()->Send(LongFrame(i % 2 == 0 ? Greeting() : hello.substr(0, 64)), 64 << 20);
  }
  ASSERT_TRUE(Until([&] { return Strangers("too_long") == 60; }));
  for (const auto& stranger : strangers) ASSERT_TRUE(Until([&] { return stranger->cut_off(); }));
  EXPECT_LT(AllocatedBytes(), before + (60u << 20)) << "a mebibyte each, where they sent 64";
  EXPECT_EQ(server_->counters().handshakes_failed, 60u);
  EXPECT_TRUE(Exchange(*peer, 20));
}

TEST_F(GateTest, TheOldestOfTheFullestAddressGivesWay) {
  Listen({.handshake_ms_max = 600'000}, /*echo=*/true);
  std::vector<std::unique_ptr<Stranger>> strangers;
  const auto most = static_cast<uint64_t>(limits::kStrangersOfAnAddress.value);
  for (uint64_t i = 0; i < most; ++i)
    strangers.push_back(std::make_unique<Stranger>(loop_, server_->endpoint()));
  ASSERT_TRUE(Until([&] { return server_->counters().accepted == most; }));
  EXPECT_EQ(Strangers("pushed_out"), 0u);
  // One more now and then, until the first are old enough to give way.
  ASSERT_TRUE(Until([&] {
    strangers.push_back(std::make_unique<Stranger>(loop_, server_->endpoint()));
    loop_.run_one_for(std::chrono::milliseconds(20));
    return Strangers("pushed_out") > 0;
  }));
  ASSERT_TRUE(Until([&] { return strangers[0]->cut_off(); }));
  EXPECT_FALSE(strangers.back()->cut_off());
  auto peer = EnrolledPeer("n1");  // Of the same address, and it gets in.
  EXPECT_TRUE(Exchange(*peer, 3));
}

// Libzmq at the other side sends a message when it has all of it, so this one has an end, but far
// beyond what may be on its way.
TEST_F(GateTest, AMessageOfManyFramesIsNotCollectedWithoutBound) {
  Listen({.heard_bytes_max = 1 << 20}, /*echo=*/true);
  RawPeer peer;
  const KeyPair keys = NewKeyPair();
  Enroll("n1", keys);
  peer.Curve(keys, server_keys_.public_key);
  peer.socket.set(zmq::sockopt::sndhwm, 0);
  peer.Connect(server_->endpoint());
  wire::Envelope first = Numbered(1);
  first.set_version(1);
  peer.Send(first.SerializeAsString());
  ASSERT_TRUE(Until([&] { return arrived_.size() == 1; }));
  // The peer's frames are all one, so that what is allocated more is allocated here.
  static std::string frame(64 << 10, 'x');
  const size_t before = AllocatedBytes();
  for (int i = 0; i <= 1'000; ++i) {
    zmq::message_t part(frame.data(), frame.size(), [](void*, void*) {});
    peer.socket.send(part, i < 1'000 ? zmq::send_flags::sndmore : zmq::send_flags::none);
  }
  ASSERT_TRUE(Until([&] { return Throttled("window") >= 1; }));
  auto other = EnrolledPeer("n2");
  EXPECT_TRUE(Exchange(*other, 20));
  EXPECT_EQ(arrived_.size(), 21u);
  EXPECT_LT(AllocatedBytes(), before + (30u << 20)) << "of 64 MiB";
}

// Over its burst, where the machine is fast enough for that; slower or not, all arrives.
TEST_F(GateTest, APeerThatIsQuickLosesNothing) {
  Listen({.metered = true});
  auto peer = EnrolledPeer("n1");
  const auto count = static_cast<uint64_t>(limits::kPeerFramesBurst.value + 500);
  uint64_t sent = 0;
  ASSERT_TRUE(Until([&] {
    for (int i = 0; i < 200 && sent < count; ++i) sent += peer->link->Send(Numbered(sent)) ? 1 : 0;
    return arrived_.size() == count;
  }));
  for (uint64_t i = 0; i < count; ++i) ASSERT_EQ(arrived_[i].envelope.sequence(), i);
  EXPECT_EQ(server_->counters().disconnected, 0u);
}

TEST_F(GateTest, ANewConnectionIsNoNewBudget) {
  Listen({.metered = true}, /*echo=*/true);
  const KeyPair keys = NewKeyPair();
  Enroll("n1", keys);
  Peer first, second;
  first.keys = second.keys = keys;
  Dial(first);
  ASSERT_TRUE(Exchange(first, 1));
  const std::string spender = arrived_.back().peer;
  Dial(second);
  ASSERT_TRUE(Exchange(second, 1));
  const std::string other = arrived_.back().peer;
  ASSERT_NE(other, spender);
  server_->Charge(spender, 1'000'000'000);
  server_->Charge(other, 0);
  EXPECT_TRUE(Until([&] { return Throttled("work") == 2; }));
  auto innocent = EnrolledPeer("n2");
  EXPECT_TRUE(Exchange(*innocent, 3));
  EXPECT_EQ(Throttled("work"), 2u);
}

TEST_F(GateTest, WhoeverIsGivenWorkMaySayWhatCameOfIt) {
  Listen({.metered = true}, /*echo=*/true);
  auto peer = EnrolledPeer("n1");
  ASSERT_TRUE(Exchange(*peer, 1));
  wire::Envelope envelope = Numbered(1);
  for (int i = 0; i < 1'000; ++i) envelope.add_messages();
  for (int64_t i = 0; i < 2 * limits::kPeerWorkBurst.value / 1'000; ++i) {
    server_->Earn(arrived_.back().peer, 2'000);
    const size_t heard = arrived_.size();
    peer->link->Send(envelope);
    ASSERT_TRUE(Until([&] { return arrived_.size() > heard; }));
  }
  ASSERT_TRUE(Exchange(*peer, 1));
  EXPECT_EQ(Throttled("work"), 0u);
}

// Between the door and libzmq connections have abstract names, which all users of a host share:
// whoever sees those that are in use must not be able to have the next ones first.
TEST_F(GateTest, NobodyTakesTheNameOfAConnectionThatIsToCome) {
  Listen({}, /*echo=*/true);
  auto first = EnrolledPeer("n1");
  ASSERT_TRUE(Exchange(*first, 1));
  std::ifstream sockets("/proc/net/unix");
  std::set<std::string> guesses;
  for (std::string line; std::getline(sockets, line);) {
    const size_t at = line.find("@allot.");
    if (at == line.npos) continue;
    const std::string name = line.substr(at + 1);
    const size_t dot = name.find('.', sizeof "allot." - 1);
    ASSERT_NE(dot, name.npos) << name;
    for (int id = 0; id < 40; ++id) {
      guesses.insert(name.substr(0, dot + 1) + std::to_string(id));
      const size_t rest = name.find('.', dot + 1);
      if (rest != name.npos)
        guesses.insert(name.substr(0, dot + 1) + std::to_string(id) + name.substr(rest));
    }
  }
  ASSERT_FALSE(guesses.empty()) << "the names are no secret";
  std::vector<int> taken;
  for (const std::string& guess : guesses) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    guess.copy(address.sun_path + 1, sizeof address.sun_path - 1);
    taken.push_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    (void)::bind(taken.back(), reinterpret_cast<const sockaddr*>(&address),
                 static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + guess.size()));
  }
  auto second = EnrolledPeer("n2");
  EXPECT_TRUE(Exchange(*second, 1));
  for (const int fd : taken) ::close(fd);
}

TEST_F(GateTest, APeerHasSoManyConnectionsAndTheNewestStay) {
  Listen({}, /*echo=*/true);
  const KeyPair keys = NewKeyPair();
  Enroll("n1", keys);
  std::vector<std::unique_ptr<Peer>> peers;
  for (int64_t i = 0; i < limits::kConnectionsOfAPeer.value + 1; ++i) {
    peers.push_back(std::make_unique<Peer>());
    peers.back()->keys = keys;
    Dial(*peers.back());
    ASSERT_TRUE(Exchange(*peers.back(), 1));
  }
  ASSERT_TRUE(UntilRefused(*peers.front()));
  EXPECT_EQ(server_->counters().connections_over, 1u);
  EXPECT_TRUE(Exchange(*peers.back(), 1));
}

TEST_F(GateTest, AnEnvelopeWithTooMuchInItIsRefusedUnreadAndOthersGoOn) {
  Listen({}, /*echo=*/true);
  auto peer = EnrolledPeer("n1"), other = EnrolledPeer("n2");
  ASSERT_TRUE(Exchange(*peer, 1) && Exchange(*other, 1));
  wire::Envelope messages = Numbered(1), values = Numbered(2);
  for (int64_t i = 0; i <= limits::kEnvelopeMessages.value; ++i) messages.add_messages();
  auto* info = values.add_messages()->mutable_register_node()->mutable_info();
  for (int64_t i = 0; i <= limits::kEnvelopeValues.value; ++i) info->add_losses("");
  const size_t heard = arrived_.size();
  peer->link->Send(messages);
  peer->link->Send(values);
  ASSERT_TRUE(Until([&] { return server_->counters().dropped_too_many == 2; }));
  EXPECT_EQ(arrived_.size(), heard);
  EXPECT_TRUE(Exchange(*other, 3));
  EXPECT_EQ(server_->counters().disconnected, 0u);
}

TEST_F(GateTest, ALongEnvelopeIsHeardInTurnsAndInOrder) {
  Listen();
  auto peer = EnrolledPeer("n1"), other = EnrolledPeer("n2");
  for (Peer* one : {peer.get(), other.get()}) one->link->Send(Numbered(1));
  ASSERT_TRUE(Until([&] { return arrived_.size() == 2; }));
  arrived_.clear();
  constexpr uint64_t kMessages = 1'000;
  wire::Envelope envelope;
  envelope.set_sequence(2);
  Bodies bodies;
  for (uint64_t i = 0; i < kMessages; ++i) {
    if (i % 3 == 0) {
      envelope.add_messages()->mutable_response_chunk()->set_request(i);
      bodies.push_back(std::to_string(i));
    } else {
      envelope.add_messages()->mutable_grant()->set_request(i);
    }
  }
  peer->link->Send(envelope, bodies);
  peer->link->Send(Numbered(3));
  ASSERT_TRUE(Until([&] { return !arrived_.empty() && arrived_.back().envelope.sequence() == 3; }));
  uint64_t next = 0;
  for (const ServerLink::Incoming& part : arrived_) {
    EXPECT_LE(part.envelope.messages_size(), limits::kTurnMessages.value);
    if (part.envelope.sequence() == 3) break;
    size_t body = 0;
    for (const wire::Message& message : part.envelope.messages()) {
      if (next % 3 == 0) {
        ASSERT_EQ(message.response_chunk().request(), next);
        ASSERT_EQ(part.bodies.at(body++), std::to_string(next));
      } else {
        ASSERT_EQ(message.grant().request(), next);
      }
      ++next;
    }
    EXPECT_EQ(body, part.bodies.size());
  }
  EXPECT_EQ(next, kMessages);
}

TEST_F(GateTest, WhatAPeerSaidBeforeItWentIsHeardUnderItsAddress) {
  Listen();
  const KeyPair keys = NewKeyPair();
  Enroll("n1", keys);
  for (size_t i = 0; i < 20; ++i) {
    {
      RawPeer peer;
      peer.socket.set(zmq::sockopt::linger, -1);
      peer.Curve(keys, server_keys_.public_key);
      peer.Connect(server_->endpoint());
      wire::Envelope envelope = Numbered(i);
      envelope.set_version(1);
      peer.Send(envelope.SerializeAsString());
    }  // Sent whole, and closed.
    ASSERT_TRUE(Until([&] { return arrived_.size() == i + 1; }));
    EXPECT_EQ(arrived_.back().address, "127.0.0.1");
  }
}

TEST(Zmtp, FramesAreCountedInWhateverPartsTheyCome) {
  const std::string message = "\x07MESSAGE" + std::string(25, 'm');
  std::string stream;
  for (int i = 0; i < 3; ++i) {
    stream += std::string("\x04\x21", 2) + message;                              // short
    stream += std::string("\x06\0\0\0\0\0\0\x01\0", 9) + std::string(256, 'x');  // long
    stream += std::string("\x04\x05\x04PING", 7);
  }
  for (size_t step : {size_t{1}, size_t{2}, size_t{7}, size_t{64}, stream.size()}) {
    FrameScanner scanner;
    for (size_t at = 0; at < stream.size(); at += step)
      ASSERT_TRUE(scanner.Scan(std::string_view(stream).substr(at, step), 256));
    EXPECT_EQ(scanner.frames(), 9u);
    EXPECT_EQ(scanner.whole(), 6u);
  }
  FrameScanner strict;
  EXPECT_FALSE(strict.Scan(stream, 255));
  EXPECT_EQ(strict.too_long(), 256u);
}

TEST(Zmtp, AGreetingIsKnownByItsFirstBytes) {
  const std::string good = Greeting();
  for (size_t size = 0; size <= good.size(); ++size)
    EXPECT_TRUE(MayBeGreeting(good.substr(0, size))) << size;
  for (size_t at : {size_t{0}, size_t{9}, size_t{10}, size_t{12}, size_t{16}, size_t{31}}) {
    std::string bad = good;
    bad[at] = '\x01';
    EXPECT_FALSE(MayBeGreeting(bad)) << at;
    EXPECT_TRUE(MayBeGreeting(bad.substr(0, at))) << at;
  }
  EXPECT_FALSE(MayBeGreeting("GET / HTTP/1.1\r\n"));
}

TEST(Measure, CountsWithinMessagesAndStopsAtItsLimits) {
  wire::Envelope envelope;
  auto* tasks = envelope.add_messages()->mutable_task_report();
  for (int i = 0; i < 10; ++i) tasks->add_tasks()->mutable_key()->set_job(7);
  EnvelopeSize size;
  EXPECT_TRUE(Measure(envelope.SerializeAsString(), &size).ok());
  EXPECT_EQ(size.messages, 1u);
  EXPECT_EQ(size.values, 1u + 1 + 10 * 3);
  EXPECT_TRUE(Measure("\xff\xff\xff no envelope", &size).ok()) << "whoever reads it says so";
  const std::string empty("\x22\0", 2);  // a message that is empty
  std::string many;
  for (int i = 0; i < 1 << 20; ++i) many += empty;
  EXPECT_THAT(Measure(many, &size).ToString(), HasSubstr("messages"));
  EXPECT_EQ(size.messages, static_cast<uint64_t>(limits::kEnvelopeMessages.value) + 1);
  // One that is broken hides none of those behind it, which are read in spite of it.
  const std::string broken("\x22\x03\x0a\x7f\x00", 5);
  EXPECT_THAT(Measure(broken + many, &size).ToString(), HasSubstr("messages"));
}

// Whatever is said of the whole: by its fields' own list, so that a new one is not forgotten.
TEST(Turns, SayOfEachPartWhatWasSaidOfTheWhole) {
  wire::Envelope whole;
  const auto* const type = whole.GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    const auto* const field = type->field(i);
    if (field->is_repeated()) continue;
    if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_UINT32)
      whole.GetReflection()->SetUInt32(&whole, field, 7);
    else
      whole.GetReflection()->SetUInt64(&whole, field, 7);
  }
  const std::string said = whole.SerializeAsString();
  for (int64_t i = 0; i < 3 * limits::kTurnMessages.value; ++i) whole.add_messages();
  Turns turns(whole, {});
  wire::Envelope part;
  Bodies bodies;
  int parts = 0;
  for (bool more = true; more; ++parts) {
    more = turns.Next(&part, &bodies);
    EXPECT_EQ(part.messages_size(), limits::kTurnMessages.value);
    part.clear_messages();
    EXPECT_EQ(part.SerializeAsString(), said);
  }
  EXPECT_EQ(parts, 3);
}

}  // namespace
}  // namespace allot::transport
