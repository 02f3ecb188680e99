#include "scheduler/shell/api/body_worker.h"

#include <utility>

#include <boost/asio/post.hpp>

#include "common/base/thread.h"

namespace allot::scheduler {

BodyWorker::BodyWorker(boost::asio::io_context& loop, Limits limits)
    : loop_(loop), limits_(limits), thread_(StartThread([this] { Run(); })) {}

BodyWorker::~BodyWorker() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  pushed_.notify_one();
  thread_.join();
}

Status BodyWorker::Push(const std::string& sender, std::function<void()> read,
                        std::function<void()> done) {
  const auto known = of_sender_.find(sender);
  if (known != of_sender_.end() && known->second >= limits_.waiting_of_sender_max) {
    return ResourceExhausted(
        "{} bodies of {} wait to be read; send the next when they are answered", known->second,
        sender);
  }
  if (waiting_ >= limits_.waiting_max) {
    return Unavailable("{} bodies wait to be read; try again in a second", waiting_);
  }
  ++waiting_;
  ++of_sender_[sender];
  auto work = std::make_unique<Work>(Work{sender, std::move(read), std::move(done)});
  {
    const std::lock_guard lock(mutex_);
    auto& line = lines_[sender];
    if (line.empty()) turns_.push_back(sender);
    line.push_back(std::move(work));
  }
  pushed_.notify_one();
  return absl::OkStatus();
}

void BodyWorker::Run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    pushed_.wait(lock, [this] { return stopping_ || !turns_.empty(); });
    if (stopping_) return;
    const std::string sender = std::move(turns_.front());
    turns_.pop_front();
    const auto line = lines_.find(sender);
    std::unique_ptr<Work> work = std::move(line->second.front());
    line->second.pop_front();
    if (line->second.empty()) {
      lines_.erase(line);
    } else {
      turns_.push_back(sender);
    }
    lock.unlock();
    work->read();
    boost::asio::post(loop_, [weak = std::weak_ptr(self_),
                              kept = std::shared_ptr<Work>(std::move(work))]() mutable {
      if (const auto self = weak.lock()) (*self)->Done(std::move(kept));
    });
    lock.lock();
  }
}

void BodyWorker::Done(std::shared_ptr<Work> work) {
  --waiting_;
  if (const auto of = of_sender_.find(work->sender); --of->second == 0) of_sender_.erase(of);
  work->done();
}

}  // namespace allot::scheduler
