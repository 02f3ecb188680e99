// From a host to addresses, for programs whose C library is linked into them (ADR 14).
//
// What a name means is for the machine to say (nsswitch.conf: files, DNS, mDNS, containers), by
// modules that only a C library which is loaded can load. So for names getent(1), which comes with
// every C library, is asked; an address and "localhost" need nobody. Blocks, as lookups do.
#pragma once

#include <string>
#include <vector>

#include "common/base/status.h"

namespace allot::http {

// Addresses in the order in which they are to be tried; never empty. NotFound: nobody knows it;
// the message fits behind a colon.
StatusOr<std::vector<std::string>> Lookup(const std::string& host);

}  // namespace allot::http
