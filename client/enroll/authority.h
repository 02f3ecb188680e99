// The cluster's own certificate authority: who signs what its HTTPS shows, where no public one
// does.
//
// `allot cluster init` makes it, its key stays on the head and is read by `allot` only; its
// certificate is what others are told to believe (`ca.crt`). Keys are EC P-256. All texts are PEM.
// Pure but for random numbers and the clock's hour; any thread.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace allot::client {

inline constexpr auto kAuthorityDays = std::chrono::hours(24 * 3650);
inline constexpr auto kCertificateDays = std::chrono::hours(24 * 365);

struct AuthorityPair {
  std::string certificate, key;
};
StatusOr<AuthorityPair> NewAuthority(const std::string& name);

// A new key with its certificate for `names` (host names and addresses), as a server and as a
// client: the certificate, the authority's, the key, in one text. Never good for longer than the
// authority. InvalidArgument: a name is none, or the two of the pair do not belong together.
StatusOr<std::string> IssueCertificate(const AuthorityPair& authority,
                                       const std::vector<std::string>& names,
                                       std::chrono::seconds good_for = kCertificateDays);

struct CertificateFacts {
  std::vector<std::string> names;
  std::string good_until;  // "2027-03-01 12:00 UTC"
};
// Of the first certificate in `pem`; FailedPrecondition: `authority` has not signed it.
StatusOr<CertificateFacts> FactsOf(const std::string& pem, const std::string& authority);

// `pem` is a certificate, and nothing else: written anew. InvalidArgument else.
StatusOr<std::string> OnlyCertificate(const std::string& pem);

}  // namespace allot::client
