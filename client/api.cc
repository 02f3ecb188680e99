#include "client/api.h"

#include <algorithm>
#include <random>

namespace allot::client {

class Api::Impl {
 public:
  Endpoint endpoint;
  std::unique_ptr<http::BlockingClient> http;
};

namespace {

http::ClientRequest RequestOf(const Call& call, Duration otherwise) {
  http::ClientRequest request;
  request.method = call.method;
  request.target = call.target;
  request.headers.assign(call.headers.begin(), call.headers.end());
  request.headers.emplace_back("Accept", "application/json");
  if (!call.body.empty()) request.headers.emplace_back("Content-Type", call.content_type);
  request.body = call.body;
  request.timeout = request.idle_timeout = call.timeout.value_or(otherwise);
  return request;
}

// A key no other submit has: the server takes a second body under it as the first one repeated.
std::string NewIdempotencyKey() {
  std::random_device device;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", device(), device(), device(), device());
}

std::string JobPath(const std::string& id) { return "/v1/jobs/" + UrlEncode(id); }

}  // namespace

std::string UrlEncode(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain)
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

Api::Api(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Api::~Api() = default;
const std::string& Api::url() const { return impl_->endpoint.url; }
const Endpoint& Api::endpoint() const { return impl_->endpoint; }

StatusOr<std::unique_ptr<Api>> Api::Connect(Endpoint endpoint) {
  auto impl = std::make_unique<Impl>();
  ASSIGN_OR_RETURN(impl->http,
                   http::BlockingClient::Create(endpoint.url, endpoint.token, endpoint.security));
  impl->endpoint = std::move(endpoint);
  return std::unique_ptr<Api>(new Api(std::move(impl)));
}

StatusOr<std::string> Api::FetchOnce(const Call& call) {
  StatusOr<http::ClientResponse> answer =
      impl_->http->Fetch(RequestOf(call, impl_->endpoint.timeout));
  if (!answer.ok()) return Status(answer.status().code(), MessageOf(answer.status()));
  RETURN_IF_ERROR(StatusOfAnswer(answer->status, answer->body));
  return std::move(answer->body);
}

StatusOr<std::string> Api::Fetch(const Call& call, bool* in_doubt) {
  Patience patience(impl_->endpoint.patience, call.deadline);
  bool looked = false;
  while (true) {
    StatusOr<std::string> body = FetchOnce(call);
    if (body.ok()) {
      patience.AfterSuccess();
      return body;
    }
    // A request nobody took changed nothing; one that was cut off, or never answered, may have.
    if (in_doubt != nullptr && IsAway(body.status()))
      *in_doubt |= MessageOf(body.status()).find("cannot connect") == std::string::npos;
    if (call.unanswered && !looked && IsAway(body.status())) {
      looked = true;
      RETURN_IF_ERROR(call.unanswered());
    }
    if (!patience.AfterFailure(body.status())) return body;
  }
}

template <class T>
StatusOr<Answer<T>> Api::Typed(const Call& call, StatusOr<T> (*parse)(std::string_view)) {
  ASSIGN_OR_RETURN(std::string body, Fetch(call));
  ASSIGN_OR_RETURN(T view, parse(body));
  return Answer<T>{std::move(view), std::move(body)};
}

StatusOr<Answer<ClusterView>> Api::Cluster() {
  return Typed({.target = "/v1/cluster"}, ParseCluster);
}

StatusOr<Answer<JobView>> Api::Submit(const std::string& spec_json, std::string key,
                                      std::function<Status()> unanswered) {
  if (key.empty()) key = NewIdempotencyKey();
  const Call call{.method = "POST",
                  .target = "/v1/jobs",
                  .body = spec_json,
                  .headers = {{"Idempotency-Key", key}},
                  .unanswered = std::move(unanswered)};
  bool in_doubt = false;
  StatusOr<std::string> body = Fetch(call, &in_doubt);
  if (!body.ok() && in_doubt && IsAway(body.status()))
    return Status(body.status().code(),
                  fmt::format("{}; the job may have been accepted: submit it again with "
                              "--idempotency-key {} to get that job and not a second one",
                              MessageOf(body.status()), key));
  RETURN_IF_ERROR(body.status());
  ASSIGN_OR_RETURN(JobView view, ParseJob(*body));
  return Answer<JobView>{std::move(view), *std::move(body)};
}

StatusOr<Answer<JobPage>> Api::Jobs(const JobQuery& query) {
  std::string target = fmt::format("/v1/jobs?limit={}", query.limit);
  if (!query.phase.empty()) target += "&phase=" + UrlEncode(query.phase);
  if (!query.tenant.empty()) target += "&tenant=" + UrlEncode(query.tenant);
  if (!query.before.empty()) target += "&before=" + UrlEncode(query.before);
  return Typed({.target = target}, ParseJobs);
}

StatusOr<Answer<JobView>> Api::Job(const std::string& id) {
  return Typed({.target = JobPath(id)}, ParseJob);
}

StatusOr<Answer<JobView>> Api::Cancel(const std::string& id) {
  return Typed({.method = "DELETE", .target = JobPath(id)}, ParseJob);
}

StatusOr<Answer<JobView>> Api::Wait(const std::string& id, Duration timeout, Deadline deadline) {
  const double seconds = std::chrono::duration<double>(timeout).count();
  return Typed(
      {.target = fmt::format("{}/wait?timeout_seconds={:.3f}", JobPath(id), seconds),
       .timeout = timeout + std::min<Duration>(impl_->endpoint.timeout, std::chrono::seconds(10)),
       .deadline = deadline},
      ParseJob);
}

StatusOr<Answer<JobExplanation>> Api::ExplainJob(const std::string& id) {
  return Typed({.target = JobPath(id) + "/explain"}, ParseJobExplanation);
}

Status Api::Logs(const LogQuery& query, const std::function<bool(std::string_view)>& piece) {
  const bool replica = query.id.starts_with("replica-");
  std::string target =
      replica ? fmt::format("/v1/replicas/{}/logs?offset={}", UrlEncode(query.id), query.offset)
              : fmt::format("{}/logs?task={}&attempt={}&offset={}", JobPath(query.id), query.task,
                            query.attempt, query.offset);
  if (query.follow) target += "&follow=1";
  http::ClientRequest request;
  request.target = target;
  request.timeout = impl_->endpoint.timeout;
  // A task may say nothing for as long as it likes.
  request.idle_timeout = std::chrono::hours(24 * 365);
  ASSIGN_OR_RETURN(const http::ClientResponse answer, impl_->http->Stream(request, piece));
  return StatusOfAnswer(answer.status, answer.body);
}

StatusOr<Answer<DeploymentView>> Api::Deploy(const std::string& name,
                                             const std::string& spec_json) {
  return Typed({.method = "PUT", .target = "/v1/deployments/" + UrlEncode(name), .body = spec_json},
               ParseDeployment);
}

StatusOr<Answer<std::vector<DeploymentView>>> Api::Deployments() {
  return Typed({.target = "/v1/deployments"}, ParseDeployments);
}

StatusOr<Answer<DeploymentView>> Api::Deployment(const std::string& name) {
  return Typed({.target = "/v1/deployments/" + UrlEncode(name)}, ParseDeployment);
}

StatusOr<std::string> Api::Undeploy(const std::string& name) {
  bool in_doubt = false;
  StatusOr<std::string> body =
      Fetch({.method = "DELETE", .target = "/v1/deployments/" + UrlEncode(name)}, &in_doubt);
  // The one that was cut off has done it.
  if (in_doubt && body.status().code() == StatusCode::kNotFound) return std::string();
  return body;
}

StatusOr<Answer<std::vector<NodeView>>> Api::Nodes() {
  return Typed({.target = "/v1/nodes"}, ParseNodes);
}

StatusOr<Answer<std::vector<DeviceView>>> Api::Devices() {
  return Typed({.target = "/v1/devices"}, ParseDevices);
}

StatusOr<Answer<NodeView>> Api::Drain(const std::string& node, bool drain) {
  return Typed(
      {.method = "POST",
       .target = fmt::format("/v1/nodes/{}/{}", UrlEncode(node), drain ? "drain" : "undrain")},
      ParseNode);
}

StatusOr<Answer<DeviceView>> Api::DrainDevice(const std::string& node, const std::string& device,
                                              bool drain) {
  const Call call{.method = "POST",
                  .target = fmt::format("/v1/nodes/{}/{}?device={}", UrlEncode(node),
                                        drain ? "drain" : "undrain", UrlEncode(device))};
  ASSIGN_OR_RETURN(std::string body, Fetch(call));
  StatusOr<DeviceView> view = ParseDevice(body);
  return Answer<DeviceView>{view.ok() ? *std::move(view) : DeviceView(), std::move(body)};
}

StatusOr<Answer<PowerPage>> Api::Power() { return Typed({.target = "/v1/power"}, ParsePower); }

StatusOr<Answer<PolicyView>> Api::Policy() { return Typed({.target = "/v1/policy"}, ParsePolicy); }

StatusOr<std::string> Api::ApplyPolicy(const std::string& yaml) {
  return Fetch(
      {.method = "PUT", .target = "/v1/policy", .body = yaml, .content_type = "application/yaml"});
}

StatusOr<std::vector<std::string>> Api::Models() {
  ASSIGN_OR_RETURN(const std::string body, Fetch({.target = "/v1/models"}));
  return ParseModels(body);
}

StatusOr<Answer<RequestExplanation>> Api::ExplainRequest(const std::string& id) {
  return Typed({.target = "/allot/v1/requests/" + UrlEncode(id)}, ParseRequestExplanation);
}

StatusOr<Answer<std::vector<GatewayDeployment>>> Api::GatewayDeployments() {
  return Typed({.target = "/allot/v1/deployments"}, ParseGatewayDeployments);
}

}  // namespace allot::client
