#include "gateway/http_api.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "common/base/text.h"
#include "common/http/text.h"
#include "gateway/views.h"

namespace allot::gateway {
namespace {

constexpr std::string_view kExplainPrefix = "/allot/v1/requests/";
constexpr double kDeadlineMsMax = 24 * 3600 * 1000;

constexpr std::string_view kModelsPrefix = "/v1/models/";
constexpr char kRoutes[] =
    "POST /v1/chat/completions, POST /v1/completions, GET /v1/models, GET /v1/models/NAME, "
    "GET /healthz, GET /metrics, GET /allot/v1/deployments, GET /allot/v1/requests/REQ";

// What the model server does not get to see of the client's headers: those of this connection
// (RFC 9110, 7.6.1), who the client is to us, what the gateway settles itself, and what would have
// answers come in a form that it cannot follow. All others go to the end they are meant for.
bool StaysHere(std::string_view name) {
  constexpr std::string_view kHere[] = {"authorization",
                                        "proxy-authorization",
                                        "cookie",
                                        "host",
                                        "expect",
                                        "te",
                                        "content-length",
                                        "accept-encoding",
                                        "proxy-connection",
                                        "trailer",
                                        "upgrade",
                                        "keep-alive",
                                        "connection",
                                        "transfer-encoding",
                                        "range",
                                        "forwarded"};
  return name.starts_with("x-allot-") ||
         std::find(std::begin(kHere), std::end(kHere), name) != std::end(kHere);
}

// Does a "Connection" header name it?
bool IsNamed(std::string_view connection, std::string_view name) {
  while (!connection.empty()) {
    const size_t comma = std::min(connection.find(','), connection.size());
    std::string_view word = connection.substr(0, comma);
    connection.remove_prefix(std::min(comma + 1, connection.size()));
    while (!word.empty() && (word.front() == ' ' || word.front() == '\t')) word.remove_prefix(1);
    while (!word.empty() && (word.back() == ' ' || word.back() == '\t')) word.remove_suffix(1);
    if (http::EqualsIgnoreCase(word, name)) return true;
  }
  return false;
}

ApiError BadHeader(std::string_view name, std::string_view value, std::string_view wanted) {
  ApiError error;
  error.status = 400;
  error.param = name;
  error.message = fmt::format("the header {} is \"{}\"; give {}", name,
                              ReplaceInvalidUtf8(value.substr(0, 100)), wanted);
  return error;
}

std::optional<double> ParseNumber(std::string_view text) {
  double value = 0;
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (wrong != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
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
    const auto value = ParseNumber(text);
    if (!value.has_value() || !(*value > 0))
      return BadHeader("X-Allot-Deadline-Ms", text, "milliseconds from now, more than 0");
    // More than a day is as good as none, and not an error.
    out->deadline = Duration(static_cast<int64_t>(std::min(*value, kDeadlineMsMax) * 1000));
  }
  if (const auto text = request.Header("x-allot-priority"); !text.empty()) {
    const auto value = ParseInteger(text);
    if (!value.has_value() || *value < -1000 || *value > 1000)
      return BadHeader("X-Allot-Priority", text, "a whole number from -1000 to 1000");
    out->priority = static_cast<int32_t>(*value);
  }
  if (!principal.tenant.empty()) out->tenant = principal.tenant;
  if (const auto text = request.Header("x-allot-tenant"); !text.empty()) {
    if (!IsLabelValue(text)) return BadHeader("X-Allot-Tenant", text, kLabelValueHelp);
    if (!principal.tenant.empty() && text != principal.tenant)
      return FromStatus(PermissionDenied("token \"{}\" belongs to tenant {}, not {}",
                                         principal.name, principal.tenant, text));
    out->tenant = text;
  }
  const std::string_view connection = request.Header("connection");
  for (const auto& [name, value] : request.headers)
    if (!StaysHere(name) && !IsNamed(connection, name) && IsValidUtf8(value))
      out->headers.emplace_back(name, value);
  return std::nullopt;
}

ApiError NotFoundError(const http::Request& request) {
  ApiError error;
  error.status = 404;
  error.message =
      fmt::format("no route {} {}; there are {}", request.method, request.path, kRoutes);
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
  metrics_.Refused(error.status);
  http::Response response = ToResponse(error);
  response.headers.push_back(IdHeader());
  return response;
}

void HttpApi::Refuse(const ApiError& error, const http::ResponderPtr& responder) {
  responder->Send(Refusal(error));
}

void HttpApi::RefuseMethod(const http::Request& request, std::string_view allowed,
                           const http::ResponderPtr& responder) {
  http::Response response = Refusal(MethodError(request, allowed));
  response.headers.emplace_back("Allow", allowed);
  responder->Send(std::move(response));
}

http::Response HttpApi::OwnAnswer(http::Response plain, const Status& why) {
  if (why.ok()) {
    plain.headers.push_back(IdHeader());
    return plain;
  }
  ApiError error = FromStatus(why);
  error.status = plain.status;
  if (plain.status < 500) error.type = "invalid_request_error";
  http::Response response = Refusal(error);
  for (auto& header : plain.headers) response.headers.push_back(std::move(header));
  return response;
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
  if (request.path.size() > 1 && request.path.ends_with('/')) request.path.pop_back();
  if (request.path == "/healthz" && get)
    return responder->Send({.headers = {IdHeader()}, .body = "ok\n", .content_type = "text/plain"});
  StatusOr<auth::Principal> principal = tokens_.Authenticate(request.Header("authorization"));
  if (!principal.ok()) return Refuse(FromStatus(principal.status()), responder);

  if (request.path == "/v1/completions" || request.path == "/v1/chat/completions") {
    if (request.method != "POST") return RefuseMethod(request, "POST", responder);
    return Complete(std::move(request), *principal, responder);
  }
  const bool known = request.path == "/healthz" || request.path == "/metrics" ||
                     request.path == "/v1/models" || request.path == "/allot/v1/deployments" ||
                     request.path.starts_with(kModelsPrefix) ||
                     request.path.starts_with(kExplainPrefix);
  if (!known) return Refuse(NotFoundError(request), responder);
  if (!get) return RefuseMethod(request, "GET", responder);
  if (request.path == "/metrics")
    return responder->Send({.headers = {IdHeader()},
                            .body = metrics_text_(),
                            .content_type = "text/plain; version=0.0.4; charset=utf-8"});
  if (request.path == "/v1/models") return Answer(ModelsJson(plane_.core()), responder);
  if (request.path.starts_with(kModelsPrefix))
    return Model(request.path.substr(kModelsPrefix.size()), responder);
  if (request.path == "/allot/v1/deployments")
    return Answer(DeploymentsJson(plane_.core()), responder);
  Explain(std::string_view(request.path).substr(kExplainPrefix.size()), responder);
}

void HttpApi::Complete(http::Request request, const auth::Principal& principal,
                       const http::ResponderPtr& responder) {
  if (Status may = auth::Require(principal, auth::Role::kUser); !may.ok())
    return Refuse(FromStatus(may), responder);
  const std::string_view coding = request.Header("content-encoding");
  if (!coding.empty() && !http::EqualsIgnoreCase(coding, "identity")) {
    ApiError error;
    error.status = 415;
    error.param = "Content-Encoding";
    error.message = "bodies are taken as they are, without a Content-Encoding";
    return Refuse(error, responder);
  }
  Submission submission;
  ApiError error;
  if (!ParseCompletionRequest(request.body, &submission.request, &error))
    return Refuse(error, responder);
  if (const auto wrong = TakeHeaders(request, principal, &submission); wrong.has_value())
    return Refuse(*wrong, responder);
  if (const Status may = MayGoFirst(principal, submission); !may.ok())
    return Refuse(FromStatus(may), responder);
  submission.path = std::move(request.path);
  if (!request.raw_query.empty()) submission.path += "?" + request.raw_query;
  submission.body = std::move(request.body);
  plane_.Submit(std::move(submission), responder);
}

// The queue is that of a deployment, whose tenant says who goes first in it: its own tokens, those
// that are bound to no tenant, and administrators. Others may wait longer, not less.
Status HttpApi::MayGoFirst(const auth::Principal& principal, const Submission& submission) const {
  if (submission.priority <= 0 || principal.tenant.empty() || principal.role == auth::Role::kAdmin)
    return absl::OkStatus();
  const std::string serving = plane_.core().Serving(submission.request.model);
  std::string owner;
  for (const RouteDeployment& deployment : plane_.core().routes().deployments)
    if (deployment.name == serving) owner = deployment.tenant;
  if (owner.empty() || owner == principal.tenant) return absl::OkStatus();
  return PermissionDenied(
      "X-Allot-Priority over 0 is for tenant {}, whose deployment serves \"{}\"; token \"{}\" "
      "belongs to tenant {}",
      owner, submission.request.model, principal.name, principal.tenant);
}

void HttpApi::Model(std::string name, const http::ResponderPtr& responder) {
  // The one encoded slash that means something: models are called "maker/name".
  for (const char* slash : {"%2F", "%2f"})
    for (size_t at = 0; (at = name.find(slash, at)) != std::string::npos;) name.replace(at, 3, "/");
  const std::optional<std::string> model = ModelJson(plane_.core(), name);
  if (model.has_value()) return Answer(*model, responder);
  ApiError error;
  error.status = 404;
  error.param = "model";
  error.code = "model_not_found";
  error.message = fmt::format("no deployment serves the model \"{}\"", name);
  Refuse(error, responder);
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
