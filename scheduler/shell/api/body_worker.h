// Bodies are read beside the loop: how long that takes is for whoever sends them to choose, and
// everybody else's requests wait for the loop.
//
// One thread. Each sender (a tenant, or a token of none) has a line of its own and the lines take
// turns, so that one who sends much waits for himself. What waits has an end, for each and for all.
// All calls on the loop's thread.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include <boost/asio/io_context.hpp>

#include "common/base/limits.h"
#include "common/base/status.h"

namespace allot::scheduler {

class BodyWorker {
 public:
  struct Limits {
    size_t waiting_max = limits::kApiBodiesWaiting.value;
    size_t waiting_of_sender_max = limits::kApiBodiesWaitingOfSender.value;
  };
  explicit BodyWorker(boost::asio::io_context& loop) : BodyWorker(loop, Limits()) {}
  BodyWorker(boost::asio::io_context& loop, Limits limits);
  ~BodyWorker();  // What has not been read is dropped, on this thread; nothing follows.

  // `read` runs on the worker, then `done` on the loop. Both are destroyed on the loop.
  // Errors: ResourceExhausted, Unavailable: what waits is too much.
  Status Push(const std::string& sender, std::function<void()> read, std::function<void()> done);
  size_t waiting() const { return waiting_; }

 private:
  struct Work {
    std::string sender;
    std::function<void()> read, done;
  };
  void Run();
  void Done(std::shared_ptr<Work> work);

  boost::asio::io_context& loop_;
  const Limits limits_;
  size_t waiting_ = 0;                       // pushed and not done
  std::map<std::string, size_t> of_sender_;  // the same
  std::shared_ptr<BodyWorker*> self_ = std::make_shared<BodyWorker*>(this);

  std::mutex mutex_;
  std::condition_variable pushed_;
  std::map<std::string, std::deque<std::unique_ptr<Work>>> lines_;
  std::deque<std::string> turns_;  // senders with something in their line
  bool stopping_ = false;

  std::thread thread_;
};

}  // namespace allot::scheduler
