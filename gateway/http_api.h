// The gateway's HTTP routes: who may, what is asked, and to whom it goes. See docs/api.md.
//
// One thread. Holds no request: those are the request plane's.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "common/audit/audit.h"
#include "common/auth/authorizer.h"
#include "common/http/server.h"
#include "gateway/metrics.h"
#include "gateway/request_plane.h"

namespace allot::gateway {

class HttpApi {
 public:
  // `audit`: told of every refusal for want of a token or a right; null: none is kept.
  HttpApi(RequestPlane& plane, auth::Tokens& tokens, Metrics& metrics,
          std::function<std::string()> metrics_text, audit::Log* audit)
      : plane_(plane),
        tokens_(tokens),
        metrics_(metrics),
        metrics_text_(std::move(metrics_text)),
        audit_(audit) {}

  void Handle(http::Request request, const http::ResponderPtr& responder);
  // For Server::Options::refuse: whoever has no token is told before the body is read.
  std::optional<http::Response> Refuse(const http::Request& head);
  // For Server::Options::own_answer: the server's own errors are the API's.
  http::Response OwnAnswer(http::Response plain, const Status& why);

 private:
  // What a request is about, and who asks.
  struct Asked {
    http::Request request;
    auth::Principal principal;
    http::ResponderPtr responder;
  };
  void Complete(Asked asked);
  void Model(const Asked& asked);
  // May it be asked, and before others; what serves the model decides.
  Status MayAsk(const auth::Principal& principal, const Submission& submission) const;
  void RefuseMethod(const http::Request& request, std::string_view allowed,
                    const http::ResponderPtr& responder);
  void Explain(const Asked& asked);
  // It is not for whoever asks: told as `error`, and to the audit log.
  void Deny(const Asked& asked, const Status& why, const ApiError& error);
  void Deny(const Asked& asked, const Status& why);
  void Audit(const http::Request& request, const auth::Principal& principal, const Status& why,
             int status);
  http::Response Refusal(const ApiError& error);
  void Refuse(const ApiError& error, const http::ResponderPtr& responder);
  void Answer(std::string body, const http::ResponderPtr& responder);
  std::pair<std::string, std::string> IdHeader();

  RequestPlane& plane_;
  auth::Tokens& tokens_;
  Metrics& metrics_;
  std::function<std::string()> metrics_text_;
  audit::Log* const audit_;
};

}  // namespace allot::gateway
