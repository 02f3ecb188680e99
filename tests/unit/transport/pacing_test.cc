// Bodies in pieces: turns, credit, and a window that follows the path. No sockets, no clock.
#include <deque>

#include "common/transport/path_proof.h"
#include "common/transport/pieces.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace allot::transport {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;

// A path that delivers so many bytes a second, in order, after a delay each way.
class Path {
 public:
  Path(uint64_t bytes_per_second, Duration delay) : rate_(bytes_per_second), delay_(delay) {}

  // Sends all that may leave, then lets one acknowledgement arrive. Returns what a hello that was
  // sent now would wait for before it is on its way.
  Duration Turn(PieceSender& sender) {
    while (const auto piece = sender.Next(now_)) {
      free_ = std::max(free_, now_) + Duration(piece->bytes.size() * 1'000'000 / rate_);
      on_the_way_.push_back({free_ + 2 * delay_, piece->bytes.size()});
    }
    const Duration wait = std::max(free_ - now_, Duration(0));
    if (on_the_way_.empty()) return wait;
    now_ = std::max(now_, on_the_way_.front().at);
    counter_.Arrived(on_the_way_.front().bytes);
    arrived_ += on_the_way_.front().bytes;
    on_the_way_.pop_front();
    if (const auto total = counter_.Due()) sender.Taken(now_, *total);
    return wait;
  }
  Duration now() const { return now_; }
  uint64_t arrived() const { return arrived_; }
  void SetRate(uint64_t rate) { rate_ = rate; }

 private:
  struct Flight {
    Duration at;
    size_t bytes;
  };
  uint64_t rate_;
  const Duration delay_;
  Duration now_{}, free_{};
  uint64_t arrived_ = 0;
  std::deque<Flight> on_the_way_;
  PieceCounter counter_;
};

