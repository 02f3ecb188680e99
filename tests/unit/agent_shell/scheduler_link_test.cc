// The agent's link to the scheduler: up only when the path carries large messages both ways.
#include "agent/shell/scheduler_link.h"

#include "common/wire/codec.h"
#include "tests/unit/transport/harness.h"

namespace allot::agent {
namespace {

using ::testing::HasSubstr;
using transport::PathProof;

class LinkToScheduler : public transport::LinkTest {
 protected:
  // `echoed`: which of the probes, by the size of their padding.
  void Start(PathProof::Patience patience, std::function<bool(size_t padding)> echoed) {
    transport::KeyPair keys = transport::NewKeyPair();
    Enroll("n1", keys);
    auto server = transport::ServerLink::Listen(
        *context_, loop_, {.endpoint = "tcp://127.0.0.1:0", .keys = server_keys_},
        [this, echoed](const transport::ServerLink::Incoming& in) {
          for (const wire::Message& message : in.envelope.messages()) {
            if (!message.has_path_probe()) continue;
            lost_before_ = message.path_probe().large_lost();
            if (!echoed(message.path_probe().padding().size())) continue;
            wire::Envelope envelope;
            envelope.set_term(term_);
            envelope.set_store(store_);
            transport::EchoProbe(message.path_probe(),
                                 envelope.add_messages()->mutable_path_echo());
            server_->Send(in.peer, envelope);
          }
        });
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    SchedulerLink::Handlers handlers;
    handlers.up = [this] { ++ups_; };
    handlers.down = [this](const std::string& why) { down_ = why; };
    handlers.heard = [] {};
    handlers.said = [](const SchedulerMessage&, Incarnation) {};
    link_ = std::make_unique<SchedulerLink>(
        loop_, *context_,
        SchedulerLink::Options{{server_->endpoint()}, server_keys_.public_key, keys, patience},
        std::move(handlers));
    link_->Dial();
  }
  ~LinkToScheduler() override { link_.reset(); }

  static constexpr Duration kLong = std::chrono::hours(1), kShort = std::chrono::milliseconds(50);
  int ups_ = 0;
  bool lost_before_ = false;
  uint64_t term_ = 1, store_ = 0;  // of the scheduler
  std::optional<std::string> down_;
  std::unique_ptr<SchedulerLink> link_;
};

TEST_F(LinkToScheduler, IsUpWhenBothProbesAreBack) {
  Start({kLong, kLong}, [](size_t) { return true; });
  ASSERT_TRUE(Until([&] { return link_->up(); }));
  EXPECT_EQ(ups_, 1);
  EXPECT_FALSE(down_.has_value());
}

TEST_F(LinkToScheduler, IsDownWithTheSymptomWhereOnlySmallMessagesPass) {
  bool mended = false;
  Start({kLong, kShort}, [&mended](size_t padding) { return padding == 0 || mended; });
  ASSERT_TRUE(Until([&] { return down_.has_value(); }));
  EXPECT_THAT(*down_, HasSubstr("small messages pass, large ones (16 KiB) do not"));
  EXPECT_EQ(ups_, 0);
  link_->Dial();
  ASSERT_TRUE(Until([&] { return lost_before_; })) << "what was found is told";
  mended = true;
  // A dial that was under way may still have lost its large probe.
  ASSERT_TRUE(Until([&] {
    if (std::exchange(down_, std::nullopt).has_value()) link_->Dial();
    return link_->up();
  }));
}

TEST_F(LinkToScheduler, IsUpWithASchedulerThatKnowsOfNoProbes) {
  Start({kShort, kLong}, [](size_t) { return false; });
  EXPECT_TRUE(Until([&] { return link_->up(); }));
}

// Terms order the schedulers of one life of a store. A store that was put back has another one, and
// there is no other way for its scheduler to be heard.
TEST_F(LinkToScheduler, AnOlderTermIsRefusedInOneLifeOfTheStoreOnly) {
  store_ = 0xA;
  term_ = 9;
  Start({kLong, kLong}, [](size_t) { return true; });
  ASSERT_TRUE(Until([&] { return link_->up(); }));
  EXPECT_EQ(link_->term(), 9u);
  term_ = 3;
  link_->Dial();
  ASSERT_TRUE(Until([&] { return link_->counters().refused_terms > 0; }));
  EXPECT_FALSE(link_->up());
  store_ = 0xB;
  link_->Dial();
  ASSERT_TRUE(Until([&] { return link_->up(); }));
  EXPECT_EQ(link_->term(), 3u);
}

}  // namespace
}  // namespace allot::agent
