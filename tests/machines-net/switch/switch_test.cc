#include <gtest/gtest.h>

#include "tests/machines-net/switch/nat.h"
#include "tests/machines-net/switch/path.h"

namespace allot::testing::net {
namespace {

using std::chrono::milliseconds;

const Time kStart{};

TEST(NetPath, APerfectPathDelaysNothing) {
  Path path(1);
  EXPECT_EQ(path.Send(kStart, 1514), kStart);
}

TEST(NetPath, DelayAndRateAddUpAndOrderIsKept) {
  Path path(1);
  path.Set({.delay = milliseconds(10), .bits_per_second = 1'000'000});
  // 1,250 bytes take 10 ms on a line of 1 Mbit/s; the second waits for the first.
  EXPECT_EQ(path.Send(kStart, 1250), kStart + milliseconds(20));
  EXPECT_EQ(path.Send(kStart, 1250), kStart + milliseconds(30));
  path.Set({});
  EXPECT_EQ(path.Send(kStart, 1250), kStart + milliseconds(30)) << "overtakes nothing";
}

TEST(NetPath, AFullQueueLosesTheRest) {
  Path path(1);
  path.Set({.bits_per_second = 8'000, .queue_bytes = 3000});
  int arrived = 0;
  for (int i = 0; i < 10; ++i) arrived += path.Send(kStart, 1000).has_value();
  EXPECT_EQ(arrived, 3);
  EXPECT_EQ(path.lost(), 7U);
}

TEST(NetPath, MtuIsOfTheIpPacket) {
  Path path(1);
  path.Set({.mtu = 1000});
  EXPECT_TRUE(path.Send(kStart, 1014));
  EXPECT_FALSE(path.Send(kStart, 1015));
}

TEST(NetPath, LossIsAsOftenAsSaidAndTheSameForASeed) {
  Path one(7), two(7);
  one.Set({.loss = 0.25});
  two.Set({.loss = 0.25});
  int lost = 0;
  for (int i = 0; i < 10'000; ++i) {
    const bool arrives = one.Send(kStart, 100).has_value();
    ASSERT_EQ(arrives, two.Send(kStart, 100).has_value());
    lost += !arrives;
  }
  EXPECT_GT(lost, 2'300);
  EXPECT_LT(lost, 2'700);
}

TEST(NetPath, NothingPassesACut) {
  Path path(1);
  path.Set({.cut = true});
  EXPECT_FALSE(path.Send(kStart, 60));
}

uint16_t OnesComplementSum(const Frame& f, size_t from, size_t to, uint32_t sum = 0) {
  for (size_t i = from; i + 1 < to; i += 2) sum += static_cast<uint32_t>(f[i] << 8 | f[i + 1]);
  if ((to - from) % 2 == 1) sum += static_cast<uint32_t>(f[to - 1] << 8);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

// A TCP segment from 10.77.0.3 to 10.77.0.1 with right checksums.
Frame Segment(const Address& from, const Address& to, uint8_t flags) {
  Frame f(14 + 20 + 20 + 3, 0);
  f[12] = 0x08;
  f[14] = 0x45;
  f[17] = 43;
  f[22] = 64;
  f[23] = 6;
  std::copy(from.begin(), from.end(), f.begin() + 26);
  std::copy(to.begin(), to.end(), f.begin() + 30);
  f[46] = 0x50;
  f[47] = flags;
  f[54] = 'a';
  f[55] = 'b';
  f[56] = 'c';
  const auto ip = static_cast<uint16_t>(~OnesComplementSum(f, 14, 34));
  f[24] = static_cast<uint8_t>(ip >> 8);
  f[25] = static_cast<uint8_t>(ip);
  const uint32_t pseudo = OnesComplementSum(f, 26, 34, 6 + 23);
  const auto tcp = static_cast<uint16_t>(~OnesComplementSum(f, 34, f.size(), pseudo));
  f[50] = static_cast<uint8_t>(tcp >> 8);
  f[51] = static_cast<uint8_t>(tcp);
  return f;
}

void ExpectChecksumsHold(const Frame& f) {
  EXPECT_EQ(OnesComplementSum(f, 14, 34), 0xffff);
  EXPECT_EQ(OnesComplementSum(f, 34, f.size(), OnesComplementSum(f, 26, 34, 6 + 23)), 0xffff);
}

constexpr Address kInside{10, 77, 0, 3}, kOutside{10, 77, 0, 150}, kOther{10, 77, 0, 1};
constexpr uint8_t kSyn = 0x02, kAck = 0x10;

TEST(NetNat, AddressesAreExchangedAndChecksumsHold) {
  const Nat nat{kOutside, kInside};
  Frame out = Segment(kInside, kOther, kSyn);
  ASSERT_TRUE(nat.Outbound(out));
  EXPECT_EQ(out, Segment(kOutside, kOther, kSyn));
  ExpectChecksumsHold(out);
  Frame in = Segment(kOther, kOutside, kSyn | kAck);
  ASSERT_TRUE(nat.Inbound(in));
  EXPECT_EQ(in, Segment(kOther, kInside, kSyn | kAck));
  ExpectChecksumsHold(in);
}

TEST(NetNat, NobodyComesInUnasked) {
  const Nat nat{kOutside, kInside};
  Frame opening = Segment(kOther, kOutside, kSyn);
  EXPECT_FALSE(nat.Inbound(opening));
  Frame inside = Segment(kOther, kInside, kAck);
  EXPECT_FALSE(nat.Inbound(inside)) << "the inner address is unknown outside";
}

}  // namespace
}  // namespace allot::testing::net
