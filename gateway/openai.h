// OpenAI's shapes: what a request body must say, and what errors look like.
#pragma once

#include <cstdint>
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
};
http::Response ToResponse(const ApiError& error);
// Statuses of authentication and the like.
ApiError FromStatus(const Status& status);
ApiError FromReject(const router::Reject& reject);

enum class Endpoint { kCompletions, kChatCompletions };

// False fills `error`: not JSON, not UTF-8, nested too deep, no model, a field of the wrong type.
bool ParseCompletionRequest(std::string_view body, Endpoint endpoint, CompletionRequest* out,
                            ApiError* error);

// usage.completion_tokens of an answer that is not streamed; 0 if it does not say. Looks only at
// the end of the text, where every server puts it, and builds no document.
uint32_t CompletionTokens(std::string_view answer);

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
