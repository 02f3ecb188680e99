#include "client/enroll/authority.h"

#include <arpa/inet.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <memory>

#include "common/base/check.h"
#include "common/base/printable.h"
#include "common/http/tls_text.h"

namespace allot::client {
namespace {

constexpr std::chrono::hours kClocksDiffer{1};  // a certificate is good from so long ago on

template <auto Free>
struct Freer {
  template <class T>
  void operator()(T* t) const {
    Free(t);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using Cert = std::unique_ptr<X509, Freer<X509_free>>;
using Bio = std::unique_ptr<BIO, Freer<BIO_free_all>>;

template <class Write>
std::string Pem(Write write) {
  const Bio memory(BIO_new(BIO_s_mem()));
  CHECK(write(memory.get()) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &data);
  return {data, static_cast<size_t>(size)};
}
std::string PemOf(X509* certificate) {
  return Pem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
}
std::string PemOf(EVP_PKEY* key) {
  return Pem([&](BIO* bio) {
    return PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  });
}
Cert CertificateOf(const std::string& pem) {
  const Bio text(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  Cert certificate(PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  return certificate;
}
Key KeyOf(const std::string& pem) {
  const Bio text(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  Key key(PEM_read_bio_PrivateKey(text.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  return key;
}

void AddExtension(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value);
  CHECK(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

bool IsHostName(const std::string& name) {
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
  return !name.empty() && name.size() <= 253 && name.find_first_not_of(kAllowed) == name.npos &&
         name.front() != '.' && name.front() != '-' && name.find("..") == name.npos;
}

// Built by hand: a text with commas and colons in it would say more than one name.
Status AddNames(X509* certificate, const std::vector<std::string>& names) {
  const std::unique_ptr<GENERAL_NAMES, Freer<GENERAL_NAMES_free>> all(sk_GENERAL_NAME_new_null());
  for (const std::string& name : names) {
    ASN1_OCTET_STRING* const address = a2i_IPADDRESS(name.c_str());
    ERR_clear_error();
    if (address == nullptr && !IsHostName(name))
      return InvalidArgument("\"{}\" is neither a host's name nor an address", Shown(name));
    GENERAL_NAME* const one = GENERAL_NAME_new();
    if (address != nullptr) {
      GENERAL_NAME_set0_value(one, GEN_IPADD, address);
    } else {
      ASN1_IA5STRING* const text = ASN1_IA5STRING_new();
      ASN1_STRING_set(text, name.data(), static_cast<int>(name.size()));
      GENERAL_NAME_set0_value(one, GEN_DNS, text);
    }
    sk_GENERAL_NAME_push(all.get(), one);
  }
  CHECK(X509_add1_ext_i2d(certificate, NID_subject_alt_name, all.get(), 0, X509V3_ADD_DEFAULT) ==
        1);
  return absl::OkStatus();
}

StatusOr<Cert> NewCertificate(const std::string& name, EVP_PKEY* key,
                              std::chrono::seconds good_for) {
  Cert certificate(X509_new());
  X509_set_version(certificate.get(), 2);
  unsigned char serial[16];
  if (RAND_bytes(serial, sizeof serial) != 1)
    return Internal("no random numbers: {}", http::TlsReason());
  serial[0] = static_cast<unsigned char>((serial[0] & 0x7f) | 0x40);
  BIGNUM* const number = BN_bin2bn(serial, sizeof serial, nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate.get()));
  BN_free(number);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()),
                  -std::chrono::seconds(kClocksDiffer).count());
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), good_for.count());
  X509_set_pubkey(certificate.get(), key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(name.data()),
                             static_cast<int>(std::min<size_t>(name.size(), 64)), -1, 0);
  return certificate;
}

StatusOr<Key> NewKey() {
  Key key(EVP_EC_gen("P-256"));
  if (key == nullptr) return Internal("cannot make a key: {}", http::TlsReason());
  return key;
}

}  // namespace

StatusOr<AuthorityPair> NewAuthority(const std::string& name) {
  ASSIGN_OR_RETURN(const Key key, NewKey());
  ASSIGN_OR_RETURN(const Cert certificate, NewCertificate(name, key.get(), kAuthorityDays));
  X509* const self = certificate.get();
  X509_set_issuer_name(self, X509_get_subject_name(self));
  AddExtension(self, self, NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  AddExtension(self, self, NID_key_usage, "critical,keyCertSign,cRLSign");
  AddExtension(self, self, NID_subject_key_identifier, "hash");
  CHECK(X509_sign(self, key.get(), EVP_sha256()) > 0);
  return AuthorityPair{PemOf(self), PemOf(key.get())};
}

StatusOr<std::string> IssueCertificate(const AuthorityPair& authority,
                                       const std::vector<std::string>& names,
                                       std::chrono::seconds good_for) {
  if (names.empty()) return InvalidArgument("a certificate is for a name or an address; give one");
  const Cert issuer = CertificateOf(authority.certificate);
  const Key issuers = KeyOf(authority.key);
  if (issuer == nullptr || issuers == nullptr ||
      X509_check_private_key(issuer.get(), issuers.get()) != 1) {
    ERR_clear_error();
    return InvalidArgument("the authority's key and certificate do not belong together");
  }
  ASSIGN_OR_RETURN(const Key key, NewKey());
  ASSIGN_OR_RETURN(const Cert certificate, NewCertificate(names.front(), key.get(), good_for));
  X509* const made = certificate.get();
  if (ASN1_TIME_compare(X509_get0_notAfter(made), X509_get0_notAfter(issuer.get())) > 0)
    X509_set1_notAfter(made, X509_get0_notAfter(issuer.get()));
  X509_set_issuer_name(made, X509_get_subject_name(issuer.get()));
  AddExtension(made, issuer.get(), NID_basic_constraints, "critical,CA:FALSE");
  AddExtension(made, issuer.get(), NID_key_usage, "critical,digitalSignature");
  AddExtension(made, issuer.get(), NID_ext_key_usage, "serverAuth,clientAuth");
  AddExtension(made, issuer.get(), NID_subject_key_identifier, "hash");
  AddExtension(made, issuer.get(), NID_authority_key_identifier, "keyid:always");
  RETURN_IF_ERROR(AddNames(made, names));
  CHECK(X509_sign(made, issuers.get(), EVP_sha256()) > 0);
  return PemOf(made) + PemOf(issuer.get()) + PemOf(key.get());
}

StatusOr<CertificateFacts> FactsOf(const std::string& pem, const std::string& authority) {
  const Cert certificate = CertificateOf(pem), issuer = CertificateOf(authority);
  if (certificate == nullptr) return InvalidArgument("it holds no certificate (PEM)");
  if (issuer == nullptr) return InvalidArgument("the authority's is no certificate (PEM)");
  const int signed_by_it = X509_verify(certificate.get(), X509_get0_pubkey(issuer.get()));
  ERR_clear_error();
  if (signed_by_it != 1)
    return FailedPrecondition("it is signed by somebody else than this cluster's authority");
  return CertificateFacts{http::NamesOf(certificate.get()),
                          http::UtcText(http::ExpiryOf(certificate.get()))};
}

StatusOr<std::string> OnlyCertificate(const std::string& pem) {
  const Cert certificate = CertificateOf(pem);
  if (certificate == nullptr) return InvalidArgument("that is no certificate (PEM)");
  return PemOf(certificate.get());
}

}  // namespace allot::client
