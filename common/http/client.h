// An asynchronous HTTP/1.1 client with pooled connections and streaming answers, in the clear or
// over TLS (agent → model server or endpoint). The blocking one is in blocking_client.h.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/io_context.hpp>

#include "common/base/status.h"
#include "common/base/units.h"
#include "common/base/url.h"
#include "common/http/blocking_client.h"
#include "common/http/server.h"
#include "common/http/tls.h"

namespace allot::http {

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
    // While held nothing more is read, and TCP holds the server back; a piece that had been read
    // may still come. The time it lasts counts as nobody's silence.
    virtual void Hold(bool held) = 0;
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

}  // namespace allot::http
