// Which web pages may read answers, by the Fetch standard (fetch.spec.whatwg.org, CORS protocol).
// Pure. Credentials of the browser's own (cookies) are never asked for: who calls has a token.
#pragma once

#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/http/headers.h"

namespace allot::http {

struct Request;

// An origin as browsers write it: "https://chat.example.com", "http://localhost:3000"; or "*".
Status CheckOrigin(std::string_view origin);

// What the answer to a request says to the browser, if it comes from a page of one of `origins`;
// more, where it asks whether a request of another kind may be sent (a preflight). `methods`:
// those that are served, as Allow has them.
Headers CorsHeaders(const std::vector<std::string>& origins, const Request& request,
                    std::string_view methods);
// A header of the above: what a model server says of its own pages is not for ours.
bool IsCorsHeader(std::string_view name);

}  // namespace allot::http
