#include "scheduler/shell/api/api.h"

#include <charconv>
#include <utility>

#include "common/base/text.h"
#include "common/config/bind.h"

namespace allot::scheduler {
namespace {

// Passes an answer on and counts its code under the route's name.
class CountingResponder : public http::Responder {
 public:
  CountingResponder(http::ResponderPtr to, Metrics& metrics, std::string route)
      : to_(std::move(to)), metrics_(metrics), route_(std::move(route)) {}
  void Send(http::Response response) override {
    metrics_.HttpAnswered(route_, response.status);
    to_->Send(std::move(response));
  }
  void StartStream(int status, http::Headers headers, std::string content_type) override {
    metrics_.HttpAnswered(route_, status);
    to_->StartStream(status, std::move(headers), std::move(content_type));
  }
  void Write(std::string chunk) override { to_->Write(std::move(chunk)); }
  void End() override { to_->End(); }
  void Abort() override { to_->Abort(); }
  void OnClientGone(std::function<void()> callback) override {
    to_->OnClientGone(std::move(callback));
  }
  size_t Backlog() const override { return to_->Backlog(); }

 private:
  http::ResponderPtr to_;
  Metrics& metrics_;
  std::string route_;
};

auth::Role RoleFor(Access access) {
  switch (access) {
    case Access::kOpen:
    case Access::kViewer:
      return auth::Role::kViewer;
    case Access::kUser:
      return auth::Role::kUser;
    case Access::kAdmin:
      return auth::Role::kAdmin;
  }
  return auth::Role::kAdmin;
}

// Of "host" or "host:port"; what follows the bracket of an IPv6 address is no part of it.
std::string_view HostOf(std::string_view authority) {
  const size_t bracket = authority.starts_with('[') ? authority.find(']') : 0;
  if (bracket == std::string_view::npos) return authority;
  return authority.substr(0, authority.find(':', bracket));
}

// A local cluster asks for no token, so a web page that somebody has open must not be able to
// speak to it, neither as another origin nor by a name that it had resolved to 127.0.0.1.
Status CheckLocal(const http::Request& request) {
  const std::string_view host = request.Header("host"), origin = request.Header("origin");
  if (!host.empty() && !IsLoopbackHost(HostOf(host))) {
    return PermissionDenied("a local cluster answers only to 127.0.0.1 and localhost, not to {}",
                            host);
  }
  if (!origin.empty()) {
    const size_t at = origin.find("://");
    if (at == std::string_view::npos || !IsLoopbackHost(HostOf(origin.substr(at + 3)))) {
      return PermissionDenied("a local cluster takes no requests from web pages of {}", origin);
    }
  }
  return absl::OkStatus();
}

// The loop parses bodies, and yaml-cpp takes some ten times as long as the JSON parser.
constexpr size_t kYamlBytesMax = 256 << 10;

bool IsYaml(const http::Request& request) {
  const std::string_view type = request.Header("content-type");
  return type.starts_with("application/yaml") || type.starts_with("text/yaml") ||
         type.starts_with("application/x-yaml");
}

Status Authorize(Services& services, const Route& route, Call& call) {
  if (route.access == Access::kOpen) return absl::OkStatus();
  if (services.local) RETURN_IF_ERROR(CheckLocal(call.request));
  ASSIGN_OR_RETURN(call.principal,
                   services.tokens.Authenticate(call.request.Header("authorization")));
  return auth::Require(call.principal, RoleFor(route.access));
}

}  // namespace

void Api::Handle(http::Request request, http::ResponderPtr responder) {
  Match match = FindRoute(request.method, request.path);
  Call call;
  call.responder = std::make_shared<CountingResponder>(
      std::move(responder), services_.metrics,
      match.route != nullptr ? std::string(match.route->path) : "other");
  call.request = std::move(request);
  call.args = std::move(match.args);
  if (match.route == nullptr) {
    // Nobody without a token learns which routes there are.
    static const Route kAny{"", "", Access::kViewer};
    if (Status allowed = Authorize(services_, kAny, call); !allowed.ok()) {
      return Refuse(call, allowed);
    }
    if (match.allowed.empty()) {
      return Refuse(call, NotFound("there is no {}; see /openapi.json", call.request.path));
    }
    http::Response response = http::ErrorResponse(InvalidArgument(
        "{} takes {}, not {}", call.request.path, match.allowed, call.request.method));
    response.status = 405;
    response.headers.emplace_back("Allow", match.allowed);
    return call.responder->Send(std::move(response));
  }
  if (Status allowed = Authorize(services_, *match.route, call); !allowed.ok()) {
    return Refuse(call, allowed);
  }
  if (!match.route->body.empty() && IsYaml(call.request) &&
      call.request.body.size() > kYamlBytesMax) {
    http::Response response = http::ErrorResponse(
        InvalidArgument("the YAML body has {} bytes; {} (256 KiB) are taken, or send it as JSON",
                        call.request.body.size(), kYamlBytesMax));
    response.status = 413;
    return call.responder->Send(std::move(response));
  }
  match.route->handle(services_, call);
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
  services.pipeline.WhenDurable(
      [responder = call.responder, response = JsonResponse(200, body)]() mutable {
        responder->Send(std::move(response));
      });
}

void Refuse(const Call& call, const Status& why) { call.responder->Send(http::ErrorResponse(why)); }

Status BindBody(const http::Request& request, google::protobuf::Message* out) {
  if (IsYaml(request)) return config::BindYaml(request.body, "body", out);
  return config::BindJson(request.body, out);
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

}  // namespace allot::scheduler
