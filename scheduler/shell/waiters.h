// Callers that wait: for the answer to an event they caused (by token), or for a job to end.
//
// Answers are rendered when the core has decided and sent when that is durable (see Pipeline).
// Loop thread only.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "common/asio/timer.h"
#include "common/http/server.h"
#include "scheduler/shell/pipeline.h"

namespace allot::scheduler {

class Waiters {
 public:
  using RenderReply = std::function<http::Response(const Reply& reply)>;
  using RenderJob = std::function<http::Response()>;

  Waiters(boost::asio::io_context& loop, Pipeline& pipeline) : loop_(loop), pipeline_(pipeline) {}

  // The answer to the event that is fed with this token.
  ReplyToken Expect(http::ResponderPtr responder, RenderReply render);
  // Answers that have not been sent: what waits for the core, which is nothing between two events,
  // and what waits for the disk, which is most of it.
  size_t expected() const { return static_cast<size_t>(unsent_.use_count()) - 1; }

  // Answers when the job ends, or after `timeout` with what there is to say then.
  // `sender`: whose share of all who wait it counts in.
  void UntilEnd(JobId job, std::string sender, http::ResponderPtr responder, Duration timeout,
                RenderJob render);
  size_t waiting() const { return waiting_; }
  size_t waiting(const std::string& sender) const;

  // For Pipeline::Outside.
  Pipeline::Action PrepareReply(const Reply& reply);
  Pipeline::Action PrepareJobEnded(JobId job);

 private:
  struct Expected {
    http::ResponderPtr responder;
    RenderReply render;
    std::shared_ptr<const char> unsent;  // counts; goes along with the answer until it is sent
  };
  struct Waiter {
    std::string sender;
    http::ResponderPtr responder;
    RenderJob render;
    std::unique_ptr<Timer> timer;
  };
  bool Forget(JobId job, const Waiter* waiter);  // false: it was answered already

  boost::asio::io_context& loop_;
  Pipeline& pipeline_;
  ReplyToken last_token_ = 0;
  const std::shared_ptr<const char> unsent_ = std::make_shared<const char>();
  absl::flat_hash_map<ReplyToken, Expected> expected_;
  absl::flat_hash_map<JobId, std::vector<std::shared_ptr<Waiter>>> jobs_;
  void Left(const Waiter& waiter);

  size_t waiting_ = 0;
  absl::flat_hash_map<std::string, size_t> of_sender_;
};

}  // namespace allot::scheduler
