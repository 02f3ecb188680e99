// Answers that are ready and wait for the disk: what they say must be durable first (DESIGN: nobody
// is told what a crash could undo). A disk that hangs for seconds would gather all that is asked
// meanwhile, so their bytes have a bound. Loop thread only.
#pragma once

#include <cstddef>
#include <memory>

#include "common/base/limits.h"
#include "common/http/server.h"
#include "scheduler/shell/pipeline.h"

namespace allot::scheduler {

class HeldAnswers {
 public:
  explicit HeldAnswers(Pipeline& pipeline,
                       size_t bytes_max = static_cast<size_t>(limits::kApiHeldBytes.value))
      : pipeline_(pipeline), bytes_max_(bytes_max) {}

  // `response`, once all that was decided so far is durable. In its place, where that is too much
  // and it is not small: 503, at once.
  void Send(http::ResponderPtr responder, http::Response response);

  // Counts them as long as what it gives is kept; null: they are too much.
  std::shared_ptr<void> Hold(size_t bytes);
  http::Response TooMuch() const;
  size_t bytes() const { return *held_; }

 private:
  Pipeline& pipeline_;
  const size_t bytes_max_;
  const std::shared_ptr<size_t> held_ = std::make_shared<size_t>(0);
};

}  // namespace allot::scheduler
