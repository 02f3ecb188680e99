// A blocking HTTP/1.1 client for the command line and tests: a socket and poll(2), no loop, TLS
// where the address says https. Most of what a short command costs is starting, so there is nothing
// here that has to be started.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/status.h"
#include "common/base/units.h"
#include "common/http/headers.h"
#include "common/http/tls.h"

namespace allot::http {

struct ClientRequest {
  std::string method = "GET";
  std::string target = "/";  // path and query, encoded
  Headers headers;
  std::string body;
  Duration timeout = std::chrono::seconds(30);        // until the head of the answer
  Duration idle_timeout = std::chrono::seconds(300);  // between two pieces of the body
};

struct ClientResponse {
  int status = 0;
  Headers headers;  // names in lower case
  std::string body;
  std::string_view Header(std::string_view lower_case_name) const;  // "" if absent
};

// How a server is believed, and what it may be told.
struct ClientSecurity {
  std::shared_ptr<const TlsTrust> trust = nullptr;  // for https; null: the system's store
  // A bearer token goes out over plain HTTP only where it does not leave the machine
  // (plain_tokens.h), unless this says so.
  bool plain_tokens = false;
};

// Blocking; one connection kept alive; one thread. `unix` style URLs are not supported. As with
// Client, a request on a kept connection that the server closed before answering a byte is sent
// once more.
// Errors: Unavailable (cannot connect, connection lost), DeadlineExceeded, PermissionDenied (a
// certificate that is not believed, a token that others could read). An answer of any HTTP
// status is an answer, not an error.
class BlockingClient {
 public:
  // base_url: "http://127.0.0.1:7401", "https://head:7401"
  static StatusOr<std::unique_ptr<BlockingClient>> Create(const std::string& base_url,
                                                          std::string bearer_token,
                                                          ClientSecurity security = {});
  ~BlockingClient();
  StatusOr<ClientResponse> Fetch(const ClientRequest& request);
  // Streams the body to `piece`; it returns false to stop (the connection is closed). The body of
  // an answer that is not 2xx goes to ClientResponse::body instead.
  StatusOr<ClientResponse> Stream(const ClientRequest& request,
                                  const std::function<bool(std::string_view piece)>& piece);

 private:
  class Impl;
  explicit BlockingClient(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace allot::http
