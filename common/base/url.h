// http:// and https:// addresses of services, as people write them in config files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace allot {

// "https://api.example.com:8443/openai". Only what names a service: no user, query or fragment.
struct Url {
  bool secure = false;
  std::string host;  // in lower case, an IPv6 address without brackets
  uint16_t port = 0;
  std::string path;  // what stands before every path: "" or "/openai", no slash at its end

  // As a Host header says it: the port only if it is not the scheme's own.
  std::string Authority() const;
  bool operator==(const Url&) const = default;
};
std::string ToString(const Url& url);

// The message begins with what is wrong, for "KEY {}".
StatusOr<Url> ParseUrl(std::string_view text);

}  // namespace allot
