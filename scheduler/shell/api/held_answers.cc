#include "scheduler/shell/api/held_answers.h"

#include <utility>

namespace allot::scheduler {
namespace {

constexpr size_t kSmall = 4 << 10;  // errors, and most jobs

}  // namespace

std::shared_ptr<void> HeldAnswers::Hold(size_t bytes) {
  if (bytes > kSmall && *held_ + bytes > bytes_max_ && *held_ > 0) return nullptr;
  *held_ += bytes;
  return std::shared_ptr<void>(held_.get(), [held = held_, bytes](void*) { *held -= bytes; });
}

http::Response HeldAnswers::TooMuch() const {
  return http::ErrorResponse(
      Unavailable("{} bytes of answers wait for the disk; try again in a second", *held_));
}

void HeldAnswers::Send(http::ResponderPtr responder, http::Response response) {
  std::shared_ptr<void> hold = Hold(response.body.size());
  if (hold == nullptr) return responder->Send(TooMuch());
  pipeline_.WhenDurable([responder = std::move(responder), response = std::move(response),
                         hold = std::move(hold)]() mutable {
    hold.reset();
    responder->Send(std::move(response));
  });
}

}  // namespace allot::scheduler
