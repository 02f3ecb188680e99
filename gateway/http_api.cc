#include "gateway/http_api.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "common/base/address.h"
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

ApiError NoModel(std::string_view name) {
  ApiError error;
  error.status = 404;
  error.param = "model";
  error.code = "model_not_found";
  error.message = fmt::format("no deployment serves the model \"{}\"", name);
  return error;
}

// What stands at a path that is read; none: nothing does, or what anybody may know.
std::optional<auth::Kind> KindAt(std::string_view path) {
  if (path == "/metrics") return auth::Kind::kMetrics;
  if (path == "/v1/models" || path.starts_with(kModelsPrefix)) return auth::Kind::kModel;
  if (path == "/allot/v1/deployments") return auth::Kind::kDeployment;
  if (path.starts_with(kExplainPrefix)) return auth::Kind::kRequest;
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

void HttpApi::Audit(const http::Request& request, const auth::Principal& principal,
                    const Status& why, int status) {
  if (audit_ == nullptr) return;
  const std::optional<Address> from = ParseAddress(request.peer);
  audit_->Note({.who = principal.name,
                .role = principal.name.empty() ? "" : std::string(ToString(principal.role)),
                .tenant = principal.tenant,
                .from = from ? from->host : request.peer,
                .verb = request.method + " " + request.path,
                .allowed = false,
                .code = status,
                .why = MessageOf(why)});
}

void HttpApi::Deny(const Asked& asked, const Status& why, const ApiError& error) {
  Audit(asked.request, asked.principal, why, error.status);
  Refuse(error, asked.responder);
}

void HttpApi::Deny(const Asked& asked, const Status& why) { Deny(asked, why, FromStatus(why)); }

std::optional<http::Response> HttpApi::Refuse(const http::Request& head) {
  const Status known = tokens_.Authenticate(head.Header("authorization"), head.peer).status();
  if (known.ok()) return std::nullopt;
  const ApiError error = FromStatus(known);
  Audit(head, {}, known, error.status);
  return Refusal(error);
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
  StatusOr<auth::Principal> principal =
      tokens_.Authenticate(request.Header("authorization"), request.peer);
  Asked asked{std::move(request), {}, responder};
  if (!principal.ok()) return Deny(asked, principal.status());
  asked.principal = *std::move(principal);
  const std::string& path = asked.request.path;

  if (path == "/v1/completions" || path == "/v1/chat/completions") {
    if (asked.request.method != "POST") return RefuseMethod(asked.request, "POST", responder);
    return Complete(std::move(asked));
  }
  const std::optional<auth::Kind> kind = KindAt(path);
  if (!kind && path != "/healthz") return Refuse(NotFoundError(asked.request), responder);
  if (!get) return RefuseMethod(asked.request, "GET", responder);
  if (Status may = auth::Decide(asked.principal, auth::Action::kSee, {*kind}); !may.ok())
    return Deny(asked, may);
  if (path == "/metrics")
    return responder->Send({.headers = {IdHeader()},
                            .body = metrics_text_(),
                            .content_type = "text/plain; version=0.0.4; charset=utf-8"});
  if (path == "/v1/models") return Answer(ModelsJson(plane_.core(), asked.principal), responder);
  if (path.starts_with(kModelsPrefix)) return Model(asked);
  if (path == "/allot/v1/deployments")
    return Answer(DeploymentsJson(plane_.core(), asked.principal), responder);
  Explain(asked);
}

void HttpApi::Complete(Asked asked) {
  const http::ResponderPtr& responder = asked.responder;
  http::Request& request = asked.request;
  if (Status may = auth::Decide(asked.principal, auth::Action::kChange, {auth::Kind::kRequest});
      !may.ok())
    return Deny(asked, may);
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
  if (const auto wrong = TakeHeaders(request, asked.principal, &submission); wrong.has_value()) {
    if (wrong->status == 403)
      Audit(request, asked.principal, PermissionDenied("{}", wrong->message), wrong->status);
    return Refuse(*wrong, responder);
  }
  if (const Status may = MayAsk(asked.principal, submission); !may.ok())
    return absl::IsNotFound(may) ? Deny(asked, may, NoModel(submission.request.model))
                                 : Deny(asked, may);
  submission.path = std::move(request.path);
  if (!request.raw_query.empty()) submission.path += "?" + request.raw_query;
  submission.body = std::move(request.body);
  plane_.Submit(std::move(submission), responder);
}

// The queue is that of a deployment, whose tenant says who goes first in it: its own tokens, and
// those that are bound to no tenant. Others may wait longer, not less.
Status HttpApi::MayAsk(const auth::Principal& principal, const Submission& submission) const {
  // Asking itself is for all, and was decided before the body was looked at.
  if (submission.priority <= 0 && principal.scope.deployments.empty()) return absl::OkStatus();
  const std::string serving = plane_.core().Serving(submission.request.model);
  const RouteDeployment* const deployment = FindDeployment(plane_.core(), serving);
  if (deployment == nullptr) return absl::OkStatus();
  const std::string name = fmt::format("the queue of \"{}\"", submission.request.model);
  const auth::Resource resource{auth::Kind::kRequest, deployment->tenant, name, serving};
  RETURN_IF_ERROR(auth::Decide(principal, auth::Action::kChange, resource));
  if (submission.priority <= 0) return absl::OkStatus();
  const Status first = auth::Decide(principal, auth::Action::kPrioritize, resource);
  return first.ok() ? first : PermissionDenied("X-Allot-Priority over 0: {}", MessageOf(first));
}

void HttpApi::Model(const Asked& asked) {
  std::string name = asked.request.path.substr(kModelsPrefix.size());
  // The one encoded slash that means something: models are called "maker/name".
  for (const char* slash : {"%2F", "%2f"})
    for (size_t at = 0; (at = name.find(slash, at)) != std::string::npos;) name.replace(at, 3, "/");
  const std::optional<std::string> model = ModelJson(plane_.core(), name, asked.principal);
  if (model.has_value()) return Answer(*model, asked.responder);
  Refuse(NoModel(name), asked.responder);
}

void HttpApi::Explain(const Asked& asked) {
  const std::string_view id = std::string_view(asked.request.path).substr(kExplainPrefix.size());
  const std::optional<RequestId> request = ParseRequestId(id);
  std::optional<router::RequestExplanation> explained;
  if (request.has_value()) explained = plane_.core().Explain(*request);
  ApiError error;
  error.status = request.has_value() ? 404 : 400;
  error.code = request.has_value() ? "not_found" : "invalid_argument";
  error.message = request.has_value()
                      ? fmt::format(
                            "nothing is known of {} (any more); the last decisions are "
                            "kept for 15 minutes",
                            id)
                      : "a request id looks like req-00000000000000f3";
  if (!explained.has_value()) return Refuse(error, asked.responder);
  if (const Status may = MaySee(plane_.core(), asked.principal, *explained); !may.ok())
    return Deny(asked, may, error);
  Answer(ExplanationJson(*explained), asked.responder);
}

}  // namespace allot::gateway
