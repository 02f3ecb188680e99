// What the handlers of the API work with. References only; everything outlives the API.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "common/auth/tokens.h"
#include "common/base/limits.h"
#include "common/http/server.h"
#include "scheduler/shell/api/audited.h"
#include "scheduler/shell/api/lists.h"
#include "scheduler/shell/journal.h"
#include "scheduler/shell/log_reader.h"
#include "scheduler/shell/peers.h"
#include "scheduler/shell/pipeline.h"
#include "scheduler/shell/waiters.h"

namespace allot::scheduler {

struct ApiLimits {
  size_t replies_max = limits::kApiReplies.value;  // callers that wait for a decision to be durable
  size_t waits_max = limits::kApiWaits.value;      // callers that wait for a job to end
  size_t streams_max = limits::kApiLogStreams.value;
  // Of one sender (Call::Sender), that others get some too.
  size_t waits_of_sender_max = limits::kApiWaitsOfSender.value;
  size_t streams_of_sender_max = limits::kApiLogStreamsOfSender.value;
  // Larger bodies are read beside the loop (body_worker.h).
  size_t body_inline_max = limits::kApiBodyInlineBytes.value;
};

struct Services {
  Pipeline& pipeline;
  Peers& peers;
  History& history;
  Waiters& waiters;
  LogReader& logs;
  Lists& lists;
  HeldAnswers& held;
  auth::Tokens& tokens;
  Metrics& metrics;
  std::function<std::string()> metrics_text;
  std::string name;  // of the cluster
  Time started;
  std::string http_address;  // of the API, as others are told of it
  std::function<std::optional<http::TlsState>()> certificate;
  ApiLimits limits;
  audit::Log* audit = nullptr;  // null: none is kept
};

// One request on its way through a handler.
struct Call {
  http::Request request;
  http::ResponderPtr responder;
  auth::Principal principal;
  std::shared_ptr<Audited> audited;
  std::vector<std::string> args;  // what stands for {…} in the route's path
  // What the body asks for, as Route::read made it: whole, checked, and storable.
  std::variant<std::monostate, std::shared_ptr<const JobSpec>,
               std::shared_ptr<const DeploymentSpec>, std::shared_ptr<const Policy>>
      asked;
  std::string_view arg() const { return args.front(); }
  // Whose share of what there is for all this takes from: a tenant's, else a token's.
  std::string Sender() const {
    return principal.tenant.empty() ? principal.name : "tenant " + principal.tenant;
  }
};

}  // namespace allot::scheduler
