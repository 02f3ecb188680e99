// The gateway's HTTP routes: who may, what is asked, and to whom it goes. See docs/api.md.
//
// One thread. Holds no request: those are the request plane's.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "common/auth/tokens.h"
#include "common/http/server.h"
#include "gateway/metrics.h"
#include "gateway/request_plane.h"

namespace allot::gateway {

class HttpApi {
 public:
  HttpApi(RequestPlane& plane, auth::Tokens& tokens, Metrics& metrics,
          std::function<std::string()> metrics_text)
      : plane_(plane), tokens_(tokens), metrics_(metrics), metrics_text_(std::move(metrics_text)) {}

  void Handle(http::Request request, const http::ResponderPtr& responder);
  // For Server::Options::refuse: whoever has no token is told before the body is read.
  std::optional<http::Response> Refuse(const http::Request& head);
  // For Server::Options::own_answer: the server's own errors are the API's.
  http::Response OwnAnswer(http::Response plain, const Status& why);

 private:
  void Complete(http::Request request, const auth::Principal& principal,
                const http::ResponderPtr& responder);
  void Model(std::string name, const http::ResponderPtr& responder);
  Status MayGoFirst(const auth::Principal& principal, const Submission& submission) const;
  void RefuseMethod(const http::Request& request, std::string_view allowed,
                    const http::ResponderPtr& responder);
  void Explain(std::string_view id, const http::ResponderPtr& responder);
  http::Response Refusal(const ApiError& error);
  void Refuse(const ApiError& error, const http::ResponderPtr& responder);
  void Answer(std::string body, const http::ResponderPtr& responder);
  std::pair<std::string, std::string> IdHeader();

  RequestPlane& plane_;
  auth::Tokens& tokens_;
  Metrics& metrics_;
  std::function<std::string()> metrics_text_;
};

}  // namespace allot::gateway
