#include "gateway/http_api.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "common/base/text.h"
#include "gateway/views.h"

namespace allot::gateway {
namespace {

constexpr std::string_view kExplainPrefix = "/allot/v1/requests/";
constexpr int64_t kDeadlineMsMax = 24 * 3600 * 1000;

// What the model server gets to see of the client's headers. Never the token: it is ours.
constexpr std::string_view kForwarded[] = {"content-type", "accept",      "accept-language",
                                           "user-agent",   "traceparent", "tracestate",
                                           "x-request-id"};

ApiError BadHeader(std::string_view name, std::string_view value, std::string_view wanted) {
  ApiError error;
  error.status = 400;
  error.param = name;
  error.message = fmt::format("the header {} is \"{}\"; give {}", name,
                              ReplaceInvalidUtf8(value.substr(0, 100)), wanted);
  return error;
}

std::optional<int64_t> ParseInteger(std::string_view text) {
  int64_t value = 0;
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (wrong != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Fills what headers say; the error, if one is wrong.
std::optional<ApiError> TakeHeaders(const http::Request& request, const auth::Principal& principal,
                                    Submission* out) {
  if (const auto text = request.Header("x-allot-deadline-ms"); !text.empty()) {
    const auto value = ParseInteger(text);
    if (!value.has_value() || *value < 1 || *value > kDeadlineMsMax)
      return BadHeader("X-Allot-Deadline-Ms", text, "whole milliseconds from 1 to 86400000");
    out->deadline = std::chrono::milliseconds(*value);
  }
  if (const auto text = request.Header("x-allot-priority"); !text.empty()) {
    const auto value = ParseInteger(text);
    if (!value.has_value() || *value < -1000 || *value > 1000)
      return BadHeader("X-Allot-Priority", text, "a whole number from -1000 to 1000");
    out->priority = static_cast<int32_t>(*value);
  }
  if (!principal.tenant.empty()) out->tenant = principal.tenant;
  if (const auto text = request.Header("x-allot-tenant"); !text.empty()) {
    if (!IsName(text)) return BadHeader("X-Allot-Tenant", text, kNameHelp);
    if (!principal.tenant.empty() && text != principal.tenant)
      return FromStatus(PermissionDenied("token \"{}\" belongs to tenant {}, not {}",
                                         principal.name, principal.tenant, text));
    out->tenant = text;
  }
  for (const auto& [name, value] : request.headers)
    if (std::find(std::begin(kForwarded), std::end(kForwarded), name) != std::end(kForwarded) &&
        IsValidUtf8(value))
      out->headers.emplace_back(name, value);
  return std::nullopt;
}

ApiError NotFoundError(const http::Request& request) {
  ApiError error;
  error.status = 404;
  error.message = fmt::format("no route {} {}", request.method, request.path);
  error.code = "not_found";
  return error;
}

ApiError MethodError(const http::Request& request, std::string_view allowed) {
  ApiError error;
  error.status = 405;
  error.message = fmt::format("{} takes {}, not {}", request.path, allowed, request.method);
  error.code = "method_not_allowed";
  return error;
}

}  // namespace

std::pair<std::string, std::string> HttpApi::IdHeader() {
  return {"X-Allot-Request-Id", ToString(plane_.NewId())};
}

http::Response HttpApi::Refusal(const ApiError& error) {
  if (error.status == 401 || error.status == 403) {
    metrics_.Unauthorized();
  } else {
    metrics_.BadRequest();
  }
  http::Response response = ToResponse(error);
  response.headers.push_back(IdHeader());
  return response;
}

void HttpApi::Refuse(const ApiError& error, const http::ResponderPtr& responder) {
  responder->Send(Refusal(error));
}

std::optional<http::Response> HttpApi::Refuse(const http::Request& head) {
  const Status known = tokens_.Authenticate(head.Header("authorization")).status();
  if (known.ok()) return std::nullopt;
  return Refusal(FromStatus(known));
}

void HttpApi::Answer(std::string body, const http::ResponderPtr& responder) {
  http::Response response;
  response.headers.push_back(IdHeader());
  response.body = std::move(body);
  responder->Send(std::move(response));
}

void HttpApi::Handle(http::Request request, const http::ResponderPtr& responder) {
  const bool get = request.method == "GET" || request.method == "HEAD";
  if (request.path == "/healthz" && get)
    return responder->Send({.headers = {IdHeader()}, .body = "ok\n", .content_type = "text/plain"});
  StatusOr<auth::Principal> principal = tokens_.Authenticate(request.Header("authorization"));
  if (!principal.ok()) return Refuse(FromStatus(principal.status()), responder);

  const bool completions = request.path == "/v1/completions";
  if (completions || request.path == "/v1/chat/completions") {
    if (request.method != "POST") return Refuse(MethodError(request, "POST"), responder);
    return Complete(std::move(request),
                    completions ? Endpoint::kCompletions : Endpoint::kChatCompletions, *principal,
                    responder);
  }
  const bool known = request.path == "/healthz" || request.path == "/metrics" ||
                     request.path == "/v1/models" || request.path == "/allot/v1/deployments" ||
                     request.path.starts_with(kExplainPrefix);
  if (!known) return Refuse(NotFoundError(request), responder);
  if (!get) return Refuse(MethodError(request, "GET"), responder);
  if (request.path == "/metrics")
    return responder->Send({.headers = {IdHeader()},
                            .body = metrics_text_(),
                            .content_type = "text/plain; version=0.0.4; charset=utf-8"});
  if (request.path == "/v1/models") return Answer(ModelsJson(plane_.core().routes()), responder);
  if (request.path == "/allot/v1/deployments")
    return Answer(DeploymentsJson(plane_.core()), responder);
  Explain(std::string_view(request.path).substr(kExplainPrefix.size()), responder);
}

void HttpApi::Complete(http::Request request, Endpoint endpoint, const auth::Principal& principal,
                       const http::ResponderPtr& responder) {
  if (Status may = auth::Require(principal, auth::Role::kUser); !may.ok())
    return Refuse(FromStatus(may), responder);
  Submission submission;
  ApiError error;
  if (!ParseCompletionRequest(request.body, endpoint, &submission.request, &error))
    return Refuse(error, responder);
  if (const auto wrong = TakeHeaders(request, principal, &submission); wrong.has_value())
    return Refuse(*wrong, responder);
  submission.path = std::move(request.path);
  submission.body = std::move(request.body);
  plane_.Submit(std::move(submission), responder);
}

void HttpApi::Explain(std::string_view id, const http::ResponderPtr& responder) {
  const std::optional<RequestId> request = ParseRequestId(id);
  std::optional<router::RequestExplanation> explained;
  if (request.has_value()) explained = plane_.core().Explain(*request);
  if (explained.has_value()) return Answer(ExplanationJson(*explained), responder);
  ApiError error;
  error.status = request.has_value() ? 404 : 400;
  error.code = request.has_value() ? "not_found" : "invalid_argument";
  error.message = request.has_value()
                      ? fmt::format(
                            "nothing is known of {} (any more); the last decisions are "
                            "kept for 15 minutes",
                            id)
                      : "a request id looks like req-00000000000000f3";
  Refuse(error, responder);
}

}  // namespace allot::gateway
