// HTTP/1.1 clients: an asynchronous one with pooled connections and streaming answers, in the clear
// or over TLS (agent → model server or endpoint), and a blocking one (command line, tests).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/io_context.hpp>

#include "common/base/status.h"
#include "common/base/units.h"
#include "common/base/url.h"
#include "common/http/server.h"
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

// Asynchronous; belongs to the loop's thread. `Call` is a handle: destroy or Cancel() it to
// close its connection at once (no callback follows). It may outlive the client. A request sent
// on a kept connection that the server closed before answering a byte is sent once more, so
// requests should be safe to repeat. Callbacks never come from within Start.
class Client {
 public:
  struct Callbacks {
    std::function<void(int status, Headers headers)> head;
    std::function<void(std::string piece)> body;  // as it arrives
    std::function<void(Status)> done;             // last, once
  };
  class Call {
   public:
    virtual ~Call() = default;
    virtual void Cancel() = 0;
  };

  Client(boost::asio::io_context& loop, std::string host_port, size_t idle_connections_max = 32);
  // The service at `url`; requests say the whole path. `trust` is needed for https. A server whose
  // certificate is not trusted, or is another's, ends a call with PermissionDenied, before anything
  // of the request was sent.
  Client(boost::asio::io_context& loop, const Url& url, std::shared_ptr<const TlsTrust> trust,
         size_t idle_connections_max = 32);
  ~Client();
  std::unique_ptr<Call> Start(ClientRequest request, Callbacks callbacks);

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

struct ClientResponse {
  int status = 0;
  Headers headers;  // names in lower case
  std::string body;
  std::string_view Header(std::string_view lower_case_name) const;  // "" if absent
};

// Blocking; one connection kept alive; one thread. `unix` style URLs are not supported.
// Errors: Unavailable (cannot connect, connection lost), DeadlineExceeded. An answer of any HTTP
// status is an answer, not an error.
class BlockingClient {
 public:
  // base_url: "http://127.0.0.1:7401"
  static StatusOr<std::unique_ptr<BlockingClient>> Create(const std::string& base_url,
                                                          std::string bearer_token);
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
