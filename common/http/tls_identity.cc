#include "common/http/tls_identity.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <utility>

#include "common/base/check.h"
#include "common/base/logging.h"
#include "common/http/tls_text.h"

namespace allot::http {

struct TlsIdentity::Loaded {
  Loaded() : context(SSL_CTX_new(TLS_server_method())) { CHECK(context != nullptr); }
  ~Loaded() { SSL_CTX_free(context); }
  Loaded(const Loaded&) = delete;
  Loaded& operator=(const Loaded&) = delete;
  SSL_CTX* const context;  // sessions hold it too
  std::time_t expires = 0;
};

TlsIdentity::TlsIdentity(TlsFiles files) : files_(std::move(files)) {}
TlsIdentity::~TlsIdentity() = default;

StatusOr<std::unique_ptr<TlsIdentity>> TlsIdentity::Load(TlsFiles files) {
  if (files.key.empty()) files.key = files.certificate;
  std::unique_ptr<TlsIdentity> identity(new TlsIdentity(std::move(files)));
  identity->stamps_ = identity->Stamps();
  ASSIGN_OR_RETURN(identity->loaded_, Read(identity->files_));
  return identity;
}

StatusOr<std::unique_ptr<TlsIdentity::Loaded>> TlsIdentity::Read(const TlsFiles& files) {
  auto loaded = std::make_unique<Loaded>();
  SSL_CTX* const context = loaded->context;
  ERR_clear_error();
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE);
  // Nobody resumes: who is let in is asked anew each time, and nothing is kept of who has gone.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (SSL_CTX_use_certificate_chain_file(context, files.certificate.c_str()) != 1)
    return InvalidArgument("{} holds no certificate (PEM): {}", files.certificate, TlsReason());
  if (SSL_CTX_use_PrivateKey_file(context, files.key.c_str(), SSL_FILETYPE_PEM) != 1) {
    const bool others = ERR_GET_REASON(ERR_peek_error()) == X509_R_KEY_VALUES_MISMATCH ||
                        ERR_GET_REASON(ERR_peek_error()) == X509_R_KEY_TYPE_MISMATCH;
    const std::string reason = TlsReason();
    if (others)
      return InvalidArgument("the key in {} is not that of the certificate in {}", files.key,
                             files.certificate);
    return InvalidArgument("{} holds no key (PEM, without a passphrase): {}", files.key, reason);
  }
  if (!files.client_ca.empty()) {
    if (SSL_CTX_load_verify_locations(context, files.client_ca.c_str(), nullptr) != 1)
      return InvalidArgument("{} holds no certificates to trust (PEM): {}", files.client_ca,
                             TlsReason());
    // They are told whose certificates are wanted, so that they can choose.
    SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(files.client_ca.c_str()));
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  ERR_clear_error();
  loaded->expires = ExpiryOf(SSL_CTX_get0_certificate(context));
  return loaded;
}

std::array<FileStamp, 3> TlsIdentity::Stamps() const {
  return {StampOf(files_.certificate), StampOf(files_.key), StampOf(files_.client_ca)};
}

void TlsIdentity::Look() {
  const std::array<FileStamp, 3> now = Stamps();
  if (now == stamps_) return;
  stamps_ = now;
  StatusOr<std::unique_ptr<Loaded>> loaded = Read(files_);
  problem_ = loaded.status();
  if (!loaded.ok()) {
    spdlog::error(
        "the certificate cannot be used; the one read before, good until {}, stays in use: {}",
        UtcText(loaded_->expires), MessageOf(loaded.status()));
    return;
  }
  loaded_ = *std::move(loaded);
  spdlog::info("certificate read again file={} good_until=\"{}\"", files_.certificate,
               UtcText(loaded_->expires));
}

ssl_ctx_st* TlsIdentity::Current() {
  Look();
  return loaded_->context;
}

TlsState TlsIdentity::State() {
  Look();
  return {loaded_->expires, !problem_.ok()};
}

std::string PrivateAuthorityOf(const std::string& certificate_file) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> file(BIO_new_file(certificate_file.c_str(), "r"),
                                                       BIO_free);
  std::string pem;
  while (file != nullptr) {
    const std::unique_ptr<X509, decltype(&X509_free)> next(
        PEM_read_bio_X509(file.get(), nullptr, nullptr, nullptr), X509_free);
    if (next == nullptr) break;
    pem.clear();
    if (X509_NAME_cmp(X509_get_subject_name(next.get()), X509_get_issuer_name(next.get())) != 0 ||
        X509_check_ca(next.get()) == 0)
      continue;
    const std::unique_ptr<BIO, decltype(&BIO_free)> memory(BIO_new(BIO_s_mem()), BIO_free);
    if (PEM_write_bio_X509(memory.get(), next.get()) != 1) continue;
    char* data = nullptr;
    const long size = BIO_get_mem_data(memory.get(), &data);
    pem.assign(data, static_cast<size_t>(size));
  }
  ERR_clear_error();
  return pem;
}

}  // namespace allot::http
