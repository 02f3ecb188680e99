#include "common/base/url.h"

#include "common/base/printable.h"

#include <algorithm>
#include <charconv>

namespace allot {
namespace {

constexpr std::string_view kPlain = "http://", kSecure = "https://";

// In lower case; empty if it holds anything but `allowed`.
std::string Lower(std::string_view text, std::string_view allowed) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    if (allowed.find(c) == std::string_view::npos) return "";
  }
  return lower;
}

}  // namespace

std::string Url::Authority() const {
  const std::string name = host.find(':') == std::string::npos ? host : "[" + host + "]";
  return port == (secure ? 443 : 80) ? name : fmt::format("{}:{}", name, port);
}

std::string ToString(const Url& url) {
  return fmt::format("{}{}{}", url.secure ? kSecure : kPlain, url.Authority(), url.path);
}

StatusOr<Url> ParseUrl(std::string_view text) {
  const auto wrong = [text](std::string_view why) {
    return InvalidArgument("is \"{}\"; {}", Shown(text, 200), why);
  };
  Url url;
  std::string_view rest = text;
  url.secure = rest.starts_with(kSecure);
  if (!url.secure && !rest.starts_with(kPlain))
    return wrong("write it like https://host or http://host:8000");
  rest.remove_prefix(url.secure ? kSecure.size() : kPlain.size());
  const bool printable = std::all_of(rest.begin(), rest.end(), [](char c) {
    return static_cast<unsigned char>(c) > 0x20 && static_cast<unsigned char>(c) < 0x7f;
  });
  if (!printable || rest.find_first_of("?#\\\"<>") != std::string_view::npos)
    return wrong("an address has no blanks, query or fragment here");
  const size_t slash = rest.find('/');
  std::string_view authority = rest.substr(0, slash);
  if (slash != std::string_view::npos) url.path = rest.substr(slash);
  while (url.path.ends_with('/')) url.path.pop_back();
  if (authority.find('@') != std::string_view::npos)
    return InvalidArgument("names a user; put a token into a file of its own");

  url.port = url.secure ? 443 : 80;
  size_t colon = authority.rfind(':');
  const bool bracketed = authority.starts_with('[');
  if (bracketed) {
    const size_t end = authority.find(']');
    if (end == std::string_view::npos) return wrong("a bracket is open");
    url.host = Lower(authority.substr(1, end - 1), "0123456789abcdef:.");
    if (url.host.empty() || (end + 1 != authority.size() && authority[end + 1] != ':'))
      return wrong("in brackets goes an IPv6 address, then :PORT");
    colon = end + 1 == authority.size() ? std::string_view::npos : end + 1;
  } else {
    url.host = Lower(authority.substr(0, colon), "abcdefghijklmnopqrstuvwxyz0123456789.-_");
    if (url.host.empty()) return wrong("the host is not a name or an address");
  }
  if (colon != std::string_view::npos) {
    const std::string_view digits = authority.substr(colon + 1);
    const char* end = digits.data() + digits.size();
    const auto [stop, error] = std::from_chars(digits.data(), end, url.port);
    if (error != std::errc() || stop != end || url.port == 0)
      return wrong("a port is a number from 1 to 65535");
  }
  return url;
}

}  // namespace allot
