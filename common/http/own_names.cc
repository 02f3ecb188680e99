#include "common/http/own_names.h"

#include <algorithm>

#include "common/base/loopback.h"
#include "common/http/server.h"

namespace allot::http {

Status CheckOwnNames(const Request& request, const std::vector<std::string>& origins) {
  const std::string_view host = request.Header("host"), origin = request.Header("origin");
  if (!host.empty() && !IsLoopbackAuthority(host)) {
    return PermissionDenied("a local cluster answers only to 127.0.0.1 and localhost, not to {}",
                            host);
  }
  const bool allowed =
      origin.empty() || std::any_of(origins.begin(), origins.end(), [&](const std::string& one) {
        return one == "*" || one == origin;
      });
  if (allowed) return absl::OkStatus();
  const size_t at = origin.find("://");
  if (at != std::string_view::npos && IsLoopbackAuthority(origin.substr(at + 3)))
    return absl::OkStatus();
  return PermissionDenied("a local cluster takes no requests from web pages of {}", origin);
}

}  // namespace allot::http
