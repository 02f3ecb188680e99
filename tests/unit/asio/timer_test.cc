#include "common/asio/timer.h"

#include <gtest/gtest.h>

#include <boost/asio/post.hpp>
#include <memory>

namespace allot {
namespace {

class Timers : public testing::Test {
 protected:
  // Runs `late` when the timer's time has come and its handler waits for its turn.
  void BeforeItsTurn(std::function<void()> late) {
    boost::asio::steady_timer first(loop_);
    first.expires_at(std::chrono::steady_clock::time_point::min());
    first.async_wait([late](const boost::system::error_code&) { late(); });
    timer_->After(Duration{}, [this] { ++calls_; });
    loop_.run();
  }

  boost::asio::io_context loop_;
  std::unique_ptr<Timer> timer_ = std::make_unique<Timer>(loop_);
  int calls_ = 0;
};

TEST_F(Timers, CallOnce) {
  timer_->After(std::chrono::milliseconds(1), [this] { ++calls_; });
  loop_.run();
  EXPECT_EQ(calls_, 1);
}

TEST_F(Timers, DoNotCallOnceStopped) {
  BeforeItsTurn([this] { timer_->Stop(); });
  EXPECT_EQ(calls_, 0);
}

TEST_F(Timers, DoNotCallOnceDestroyed) {
  BeforeItsTurn([this] { timer_.reset(); });
  EXPECT_EQ(calls_, 0);
}

TEST_F(Timers, CallForTheLastTimeOnly) {
  int again = 0;
  BeforeItsTurn([&] { timer_->After(Duration{}, [&again] { ++again; }); });
  EXPECT_EQ(calls_, 0);
  EXPECT_EQ(again, 1);
}

TEST_F(Timers, MayBeDestroyedAndArmedByTheirCall) {
  timer_->After(Duration{}, [this] {
    timer_->After(Duration{}, [this] {
      timer_.reset();
      ++calls_;
    });
  });
  loop_.run();
  EXPECT_EQ(calls_, 1);
}

}  // namespace
}  // namespace allot
