#include "common/base/loopback.h"

namespace allot {
namespace {

bool IsDigits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// One number of an IPv4 address: no leading zeros, which some readers take for octal.
bool IsOctet(std::string_view text) {
  if (!IsDigits(text) || text.size() > 3 || (text.size() > 1 && text[0] == '0')) return false;
  int value = 0;
  for (const char c : text) value = value * 10 + (c - '0');
  return value <= 255;
}

}  // namespace

bool IsLoopbackHost(std::string_view host) {
  if (host == "localhost" || host == "[::1]" || host == "::1") return true;
  int octets = 0;
  for (;; ++octets) {
    const size_t dot = host.find('.');
    const std::string_view octet = host.substr(0, dot);
    if (!IsOctet(octet) || (octets == 0 && octet != "127")) return false;
    if (dot == std::string_view::npos) return octets == 3;
    host.remove_prefix(dot + 1);
  }
}

bool IsLoopbackAuthority(std::string_view authority) {
  const size_t bracket = authority.rfind(']');
  const size_t colon = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
  if (colon == std::string_view::npos) return IsLoopbackHost(authority);
  return IsDigits(authority.substr(colon + 1)) && IsLoopbackHost(authority.substr(0, colon));
}

}  // namespace allot
