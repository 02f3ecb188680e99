// Bodies that are read beside the loop: whose turn it is, and how many may wait.
#include "scheduler/shell/api/body_worker.h"

#include <future>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace allot::scheduler {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class BodyWorkerTest : public ::testing::Test {
 protected:
  // The first work keeps the worker busy until Go, so that what follows waits.
  void Hold() {
    ASSERT_TRUE(worker_
                    .Push(
                        "first",
                        [this] {
                          held_.set_value();
                          go_.get_future().wait();
                        },
                        [this] { done_.push_back("first"); })
                    .ok());
    held_.get_future().wait();
  }
  Status Push(const std::string& sender, const std::string& name) {
    return worker_.Push(
        sender, [this, name] { read_.push_back(name); }, [this, name] { done_.push_back(name); });
  }
  void GoUntil(size_t done) {
    go_.set_value();
    const auto work = boost::asio::make_work_guard(loop_);
    while (done_.size() < done) loop_.run_one();
  }

  boost::asio::io_context loop_;
  std::promise<void> held_, go_;
  std::vector<std::string> read_, done_;
  BodyWorker worker_{loop_, {.waiting_max = 5, .waiting_of_sender_max = 3}};
};

TEST_F(BodyWorkerTest, SendersTakeTurns) {
  Hold();
  for (const char* name : {"a1", "a2", "a3"}) ASSERT_TRUE(Push("a", name).ok());
  ASSERT_TRUE(Push("b", "b1").ok());
  GoUntil(5);
  EXPECT_THAT(read_, ElementsAre("a1", "b1", "a2", "a3"));
  EXPECT_THAT(done_, ElementsAre("first", "a1", "b1", "a2", "a3"));
  EXPECT_EQ(worker_.waiting(), 0u);
}

TEST_F(BodyWorkerTest, WhatWaitsHasAnEndForEachAndForAll) {
  Hold();
  for (const char* name : {"a1", "a2", "a3"}) ASSERT_TRUE(Push("a", name).ok());
  const Status share = Push("a", "a4");
  EXPECT_EQ(share.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(MessageOf(share), HasSubstr("3 bodies of a wait"));
  ASSERT_TRUE(Push("b", "b1").ok());
  const Status all = Push("c", "c1");
  EXPECT_EQ(all.code(), StatusCode::kUnavailable);
  EXPECT_THAT(MessageOf(all), HasSubstr("5 bodies wait"));
  GoUntil(5);
  EXPECT_TRUE(Push("a", "a4").ok()) << "there is room again";
}

TEST_F(BodyWorkerTest, WhatWasNotReadGoesWithIt) {
  auto kept = std::make_shared<int>(0);
  {
    std::promise<void> held, go;
    BodyWorker worker(loop_, {});
    ASSERT_TRUE(worker
                    .Push(
                        "a",
                        [&] {
                          held.set_value();
                          go.get_future().wait();
                        },
                        [kept] { ++*kept; })
                    .ok());
    held.get_future().wait();
    ASSERT_TRUE(worker
                    .Push(
                        "a", [kept] { ++*kept; }, [kept] { ++*kept; })
                    .ok());
    go.set_value();
  }
  loop_.poll();
  EXPECT_EQ(kept.use_count(), 1);
  EXPECT_LE(*kept, 1) << "at most the second was read before the end; nothing was done";
  go_.set_value();
}

}  // namespace
}  // namespace allot::scheduler
