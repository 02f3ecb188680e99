// A load generator for `allot load`: real requests through a gateway from a few connections, and
// what they took, cost and where they went, as the X-Allot-* headers tell.
//
// Closed loop: each connection sends its next request when the last one is answered.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/base/units.h"
#include "common/http/blocking_client.h"

namespace allot::client::load {

struct Options {
  std::string gateway;  // http://host:port
  std::string token;
  http::ClientSecurity security = {};
  std::string model;
  int requests = 100;
  int concurrency = 4;
  double stream_ratio = 0.5;  // of the requests, spread evenly
  int max_tokens = 32;
  std::vector<std::string> prompts;  // taken in turn
  Duration timeout = std::chrono::seconds(60);
};

// One request, as it went.
struct Sample {
  int status = 0;  // HTTP; 0: no answer
  bool stream = false, emulated = false, truncated = false;
  std::string policy, device_model, kind, replica, node;
  double power_watts = 0;  // 0: the answer did not say
  double price_usd_per_hour = 0;
  double seconds = 0;
  std::optional<double> ttft_seconds;  // streams: until the first piece
  bool ok() const { return status == 200 && !truncated; }
  std::string error = {};  // of one that was not answered well
};

struct LoadRun {
  std::vector<Sample> samples;
  std::map<std::string, int64_t> concurrency;  // replica → requests it takes at once
  double seconds = 0;
};

// `progress` is called from time to time with the number of answered requests.
StatusOr<LoadRun> Execute(const Options& options, const std::function<void(int)>& progress);

// "data: {…}" events of an SSE stream, "[DONE]" included: whether a stream came to its end.
bool EndsWithDone(std::string_view tail);

}  // namespace allot::client::load
