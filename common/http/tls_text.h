// What people are told of certificates and of what OpenSSL says. Pure but for its error queue,
// which is the thread's.
#pragma once

#include <ctime>
#include <string>
#include <vector>

struct x509_st;  // OpenSSL's X509

namespace allot::http {

// The first error of this thread's queue, in OpenSSL's words and lower case; the queue is empty
// then.
std::string TlsReason();

std::time_t ExpiryOf(x509_st* certificate);  // seconds since 1970; 0 if it says nonsense
// Whom it is for: "head.example", "10.0.0.5". Bytes of others: not for a terminal as they are.
std::vector<std::string> NamesOf(x509_st* certificate);
std::string UtcText(std::time_t when);  // "2027-03-01 12:00 UTC"

}  // namespace allot::http
