// Asking a scheduler through the program that is to join it: that one speaks ZeroMQ, `allot` does
// not (ADR 14).
#pragma once

#include <string>

#include "common/enroll/question.h"

namespace allot::client {

// Runs `PROGRAM --enroll` (common/enroll/serve.h) for each question; Cancelled once
// InterruptedBy says so. NotFound, at once: no such program is on this machine; the error says what
// brings it.
StatusOr<enroll::Asking> AskThrough(const std::string& program);

}  // namespace allot::client
