// TLS as a client speaks it: the server must show a certificate for the name we asked for, signed
// by someone we trust. There is no way to switch that off.
//
// OpenSSL does the work; it is included in tls.cc and client.cc only.
#pragma once

#include <memory>
#include <string>

#include "common/base/status.h"

struct ssl_st;  // OpenSSL's SSL
namespace boost::asio::ssl {
class context;
}

namespace allot::http {

// Whose certificates we believe. Immutable once loaded; shared by clients of one or more loops.
class TlsTrust {
 public:
  // `ca_file`: certificates in PEM; empty: the system's store. Errors name the file.
  static StatusOr<std::shared_ptr<const TlsTrust>> Load(const std::string& ca_file);
  ~TlsTrust();

  // For client.cc. Prepares a session before its handshake: whom it is for.
  boost::asio::ssl::context& context() const { return *context_; }
  static Status Expect(ssl_st* session, const std::string& host);
  // Why a handshake failed. PermissionDenied: the certificate is not trusted or not the host's.
  static Status Explain(ssl_st* session, const std::string& authority, const std::string& error);

 private:
  TlsTrust();
  const std::unique_ptr<boost::asio::ssl::context> context_;
};

}  // namespace allot::http