TEST(Pacing, ALargeBodyNeverKeepsAHelloWaitingForLong) {
  constexpr uint64_t kBody = 8 << 20;
  for (const uint64_t kilobits : {100, 1'000, 10'000, 1'000'000}) {
    PieceSender sender;
    sender.Open(1);
    sender.Push(1, std::string(kBody, 'x'));
    Path path(kilobits * 125, milliseconds(1));
    Duration worst{};
    while (path.arrived() < kBody) {
      const Duration wait = path.Turn(sender);
      // The first window is a guess; what it costs is bounded by its size.
      if (path.arrived() > Pacer::kWindowStart) worst = std::max(worst, wait);
    }
    // 100 kbit/s: two pieces, the least there may be, are 2.6 s. Else half a second and a bit.
    EXPECT_LE(worst, kilobits == 100 ? milliseconds(2'700) : milliseconds(800)) << kilobits;
  }
}

TEST(Pacing, AFarFastPathIsFilled) {
  PieceSender sender;
  sender.Open(1);
  constexpr uint64_t kBody = 64 << 20;
  sender.Push(1, std::string(kBody, 'x'));
  Path path(12'500'000, milliseconds(100));  // 100 Mbit/s, 200 ms there and back
  while (path.arrived() < kBody) path.Turn(sender);
  // 5.4 s at the full rate. A window of 256 KiB would take 52 s.
  EXPECT_LT(path.now(), std::chrono::seconds(10));
}

TEST(Pacing, AWindowThatHasBecomeTooLargeShrinks) {
  PieceSender sender;
  sender.Open(1);
  sender.Push(1, std::string(80 << 20, 'x'));
  Path path(125'000'000, milliseconds(1));
  while (path.arrived() < 40 << 20) path.Turn(sender);
  EXPECT_GT(sender.pacer().window(), Pacer::kWindowStart);
  path.SetRate(125'000);  // 1 Mbit/s
  while (path.arrived() < 60 << 20) path.Turn(sender);
  EXPECT_LE(sender.pacer().window(), 96u << 10);
}

TEST(Pieces, StreamsTakeTurns) {
  PieceSender sender;
  sender.Open(1);
  sender.Open(2);
  sender.Push(1, std::string(3 * kPieceBytesMax, 'a'));
  sender.Push(2, "token");
  std::vector<uint64_t> order;
  while (const auto piece = sender.Next({})) order.push_back(piece->stream);
  EXPECT_THAT(order, ElementsAre(1u, 2u, 1u, 1u));
}

TEST(Pieces, WhoeverDoesNotReadHoldsBackOnlyItsOwn) {
  PieceSender sender;
  sender.Open(1, 10);
  sender.Open(2, 100);
  sender.Push(1, std::string(30, 'a'));
  sender.Push(2, std::string(20, 'b'));
  EXPECT_EQ(sender.Next({})->bytes, std::string(10, 'a'));
  EXPECT_EQ(sender.Next({})->bytes, std::string(20, 'b'));
  EXPECT_FALSE(sender.Next({}).has_value());
  EXPECT_EQ(sender.waiting(1), 20u);
  sender.Grant(1, 10);  // Said again, or late: nothing new.
  EXPECT_FALSE(sender.Next({}).has_value());
  sender.Grant(1, 25);
  EXPECT_EQ(sender.Next({})->bytes.size(), 15u);
  sender.End(1);
  EXPECT_FALSE(sender.Next({}).has_value()) << "its end is not before its bytes";
  sender.Grant(1, 100);
  const auto last = sender.Next({});
  EXPECT_EQ(last->bytes.size(), 5u);
  EXPECT_TRUE(last->last);
  EXPECT_FALSE(sender.Has(1));
}

TEST(Pieces, ThePacerHoldsForAllTogetherAndNotForEnds) {
  PieceSender sender;
  sender.Open(1);
  sender.Push(1, std::string(2 * Pacer::kWindowStart, 'a'));
  uint64_t sent = 0;
  while (const auto piece = sender.Next({})) sent += piece->bytes.size();
  EXPECT_EQ(sent, Pacer::kWindowStart);
  sender.Open(2);
  sender.End(2);
  const auto end = sender.Next({});
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->stream, 2u);
  EXPECT_TRUE(end->last && end->bytes.empty());
  EXPECT_EQ(sender.waiting(), Pacer::kWindowStart);
  sender.Drop(1);
  EXPECT_EQ(sender.waiting(), 0u);
}

TEST(Pieces, AnAcknowledgementOfMoreThanWasSentIsOfAll) {
  PieceSender sender;
  sender.Open(1);
  sender.Push(1, std::string(100, 'a'));
  sender.Next({});
  sender.Taken({}, UINT64_MAX);
  EXPECT_EQ(sender.pacer().in_flight(), 0u);
}

TEST(Pieces, TowardsAPeerThatAcknowledgesNothingAllLeavesAsItWasPushed) {
  PieceSender sender(/*paced=*/false);
  sender.Open(1);
  const size_t size = 4 * Pacer::kWindowStart;
  sender.Push(1, std::string(size, 'a'));
  EXPECT_EQ(sender.Next({})->bytes.size(), size);
}

// ---- does the path carry large messages? ----------------------------------------------------

class PathProofTest : public ::testing::Test {
 protected:
  void Begin() {
    small_ = proof_.Begin(now_, ++nonce_);
    large_.Clear();
  }
  void Echo(const wire::PathProbe& probe) {
    wire::PathEcho echo;
    ASSERT_TRUE(EchoProbe(probe, &echo));
    if (auto next = proof_.Echoed(now_, echo)) large_ = *next;
  }
  PathProof::State After(Duration time) { return proof_.Look(now_ += time); }

  Duration now_{};
  uint64_t nonce_ = 0;
  wire::PathProbe small_, large_;
  PathProof proof_{PathProof::Patience{}};
};

TEST_F(PathProofTest, BothProbesBackProveIt) {
  Begin();
  EXPECT_EQ(small_.padding().size(), 0u);
  EXPECT_EQ(After(milliseconds(10)), PathProof::State::kAsking);
  Echo(small_);
  EXPECT_EQ(After({}), PathProof::State::kAsking);
  Echo(large_);
  EXPECT_EQ(After({}), PathProof::State::kProven);
}

TEST_F(PathProofTest, OnlyTheSmallOneBackNamesTheSymptomAndTheNextConnectionSaysSo) {
  Begin();
  Echo(small_);
  EXPECT_FALSE(small_.large_lost());
  EXPECT_EQ(After(std::chrono::seconds(5)), PathProof::State::kAsking);
  EXPECT_EQ(After(std::chrono::seconds(2)), PathProof::State::kLargeLost);
  Begin();
  EXPECT_TRUE(small_.large_lost());
  Echo(small_);
  Echo(large_);
  EXPECT_EQ(After({}), PathProof::State::kProven);
  Begin();
  EXPECT_FALSE(small_.large_lost());
}

TEST_F(PathProofTest, APeerThatKnowsOfNoProbesIsUsedAsItIs) {
  Begin();
  EXPECT_EQ(After(milliseconds(2'001)), PathProof::State::kNotSpoken);
}

TEST_F(PathProofTest, EchoesOfAnEarlierConnectionProveNothing) {
  Begin();
  Echo(small_);
  const wire::PathProbe late = large_;
  Begin();
  Echo(late);
  EXPECT_EQ(After(milliseconds(100)), PathProof::State::kAsking);
}

TEST(Probes, AskForNoMoreThanIsNeeded) {
  wire::PathProbe probe;
  wire::PathEcho echo;
  probe.set_padding(std::string(kProbePaddingBytes + 1, 'x'));
  EXPECT_FALSE(EchoProbe(probe, &echo));
}

}  // namespace
}  // namespace allot::transport
