#include "common/http/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ssl/context.hpp>

namespace allot::http {
namespace {

namespace ssl = boost::asio::ssl;

std::string Reason(const boost::system::error_code& error) {
  const char* reason = ERR_reason_error_string(static_cast<unsigned long>(error.value()));
  return reason != nullptr ? reason : error.message();
}

}  // namespace

TlsTrust::TlsTrust() : context_(std::make_unique<ssl::context>(ssl::context::tls_client)) {}
TlsTrust::~TlsTrust() = default;

StatusOr<std::shared_ptr<const TlsTrust>> TlsTrust::Load(const std::string& ca_file) {
  std::shared_ptr<TlsTrust> trust(new TlsTrust);
  ssl::context& context = *trust->context_;
  SSL_CTX* const raw = context.native_handle();
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  constexpr unsigned char kProtocols[] = "\x08http/1.1";  // Some servers prefer HTTP/2 unless told.
  SSL_CTX_set_alpn_protos(raw, kProtocols, sizeof kProtocols - 1);
  boost::system::error_code error;
  context.set_verify_mode(ssl::verify_peer, error);
  if (error) return Internal("cannot ask for certificates: {}", Reason(error));
  if (ca_file.empty()) {
    context.set_default_verify_paths(error);
    if (error) return Unavailable("cannot open the system's certificates: {}", Reason(error));
  } else {
    context.load_verify_file(ca_file, error);
    if (error)
      return InvalidArgument("{} holds no certificates to trust (PEM): {}", ca_file, Reason(error));
  }
  return std::shared_ptr<const TlsTrust>(std::move(trust));
}

Status TlsTrust::Expect(ssl_st* session, const std::string& host) {
  X509_VERIFY_PARAM* const wanted = SSL_get0_param(session);
  boost::system::error_code no_address;
  boost::asio::ip::make_address(host, no_address);
  const bool said = !no_address
                        ? X509_VERIFY_PARAM_set1_ip_asc(wanted, host.c_str()) == 1
                        : X509_VERIFY_PARAM_set1_host(wanted, host.c_str(), host.size()) == 1 &&
                              SSL_set_tlsext_host_name(session, host.c_str()) == 1;
  if (!said) return InvalidArgument("\"{}\" is no host that a certificate could be for", host);
  X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return absl::OkStatus();
}

Status TlsTrust::Explain(ssl_st* session, const std::string& authority, const std::string& error) {
  const long verdict = SSL_get_verify_result(session);
  if (verdict != X509_V_OK)
    return PermissionDenied("the certificate of {} is not trusted: {}", authority,
                            X509_verify_cert_error_string(verdict));
  return Unavailable("cannot speak TLS with {}: {}", authority, error);
}

}  // namespace allot::http
