// The HTTP API of the scheduler: finds the route, checks who asks, counts, and calls the handler.
//
// Loop thread only. Every answer that tells durable state leaves after it is durable.
#pragma once

#include "common/auth/authorizer.h"
#include "common/http/overload.h"
#include "google/protobuf/message.h"
#include "scheduler/shell/api/body_worker.h"
#include "scheduler/shell/api/json_writer.h"
#include "scheduler/shell/api/routes.h"
#include "scheduler/shell/record_codec.h"

namespace allot::scheduler {

class Api {
 public:
  Api(boost::asio::io_context& loop, Services& services) : services_(services), worker_(loop) {}
  void Handle(http::Request request, http::ResponderPtr responder);
  // For Server::Options::refuse: whoever may not ask is told before the body is read.
  std::optional<http::Response> Refuse(const http::Request& head);

 private:
  void ReadThenHandle(const Route& route, Call call);

  Services& services_;
  http::Overload overload_;
  BodyWorker worker_;
};

// ---- for handlers -----------------------------------------------------------------------------

// 200 with what `body` writes into an object that begins with "version": 1. Rendered now, sent when
// everything decided so far is durable.
void AnswerJson(Services& services, const Call& call, const std::function<void(JsonWriter&)>& body);
http::Response JsonResponse(int status, const std::function<void(JsonWriter&)>& body);
void Refuse(const Call& call, const Status& why);

// Feeds `asked`, of which CheckStorable has nothing to say (any more: see Route::read), and answers
// with `render` once it is durable. Refuses everything while nothing is accepted (503).
template <class Asked>
void Decide(Services& services, Call& call, Waiters::RenderReply render, Asked asked) {
  if (Status accepting = services.pipeline.Accepting(); !accepting.ok()) {
    return Refuse(call, accepting);
  }
  if (services.waiters.expected() >= services.limits.replies_max) {
    return Refuse(call, Unavailable("{} requests wait for an answer; try again in a second",
                                    services.waiters.expected()));
  }
  asked.token = services.waiters.Expect(call.responder, std::move(render));
  services.pipeline.Feed(Event(std::move(asked)));
}

// Reads a body: YAML with Content-Type application/yaml (or text/yaml, application/x-yaml), else
// JSON. Handle has refused (415) every other type. Any thread.
Status BindBody(const http::Request& request, google::protobuf::Message* out);

// A whole number from the query, or `otherwise` where it is absent.
StatusOr<int64_t> QueryInteger(const http::Request& request, std::string_view name, int64_t least,
                               int64_t most, int64_t otherwise);

StatusOr<JobId> JobOf(const Call& call);

// Whether whoever calls may do that to a job, a deployment or a replica (common/auth/authorizer.h).
// OK where there is none of that name: the handler says so itself.
Status MayJob(const Services& services, const Call& call, auth::Action action, JobId id);
Status MayDeployment(const Services& services, const Call& call, auth::Action action,
                     std::string_view name);
Status MayReplica(const Services& services, const Call& call, auth::Action action, ReplicaId id);

// Whose what is asked for shall be: `asked` if the body names a tenant, else the one the token is
// bound to, else "default". PermissionDenied where the token is bound to another than `asked`.
// `verb`: what the caller wanted, "submit".
StatusOr<std::string> TenantFor(const Call& call, std::string_view verb, std::string_view asked);

}  // namespace allot::scheduler
