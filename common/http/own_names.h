// Does a request mean us? A server on loopback that asks for no token, or that holds the owner's
// cluster, must not be spoken to by a web page that somebody on this machine has open: neither as
// another origin, nor by a name of its own that it had resolved to 127.0.0.1 (DNS rebinding). Pure.
#pragma once

#include <string>
#include <vector>

#include "common/base/status.h"

namespace allot::http {

struct Request;

// PermissionDenied where the Host header names another host than loopback, or the Origin header a
// page of one, unless that origin is among `origins` (cors.h).
Status CheckOwnNames(const Request& request, const std::vector<std::string>& origins);

}  // namespace allot::http
