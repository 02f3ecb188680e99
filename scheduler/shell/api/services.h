// What the handlers of the API work with. References only; everything outlives the API.
#pragma once

#include <string>

#include "common/auth/tokens.h"
#include "common/http/server.h"
#include "scheduler/shell/journal.h"
#include "scheduler/shell/log_reader.h"
#include "scheduler/shell/peers.h"
#include "scheduler/shell/pipeline.h"
#include "scheduler/shell/waiters.h"

namespace allot::scheduler {

struct ApiLimits {
  size_t replies_max = 20'000;  // callers that wait for a decision to be durable
  size_t waits_max = 20'000;    // callers that wait for a job to end
  size_t streams_max = 1'000;   // logs
};

struct Services {
  Pipeline& pipeline;
  Peers& peers;
  History& history;
  Waiters& waiters;
  LogReader& logs;
  auth::Tokens& tokens;
  Metrics& metrics;
  std::function<std::string()> metrics_text;
  std::string name;  // of the cluster
  Time started;
  std::string http_address;  // of the API, as others are told of it
  bool local = false;
  ApiLimits limits;
};

// One request on its way through a handler.
struct Call {
  http::Request request;
  http::ResponderPtr responder;
  auth::Principal principal;
  std::vector<std::string> args;  // what stands for {…} in the route's path
  std::string_view arg() const { return args.front(); }
};

}  // namespace allot::scheduler
