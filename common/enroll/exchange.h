// Talking to a scheduler over its link, as a machine that is to join.
//
// Both sides are proven by keys: the scheduler's is in the invitation, ours is the invitation's
// to enrol, and our own to see whether it is admitted.
#pragma once

#include "common/base/status.h"
#include "common/enroll/question.h"

namespace allot::enroll {

// Blocks until there is an answer or the question's timeout is over. Errors as for Asking.
StatusOr<Answer> Ask(const Question& question);

}  // namespace allot::enroll
