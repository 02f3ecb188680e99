#include "scheduler/shell/api/api.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "common/config/bind.h"
#include "common/http/text.h"

namespace allot::scheduler {
namespace {

// Passes an answer on, counts its code under the route's name, and tells who is turned away how
// long to wait.
class CountingResponder : public http::Responder {
 public:
  CountingResponder(http::ResponderPtr to, Metrics& metrics, http::Overload& overload,
                    std::string route, std::shared_ptr<Audited> audited)
      : to_(std::move(to)),
        metrics_(metrics),
        overload_(overload),
        route_(std::move(route)),
        audited_(std::move(audited)) {}
  void Send(http::Response response) override {
    metrics_.HttpAnswered(route_, response.status);
    audited_->Answered(response.status);
    for (auto& [name, value] : response.headers)
      if (name == "Retry-After")
        value = std::to_string(overload_.RetryAfter(http::Overload::Clock::now()).count());
    to_->Send(std::move(response));
  }
  void StartStream(int status, http::Headers headers, std::string content_type) override {
    metrics_.HttpAnswered(route_, status);
    audited_->Answered(status);
    to_->StartStream(status, std::move(headers), std::move(content_type));
  }
  void Write(std::string chunk) override { to_->Write(std::move(chunk)); }
  void End() override { to_->End(); }
  void Abort() override { to_->Abort(); }
  void OnClientGone(std::function<void()> callback) override {
    to_->OnClientGone(std::move(callback));
  }
  size_t Backlog() const override { return to_->Backlog(); }
  void OnRoom(std::function<void()> callback) override { to_->OnRoom(std::move(callback)); }

 private:
  http::ResponderPtr to_;
  Metrics& metrics_;
  http::Overload& overload_;
  std::string route_;
  std::shared_ptr<Audited> audited_;
};

// yaml-cpp takes some ten times as long as the JSON parser.
constexpr size_t kYamlBytesMax = limits::kApiYamlBytes.value;

enum class BodyType { kJson, kYaml, kOther };

BodyType TypeOf(const http::Request& request) {
  std::string type(request.Header("content-type"));
  type.erase(std::min(type.find(';'), type.size()));  // "; charset=utf-8"
  while (type.ends_with(' ')) type.pop_back();
  for (char& c : type) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
  if (type == "application/json") return BodyType::kJson;
  for (const char* yaml : {"application/yaml", "text/yaml", "application/x-yaml"}) {
    if (type == yaml) return BodyType::kYaml;
  }
  return BodyType::kOther;
}

bool Changes(const Route* route) {
  return route != nullptr && route->right && route->right->action != auth::Action::kSee;
}

// Nobody without a token learns which routes there are: `route` may be null.
StatusOr<auth::Principal> Authorize(Services& services, const Route* route,
                                    const http::Request& request, Audited& audited) {
  if (route != nullptr && !route->right) return auth::Principal();
  StatusOr<auth::Principal> principal =
      services.tokens.Authenticate(request.Header("authorization"), request.peer);
  Status may = principal.status();
  if (may.ok()) {
    audited.By(*principal);
    if (route != nullptr)
      may = auth::Decide(*principal, route->right->action, {route->right->kind});
  }
  if (may.ok()) return principal;
  audited.Why(MessageOf(may));
  return may;
}

// What may not be seen is told of in the words in which the handlers tell of what is not there.
Status Hidden(const Call& call, Status decided, const Status& not_there) {
  if (!absl::IsNotFound(decided)) return decided;
  if (call.audited) call.audited->Hidden();
  return not_there;
}

std::string MetricName(const Route* route) {
  return route != nullptr ? std::string(route->path) : "other";
}

}  // namespace

void Api::Handle(http::Request request, http::ResponderPtr responder) {
  Match match = FindRoute(request.method, request.path);
  Call call;
  call.audited = std::make_shared<Audited>(services_.audit, request, Changes(match.route));
  call.responder =
      std::make_shared<CountingResponder>(std::move(responder), services_.metrics, overload_,
                                          MetricName(match.route), call.audited);
  call.request = std::move(request);
  call.args = std::move(match.args);
  StatusOr<auth::Principal> principal =
      Authorize(services_, match.route, call.request, *call.audited);
  if (!principal.ok()) return scheduler::Refuse(call, principal.status());
  call.principal = *std::move(principal);
  if (match.route == nullptr) {
    if (match.allowed.empty()) {
      return scheduler::Refuse(call,
                               NotFound("there is no {}; see /openapi.json", call.request.path));
    }
    http::Response response = http::ErrorResponse(InvalidArgument(
        "{} takes {}, not {}", call.request.path, match.allowed, call.request.method));
    response.status = 405;
    response.headers.emplace_back("Allow", match.allowed);
    return call.responder->Send(std::move(response));
  }
  // The types a web page can send without asking first (text/plain, forms) are not among ours: one
  // more thing between somebody's browser and a local cluster.
  if (!match.route->body.empty() && TypeOf(call.request) == BodyType::kOther) {
    http::Response response = http::ErrorResponse(InvalidArgument(
        "the body has Content-Type \"{}\"; send application/json or application/yaml",
        call.request.Header("content-type")));
    response.status = 415;
    return call.responder->Send(std::move(response));
  }
  const std::string_view coding = call.request.Header("content-encoding");
  if (!match.route->body.empty() && !coding.empty() &&
      !http::EqualsIgnoreCase(coding, "identity")) {
    http::Response response = http::ErrorResponse(
        InvalidArgument("bodies are taken as they are, without a Content-Encoding"));
    response.status = 415;
    return call.responder->Send(std::move(response));
  }
  if (!match.route->body.empty() && TypeOf(call.request) == BodyType::kYaml &&
      call.request.body.size() > kYamlBytesMax) {
    http::Response response = http::ErrorResponse(
        InvalidArgument("the YAML body has {} bytes; {} (256 KiB) are taken, or send it as JSON",
                        call.request.body.size(), kYamlBytesMax));
    response.status = 413;
    return call.responder->Send(std::move(response));
  }
  if (match.route->read == nullptr) return match.route->handle(services_, call);
  ReadThenHandle(*match.route, std::move(call));
}

void Api::ReadThenHandle(const Route& route, Call call) {
  const auto finish = [this, &route](Call& read, const Status& status) {
    if (!status.ok()) return scheduler::Refuse(read, status);
    route.handle(services_, read);
  };
  if (call.request.body.size() <= services_.limits.body_inline_max)
    return finish(call, route.read(call));
  const std::string sender = call.Sender();
  struct Reading {
    Call call;
    Status status;
  };
  const http::ResponderPtr responder = call.responder;
  const auto reading = std::make_shared<Reading>(Reading{std::move(call), absl::OkStatus()});
  const Status waits = worker_.Push(
      sender,
      [reading, &route] {
        reading->status = route.read(reading->call);
        reading->call.request.body = {};
      },
      [reading, finish] { finish(reading->call, reading->status); });
  if (!waits.ok()) responder->Send(http::ErrorResponse(waits));
}

std::optional<http::Response> Api::Refuse(const http::Request& head) {
  const Match match = FindRoute(head.method, head.path);
  Audited audited(services_.audit, head, Changes(match.route));
  const StatusOr<auth::Principal> principal = Authorize(services_, match.route, head, audited);
  if (principal.ok()) return std::nullopt;
  http::Response response = http::ErrorResponse(principal.status());
  audited.Answered(response.status);
  services_.metrics.HttpAnswered(MetricName(match.route), response.status);
  return response;
}

http::Response JsonResponse(int status, const std::function<void(JsonWriter&)>& body) {
  JsonWriter json;
  json.Object([&] {
    json.Field("version", 1);
    body(json);
  });
  return {.status = status, .body = json.Take()};
}

void AnswerJson(Services& services, const Call& call,
                const std::function<void(JsonWriter&)>& body) {
  if (services.pipeline.degraded()) {
    // What is in memory may be ahead of what a crash would leave, and nobody may see that.
    return Refuse(call, services.pipeline.Accepting());
  }
  services.held.Send(call.responder, JsonResponse(200, body));
}

void Refuse(const Call& call, const Status& why) {
  if (call.audited) call.audited->Why(MessageOf(why));
  call.responder->Send(http::ErrorResponse(why));
}

Status BindBody(const http::Request& request, google::protobuf::Message* out) {
  return TypeOf(request) == BodyType::kYaml ? config::BindYaml(request.body, "body", out)
                                            : config::BindJson(request.body, out);
}

StatusOr<int64_t> QueryInteger(const http::Request& request, std::string_view name, int64_t least,
                               int64_t most, int64_t otherwise) {
  const std::string_view text = request.Query(name);
  if (text.empty()) return otherwise;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least || value > most) {
    return InvalidArgument("{} is \"{}\"; give a whole number from {} to {}", name, text, least,
                           most);
  }
  return value;
}

