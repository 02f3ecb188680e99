#include "common/http/tls_text.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "common/http/text.h"

namespace allot::http {

std::string TlsReason() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* const reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  std::string text = reason != nullptr ? reason
                     : ERR_SYSTEM_ERROR(code)
                         ? std::generic_category().message(ERR_GET_REASON(code))
                         : "no reason given";
  ToLower(&text);
  return text;
}

std::time_t ExpiryOf(x509_st* certificate) {
  std::tm tm{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &tm) != 1) return 0;
  return timegm(&tm);
}

std::vector<std::string> NamesOf(x509_st* certificate) {
  std::vector<std::string> names;
  auto* const all = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(all); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(all, i);
    if (name->type != GEN_DNS && name->type != GEN_IPADD) continue;
    const ASN1_STRING* const value = name->type == GEN_DNS ? name->d.dNSName : name->d.iPAddress;
    const unsigned char* const bytes = ASN1_STRING_get0_data(value);
    const int size = ASN1_STRING_length(value);
    if (name->type == GEN_DNS) {
      names.emplace_back(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
      continue;
    }
    char text[INET6_ADDRSTRLEN];
    if ((size == 4 || size == 16) &&
        inet_ntop(size == 4 ? AF_INET : AF_INET6, bytes, text, sizeof text) != nullptr)
      names.emplace_back(text);
  }
  GENERAL_NAMES_free(all);
  return names;
}

std::string UtcText(std::time_t when) {
  std::tm tm{};
  gmtime_r(&when, &tm);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &tm)};
}

}  // namespace allot::http
