#include "common/http/cors.h"

#include <algorithm>

#include "common/http/server.h"
#include "common/http/text.h"

namespace allot::http {
namespace {

// Header names and commas, as a preflight lists them.
bool IsList(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("!#$%&'*+-.^_`|~, ").find(c) != std::string_view::npos;
  });
}

}  // namespace

Status CheckOrigin(std::string_view origin) {
  if (origin == "*") return absl::OkStatus();
  const size_t scheme = origin.find("://");
  const std::string_view rest =
      scheme == std::string_view::npos ? std::string_view() : origin.substr(scheme + 3);
  const bool shaped =
      scheme != 0 && !rest.empty() && origin.size() <= 255 &&
      std::all_of(
          origin.begin(), origin.end(),
          [](char c) { return c > ' ' && c < 0x7f && !(c >= 'A' && c <= 'Z') && c != ','; }) &&
      rest.find_first_of("/*?#@") == std::string_view::npos;
  if (shaped) return absl::OkStatus();
  return InvalidArgument(
      "is \"{}\"; give an origin as browsers write it, in lower case and without a path "
      "(https://chat.example.com, http://localhost:3000), or \"*\" for all",
      origin);
}

Headers CorsHeaders(const std::vector<std::string>& origins, const Request& request,
                    std::string_view methods) {
  const std::string_view origin = origins.empty() ? std::string_view() : request.Header("origin");
  if (origin.empty()) return {};
  const auto allowed = std::find_if(origins.begin(), origins.end(), [&](const std::string& one) {
    return one == "*" || one == origin;
  });
  if (allowed == origins.end()) return {};
  Headers headers = {{"Access-Control-Allow-Origin", *allowed},
                     {"Access-Control-Expose-Headers", "*"}};
  // Else a cache would give one page the answer to another.
  if (*allowed != "*") headers.emplace_back("Vary", "Origin");
  if (request.method != "OPTIONS" || request.Header("access-control-request-method").empty())
    return headers;
  headers.emplace_back("Access-Control-Allow-Methods", methods);
  headers.emplace_back("Access-Control-Max-Age", "600");
  // By name: "*" would not stand for Authorization.
  const std::string_view wanted = request.Header("access-control-request-headers");
  if (!wanted.empty() && IsList(wanted))
    headers.emplace_back("Access-Control-Allow-Headers", wanted);
  return headers;
}

bool IsCorsHeader(std::string_view name) {
  constexpr std::string_view kPrefix = "access-control-";
  return name.size() > kPrefix.size() && EqualsIgnoreCase(name.substr(0, kPrefix.size()), kPrefix);
}

}  // namespace allot::http