StatusOr<JobId> JobOf(const Call& call) {
  const std::optional<JobId> id = ParseJobId(call.arg());
  if (!id) return InvalidArgument("\"{}\" is no job; give one like job-17", call.arg());
  return *id;
}

Status MayJob(const Services& services, const Call& call, auth::Action action, JobId id) {
  std::string tenant;
  if (const JobState* job = services.pipeline.core().state().FindJob(id); job != nullptr) {
    tenant = job->spec->tenant;
  } else if (!call.principal.tenant.empty()) {  // Whoever is bound to none may see any.
    const StatusOr<JobState> old = services.history.Find(id);
    if (!old.ok()) return absl::OkStatus();
    tenant = old->spec->tenant;
  }
  return Hidden(call, auth::Decide(call.principal, action, {auth::Kind::kJob, tenant, ToString(id)}),
                NotFound("there is no {}; `allot jobs` lists them", ToString(id)));
}

Status MayDeployment(const Services& services, const Call& call, auth::Action action,
                     std::string_view name) {
  const auto& deployments = services.pipeline.core().state().deployments();
  const auto it = deployments.find(std::string(name));
  if (it == deployments.end()) return absl::OkStatus();
  const std::string who = fmt::format("deployment \"{}\"", name);
  return Hidden(call, auth::Decide(call.principal, action,
                             {auth::Kind::kDeployment, it->second.spec->tenant, who, name}),
                NotFound("there is no deployment \"{}\"; `allot deployments` lists them", name));
}

Status MayReplica(const Services& services, const Call& call, auth::Action action, ReplicaId id) {
  const ClusterState& state = services.pipeline.core().state();
  const auto it = state.replicas().find(state.Named(id));
  if (it == state.replicas().end()) return absl::OkStatus();
  const std::string& deployment = it->second.deployment;
  return Hidden(
      call,
      auth::Decide(call.principal, action,
                   {auth::Kind::kDeployment, state.deployments().at(deployment).spec->tenant,
                    ToString(id), deployment}),
      NotFound("there is no {}; `allot deployments` lists them", ToString(id)));
}

StatusOr<std::string> TenantFor(const Call& call, std::string_view verb, std::string_view asked) {
  const std::string& bound = call.principal.tenant;
  if (!bound.empty() && !asked.empty() && asked != bound) {
    return PermissionDenied("the token of {} may {} for tenant {} only, not for {}",
                            call.principal.name, verb, bound, asked);
  }
  if (!bound.empty()) return bound;
  return std::string(asked.empty() ? "default" : asked);
}

}  // namespace allot::scheduler
