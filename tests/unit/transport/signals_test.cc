// Signals that are handled while messages go to and fro.
#include <signal.h>
#include <sys/time.h>

#include "tests/unit/transport/harness.h"

namespace allot::transport {
namespace {

volatile sig_atomic_t handled = 0;

// SIGALRM again and again, without SA_RESTART, as asio's handlers are.
class Storm {
 public:
  Storm() {
    struct sigaction action {};
    action.sa_handler = [](int) { handled = handled + 1; };
    sigaction(SIGALRM, &action, &before_);
    const itimerval often = {{0, 50}, {0, 50}};
    setitimer(ITIMER_REAL, &often, nullptr);
  }
  ~Storm() {
    const itimerval never = {};
    setitimer(ITIMER_REAL, &never, nullptr);
    sigaction(SIGALRM, &before_, nullptr);
  }

 private:
  struct sigaction before_;
};

TEST_F(LinkTest, SignalsLoseNoMessageAndEndNoThread) {
  Listen({}, /*echo=*/true);
  auto peer = EnrolledPeer("n1");
  const Storm storm;
  constexpr uint64_t kCount = 20'000;
  const Bodies bodies = {"a body", "another"};
  uint64_t sent = 0, undelivered = 0;
  ASSERT_TRUE(Until([&] {
    for (int i = 0; i < 64 && sent < kCount && sent < peer->heard.size() + 1000; ++i)
      undelivered += !peer->link->Send(Numbered(sent++), bodies);
    return peer->heard.size() >= kCount - undelivered;
  }));
  EXPECT_EQ(undelivered, 0u);
  ASSERT_EQ(peer->heard.size(), kCount);
  for (uint64_t i = 0; i < kCount; ++i) {
    ASSERT_EQ(peer->heard[i].envelope.sequence(), i);
    ASSERT_EQ(peer->heard[i].bodies, bodies);
  }
  EXPECT_EQ(server_->counters().dropped_garbage, 0u);
  EXPECT_GT(handled, 0);
  // Whoever dials now is judged by the ZAP thread, which has been there all the while.
  auto late = EnrolledPeer("n2");
  EXPECT_TRUE(Until([&] { return late->connected == 1; }));
}

}  // namespace
}  // namespace allot::transport
