#include "common/base/address.h"

#include <arpa/inet.h>

#include <algorithm>

#include "common/base/loopback.h"

namespace allot {
namespace {

constexpr std::string_view kTcp = "tcp://", kTls = "https://";

std::string_view Bare(std::string_view host) {
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    return host.substr(1, host.size() - 2);
  return host;
}

}  // namespace

std::string JoinHostPort(std::string_view host, std::string_view port) {
  const bool brackets = host.find(':') != std::string_view::npos && !host.starts_with('[');
  return fmt::format("{}{}{}:{}", brackets ? "[" : "", host, brackets ? "]" : "", port);
}

std::string Address::Text() const { return scheme + JoinHostPort(host, port); }

std::optional<Address> ParseAddress(std::string_view text) {
  Address address;
  for (const std::string_view scheme : {kTcp, kTls}) {
    if (!text.starts_with(scheme)) continue;
    address.scheme = scheme;
    text.remove_prefix(scheme.size());
    break;
  }
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  const std::string_view host = text.substr(0, colon), port = text.substr(colon + 1);
  if (port.empty() || port.size() > 5 ||
      port.find_first_not_of("0123456789") != std::string_view::npos)
    return std::nullopt;
  if (Bare(host) == host && host.find(':') != std::string_view::npos) return std::nullopt;
  address.host = Bare(host);
  address.port = port;
  if (address.host.find_first_of("[]") != std::string::npos) return std::nullopt;
  return address;
}

std::string WithScheme(std::string_view endpoint) {
  return fmt::format("{}{}", endpoint.find("://") == std::string_view::npos ? kTcp : "", endpoint);
}

std::string WithTls(std::string address, bool tls) {
  return tls && !address.empty() ? fmt::format("{}{}", kTls, address) : address;
}

bool IsWildcardHost(std::string_view host) {
  host = PlainHost(Bare(host));
  if (host == "*" || host == "0.0.0.0" || host == "0") return true;
  in6_addr v6{};  // "::" has many spellings.
  return inet_pton(AF_INET6, std::string(host).c_str(), &v6) == 1 &&
         std::all_of(v6.s6_addr, v6.s6_addr + 16, [](uint8_t byte) { return byte == 0; });
}

bool IsWildcardAddress(std::string_view address) {
  const std::optional<Address> parsed = ParseAddress(address);
  return parsed && IsWildcardHost(parsed->host);
}

bool IsLoopbackAddress(std::string_view address) {
  const std::optional<Address> parsed = ParseAddress(address);
  return parsed && IsLoopbackHost(PlainHost(parsed->host));
}

std::string_view PlainHost(std::string_view host) {
  constexpr std::string_view kMapped = "::ffff:";
  if (host.starts_with(kMapped) && host.find('.') != std::string_view::npos)
    host.remove_prefix(kMapped.size());
  return host;
}

std::string Advertised(std::string_view bound, std::string_view advertise, std::string_view host) {
  if (!advertise.empty()) return std::string(advertise);
  std::optional<Address> address = ParseAddress(bound);
  if (!address || !IsWildcardHost(address->host) || host.empty()) return std::string(bound);
  address->host = Bare(host);
  return address->Text();
}

}  // namespace allot
