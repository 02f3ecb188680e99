// OpenAI's shapes: what a request body must say, and what errors look like.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/status.h"
#include "common/base/units.h"
#include "common/http/server.h"
#include "scheduler/router/events.h"

namespace allot::gateway {

// As much of a completion request as the gateway has to know; the body itself goes on untouched.
struct CompletionRequest {
  std::string model;
  bool stream = false;
  uint32_t prompt_tokens = 0;      // estimate: a token is about four bytes
  uint32_t output_tokens_max = 0;  // 0: not said
};

// An error as the client sees it: {"error": {"message", "type", "param", "code"}}.
struct ApiError {
  int status = 400;
  std::string message;
  std::string type = "invalid_request_error";
  std::string param;  // empty: null
  std::string code;   // empty: null
  Duration retry_after{};
  std::optional<bool> again;  // may the same request succeed if it is sent again; unset: by status
};
http::Response ToResponse(const ApiError& error);
// Statuses of authentication and the like.
ApiError FromStatus(const Status& status);
ApiError FromReject(const router::Reject& reject);

// Is a request worth sending again after an answer of this status? (What clients go by, if we do
// not tell them: X-Should-Retry.)
bool WorthSendingAgain(int status);

// False fills `error`: not a JSON object, or no model. All else is the model server's to judge.
bool ParseCompletionRequest(std::string_view body, CompletionRequest* out, ApiError* error);

// What an answer tells of tokens; absent is not said. Looks only at the end of the text, where
// every server puts it (of a stream: in one of its last events), and builds no document.
struct Usage {
  std::optional<uint32_t> prompt_tokens, completion_tokens;
};
constexpr size_t kUsageTail = 4096;
Usage UsageOf(std::string_view answer);

// An answer that holds nothing: no bytes, an empty value, no choices.
bool IsNothing(std::string_view answer);
// An answer, or the data of an event, that is an error whatever its status said: an object with
// `error` in it and nothing that was asked for.
bool IsError(std::string_view answer);
// The data of the first event that has any, up to its end; empty: there is none yet.
std::string_view FirstData(std::string_view stream);

// The last event of a stream that broke, as clients in use understand it.
std::string ErrorEvent(const ApiError& error);
// Up to and including the end of the last whole event of `stream`; 0 if there is none.
size_t WholeEvents(std::string_view stream);
bool IsEventStream(std::string_view content_type);

// Counts the data events of a stream of server-sent events, fed in pieces cut anywhere.
class EventCounter {
 public:
  void Feed(std::string_view piece);
  uint32_t events() const { return events_; }  // without the closing [DONE]

 private:
  void EndLine();

  // The beginning of the line under way; longer than "data: [DONE]" is never needed.
  char line_[16];
  uint32_t length_ = 0;
  uint32_t events_ = 0;
};

}  // namespace allot::gateway
