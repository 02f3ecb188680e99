#include "agent/shell/endpoint_exchange.h"

#include <algorithm>

namespace allot::agent {
namespace {

bool IsOneOf(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Ours to say, not the client's. An answer that is not compressed is passed on as it is produced,
// and we can read how many tokens it took.
bool NotForEndpoint(const http::Headers::value_type& header) {
  return IsOneOf(header.first, {"authorization", "proxy-authorization", "cookie", "host", "expect",
                                "accept-encoding"});
}

// Meant for this connection or for the endpoint's own host name; a browser would take it for ours.
bool NotForClient(const http::Headers::value_type& header) {
  return IsOneOf(header.first, {"set-cookie", "alt-svc", "strict-transport-security",
                                "public-key-pins", "proxy-authenticate", "www-authenticate",
                                "authentication-info", "server", "via"});
}

}  // namespace

std::string_view ToString(EndpointOutcome outcome) {
  switch (outcome) {
    case EndpointOutcome::kAnswered:
      return "answered";
    case EndpointOutcome::kRefused:
      return "refused";
    case EndpointOutcome::kError:
      return "error";
    case EndpointOutcome::kFailed:
      return "failed";
    case EndpointOutcome::kCancelled:
      return "cancelled";
  }
  return "?";
}

EndpointExchange::EndpointExchange(std::shared_ptr<const EndpointLease> lease, Done done)
    : lease_(std::move(lease)), done_(std::move(done)) {
  for (const auto& load : lease_->loads) ++load->in_flight;
}

EndpointExchange::~EndpointExchange() { Finish(EndpointOutcome::kCancelled); }

void EndpointExchange::Prepare(http::ClientRequest* request) const {
  const Endpoint& endpoint = *lease_->endpoint;
  request->target = endpoint.url.path + request->target;
  std::erase_if(request->headers, NotForEndpoint);
  if (endpoint.token)
    request->headers.emplace_back("authorization", "Bearer " + endpoint.token->Get());
  if (!endpoint.remote_model.empty())
    request->body = WithModel(std::move(request->body), endpoint.remote_model);
}

Status EndpointExchange::TakeHead(int status, http::Headers* headers) {
  status_ = status;
  std::erase_if(*headers, NotForClient);
  // The client has shown us who it is; that our own token is not taken is none of its doing.
  if (status == 401 || status == 407)
    return Unauthenticated("the endpoint {} refuses this node's token ({})", lease_->endpoint->name,
                           status);
  return absl::OkStatus();
}

void EndpointExchange::End(bool complete) {
  if (!complete) return Finish(EndpointOutcome::kFailed);
  Finish(status_ >= 500   ? EndpointOutcome::kError
         : status_ >= 400 ? EndpointOutcome::kRefused
                          : EndpointOutcome::kAnswered);
}

void EndpointExchange::Finish(EndpointOutcome outcome) {
  if (std::exchange(over_, true)) return;
  for (const auto& load : lease_->loads) --load->in_flight;
  if (done_ == nullptr) return;
  done_({lease_->devices.front(), outcome,
         std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - began_),
         usage_.Find()});
}

}  // namespace allot::agent
