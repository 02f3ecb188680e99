// The answer to a caller that waits, if there is one.
#pragma once

#include <utility>

#include "scheduler/core/events.h"

namespace allot::scheduler {

inline void Answer(ReplyToken token, Status status, JobId job, Effects& out) {
  if (token == 0) return;
  // In place: gcc 12 takes the moved-from temporary of push_back for uninitialized.
  out.commands.emplace_back(std::in_place_type<Reply>, Reply{token, std::move(status), job});
}

}  // namespace allot::scheduler
