// One request on its way through an endpoint: what it needs before it leaves, what may come back to
// the client, and what is counted of it.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "agent/devices/endpoint/endpoint.h"
#include "agent/shell/endpoint_body.h"

namespace allot::agent {

// How a request ended. kRefused: the endpoint said 4xx; kError: it said 5xx; kFailed: no answer, or
// half of one; kCancelled: the client went away.
enum class EndpointOutcome : uint8_t { kAnswered, kRefused, kError, kFailed, kCancelled };
std::string_view ToString(EndpointOutcome outcome);  // "answered", …

struct EndpointRequestDone {
  std::string device;  // the first of the replica's
  EndpointOutcome outcome = EndpointOutcome::kCancelled;
  Duration took{};  // from being sent to the end of the answer
  std::optional<TokenUsage> tokens;
};

class EndpointExchange {
 public:
  using Done = std::function<void(const EndpointRequestDone&)>;
  EndpointExchange(std::shared_ptr<const EndpointLease> lease, Done done);
  // Without an End before: cancelled.
  ~EndpointExchange();
  EndpointExchange(const EndpointExchange&) = delete;
  EndpointExchange& operator=(const EndpointExchange&) = delete;

  // The endpoint's path, name of the model and token; nothing that tells it who the client is to
  // us.
  void Prepare(http::ClientRequest* request) const;
  // Takes out what is between the endpoint and us. An error: the answer is not for the client,
  // because it is we who are refused.
  Status TakeHead(int status, http::Headers* headers);
  void TakePiece(std::string_view piece) { usage_.Add(piece); }
  void End(bool complete);

 private:
  void Finish(EndpointOutcome outcome);

  const std::shared_ptr<const EndpointLease> lease_;
  const Done done_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  int status_ = 0;
  bool over_ = false;
  UsageReader usage_;
};

}  // namespace allot::agent
