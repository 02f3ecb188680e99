#include "tests/tls/authority.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "common/base/check.h"

namespace allot::testing {
namespace {

template <class T, void (*Free)(T*)>
struct Freer {
  void operator()(T* t) const { Free(t); }
};
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY, EVP_PKEY_free>>;
using Cert = std::unique_ptr<X509, Freer<X509, X509_free>>;

Key NewKey() {
  Key key(EVP_EC_gen("P-256"));
  CHECK(key != nullptr);
  return key;
}

template <class Write>
std::string Pem(Write write) {
  BIO* bio = BIO_new(BIO_s_mem());
  CHECK(write(bio) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<size_t>(size));
  BIO_free(bio);
  return text;
}

void AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  CHECK(extension != nullptr);
  CHECK(X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

Cert NewCertificate(const std::string& name, EVP_PKEY* key, int serial, bool expired) {
  Cert certificate(X509_new());
  X509_set_version(certificate.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -172'800);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), expired ? -86'400 : 86'400);
  X509_set_pubkey(certificate.get(), key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  return certificate;
}

std::string PemOf(X509* certificate) {
  return Pem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
}

}  // namespace

struct Authority::Impl {
  Key key = NewKey();
  Cert certificate;
  int issued = 1;
};

Authority::Authority(const std::string& name) : impl_(std::make_unique<Impl>()) {
  impl_->certificate = NewCertificate(name, impl_->key.get(), 1, false);
  X509* const self = impl_->certificate.get();
  X509_set_issuer_name(self, X509_get_subject_name(self));
  AddExtension(self, self, NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(self, self, NID_key_usage, "critical,keyCertSign,cRLSign");
  CHECK(X509_sign(self, impl_->key.get(), EVP_sha256()) > 0);
  pem_ = PemOf(self);
}
Authority::~Authority() = default;

Certificate Authority::Issue(const std::vector<std::string>& names, bool expired) const {
  const Key key = NewKey();
  const Cert certificate = NewCertificate("a test server", key.get(), ++impl_->issued, expired);
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(impl_->certificate.get()));
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : ",") + name;
  AddExtension(certificate.get(), impl_->certificate.get(), NID_subject_alt_name, all);
  CHECK(X509_sign(certificate.get(), impl_->key.get(), EVP_sha256()) > 0);
  Certificate issued;
  issued.certificate = PemOf(certificate.get());
  issued.key = Pem([&](BIO* bio) {
    return PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
  return issued;
}

}  // namespace allot::testing
