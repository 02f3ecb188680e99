// Which of our addresses others reach us by, where nobody has written it down. Asks the kernel's
// routing table; nothing is sent. Any thread.
#pragma once

#include <string>

#include "common/base/status.h"

namespace allot::program {

// The local address from which `endpoint` (tcp://HOST:PORT) is reached. Loopback means nothing to
// another machine, so for an endpoint on this very machine (127.0.0.1, or a name that is loopback
// here: "127.0.1.1 NAME", as Debian's installer leaves /etc/hosts) it is the address that
// OwnAddress() gives, and loopback only where the machine has no other. A name is looked up, which
// may take as long as the resolver likes; a numeric address is not. Unavailable: no such host, or
// no route to it.
StatusOr<std::string> AddressTowards(const std::string& endpoint);

// The address from which this machine reaches the world, or the first it has that is not loopback;
// its host name if it has none.
std::string OwnAddress();

}  // namespace allot::program
