// The HTTP API of the scheduler: finds the route, checks who asks, counts, and calls the handler.
//
// Loop thread only. Every answer that tells durable state leaves after it is durable.
#pragma once

#include "google/protobuf/message.h"
#include "scheduler/shell/api/json_writer.h"
#include "scheduler/shell/api/routes.h"

namespace allot::scheduler {

class Api {
 public:
  explicit Api(Services& services) : services_(services) {}
  void Handle(http::Request request, http::ResponderPtr responder);

 private:
  Services& services_;
};

// ---- for handlers -----------------------------------------------------------------------------

// 200 with what `body` writes into an object that begins with "version": 1. Rendered now, sent when
// everything decided so far is durable.
void AnswerJson(Services& services, const Call& call, const std::function<void(JsonWriter&)>& body);
http::Response JsonResponse(int status, const std::function<void(JsonWriter&)>& body);
void Refuse(const Call& call, const Status& why);

// Feeds the event that `make` gives for a token and answers with `render` once it is durable;
// refuses (503) while nothing is accepted.
template <class Make>
void Decide(Services& services, Call& call, Waiters::RenderReply render, Make make) {
  if (Status accepting = services.pipeline.Accepting(); !accepting.ok()) {
    return Refuse(call, accepting);
  }
  if (services.waiters.expected() >= services.limits.replies_max) {
    return Refuse(call, Unavailable("{} requests wait for an answer; try again in a second",
                                    services.waiters.expected()));
  }
  services.pipeline.Feed(make(services.waiters.Expect(call.responder, std::move(render))));
}

// Reads a body: YAML with Content-Type application/yaml (or text/yaml, application/x-yaml), JSON
// otherwise.
Status BindBody(const http::Request& request, google::protobuf::Message* out);

// A whole number from the query, or `otherwise` where it is absent.
StatusOr<int64_t> QueryInteger(const http::Request& request, std::string_view name, int64_t least,
                               int64_t most, int64_t otherwise);

StatusOr<JobId> JobOf(const Call& call);

}  // namespace allot::scheduler
