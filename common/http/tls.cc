#include "common/http/tls.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "common/base/check.h"
#include "common/base/printable.h"
#include "common/http/tls_channel.h"
#include "common/http/tls_text.h"

namespace allot::http {
namespace {

bool IsAddress(const std::string& host) {
  unsigned char bytes[sizeof(in6_addr)];
  return inet_pton(AF_INET, host.c_str(), bytes) == 1 ||
         inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

// A certificate that is not believed is not kept by OpenSSL, and people are to be told of it.
int ShownIndex() {
  static const int index = SSL_get_ex_new_index(
      0, nullptr, nullptr, nullptr, [](void*, void* shown, CRYPTO_EX_DATA*, int, long, void*) {
        X509_free(static_cast<X509*>(shown));
      });
  return index;
}
int Keep(int believed, X509_STORE_CTX* store) {
  if (believed == 1) return 1;
  auto* const session =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  X509* const shown = X509_STORE_CTX_get0_cert(store);
  if (session != nullptr && shown != nullptr && SSL_get_ex_data(session, ShownIndex()) == nullptr) {
    X509_up_ref(shown);
    SSL_set_ex_data(session, ShownIndex(), shown);
  }
  return 0;
}

}  // namespace

TlsTrust::TlsTrust() : context_(SSL_CTX_new(TLS_client_method())) { CHECK(context_ != nullptr); }
TlsTrust::~TlsTrust() { SSL_CTX_free(context_); }

StatusOr<std::shared_ptr<const TlsTrust>> TlsTrust::Load(const std::string& ca_file) {
  Files files{.modules = true};
  if (!ca_file.empty()) files.authorities.push_back(ca_file);
  return Load(files);
}

StatusOr<std::shared_ptr<const TlsTrust>> TlsTrust::Load(const Files& files) {
  if (!files.modules) OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
  std::shared_ptr<TlsTrust> trust(new TlsTrust);
  SSL_CTX* const context = trust->context_;
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  constexpr unsigned char kProtocols[] = "\x08http/1.1";  // Some servers prefer HTTP/2 unless told.
  SSL_CTX_set_alpn_protos(context, kProtocols, sizeof kProtocols - 1);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, Keep);
  if (files.authorities.empty() || files.system_too) {
    if (SSL_CTX_set_default_verify_paths(context) != 1)
      return Unavailable("cannot open the system's certificates: {}", TlsReason());
  }
  for (const std::string& file : files.authorities)
    if (SSL_CTX_load_verify_locations(context, file.c_str(), nullptr) != 1)
      return InvalidArgument("{} holds no certificates to trust (PEM): {}", file, TlsReason());
  if (!files.certificate.empty()) {
    const char* const file = files.certificate.c_str();
    if (SSL_CTX_use_certificate_chain_file(context, file) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, file, SSL_FILETYPE_PEM) != 1)
      return InvalidArgument("{} does not hold a certificate and its key (PEM): {}", file,
                             TlsReason());
  }
  return std::shared_ptr<const TlsTrust>(std::move(trust));
}

Status TlsTrust::Expect(ssl_st* session, const std::string& host) {
  X509_VERIFY_PARAM* const wanted = SSL_get0_param(session);
  const bool said = IsAddress(host)
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

Status TlsTrust::ExplainToPeople(ssl_st* session, const std::string& url,
                                 const std::string& error) {
  const Status plain = Explain(session, url, error);
  auto* const shown = static_cast<X509*>(SSL_get_ex_data(session, ShownIndex()));
  switch (SSL_get_verify_result(session)) {
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return PermissionDenied(
          "{}\n  Nobody trusted here has signed it. Bring the cluster's ca.crt (the head has it in "
          "/etc/allotrope) by a way you trust, and name it with --ca FILE, ALLOT_CA or ca_file in "
          "client.yaml.",
          MessageOf(plain));
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return PermissionDenied(
          "{}\n  It was good until {}. On the head `allot cluster renew` makes another, which is "
          "in use at once.",
          MessageOf(plain), shown == nullptr ? "some time ago" : UtcText(ExpiryOf(shown)));
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return PermissionDenied("{}\n  One of the two machines' clocks is wrong.", MessageOf(plain));
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: {
      const std::vector<std::string> names =
          shown == nullptr ? std::vector<std::string>() : NamesOf(shown);
      return PermissionDenied(
          "{}\n  It is for {}: call the server by one of these, or add the name with `allot "
          "cluster renew NAME` on the head.",
          MessageOf(plain),
          names.empty() ? "nobody" : OneLine(fmt::format("{}", fmt::join(names, ", "))));
    }
    default:
      break;
  }
  if (error.find("certificate required") != std::string::npos ||
      error.find("handshake failure") != std::string::npos)
    return PermissionDenied(
        "{}\n  The server may want a certificate of the client: name one, with its key in the same "
        "file, with --certificate FILE, ALLOT_CERTIFICATE or certificate in client.yaml.",
        MessageOf(plain));
  if (error.find("wrong version number") != std::string::npos ||
      error.find("packet length too long") != std::string::npos ||
      error.find("http request") != std::string::npos)
    return Unavailable("{}\n  It speaks plain HTTP, it seems: call it with http://",
                       MessageOf(plain));
  return plain;
}

}  // namespace allot::http
