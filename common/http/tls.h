// TLS as a client speaks it: the server must show a certificate for the name we asked for, signed
// by someone we trust. There is no way to switch that off.
//
// OpenSSL does the work; it is included in tls*.cc and client.cc only. No asio here: `allot` speaks
// TLS over a socket and poll (ADR 14).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/base/status.h"

struct ssl_st;      // OpenSSL's SSL
struct ssl_ctx_st;  // and SSL_CTX

namespace allot::http {

// Whose certificates we believe, and what we show where a server asks. Immutable once loaded;
// shared by clients of one or more loops.
class TlsTrust {
 public:
  struct Files {
    std::vector<std::string> authorities = {};  // certificates in PEM; none: the system's store
    bool system_too = false;                    // beside them
    std::string certificate =
        {};  // ours, with its chain and its key in one file (PEM); may be empty
    // Whether OpenSSL may load what its config file (openssl.cnf) names: not where the C library is
    // linked in (ADR 14).
    bool modules = false;
  };
  // Errors name the file.
  static StatusOr<std::shared_ptr<const TlsTrust>> Load(const Files& files);
  // `ca_file`: certificates in PEM; empty: the system's store.
  static StatusOr<std::shared_ptr<const TlsTrust>> Load(const std::string& ca_file);
  ~TlsTrust();

  ssl_ctx_st* context() const { return context_; }
  // Prepares a session before its handshake: whom it is for.
  static Status Expect(ssl_st* session, const std::string& host);
  // Why a handshake failed. PermissionDenied: the certificate is not trusted or not the host's.
  static Status Explain(ssl_st* session, const std::string& authority, const std::string& error);
  // The same for people who type commands: what was shown, and what they can do about it.
  static Status ExplainToPeople(ssl_st* session, const std::string& url, const std::string& error);

 private:
  TlsTrust();
  ssl_ctx_st* const context_;
};

}  // namespace allot::http
