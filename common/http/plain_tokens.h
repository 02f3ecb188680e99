// May a token travel on this connection? Pure.
//
// In the clear only where it does not leave the machine: both ends are loopback addresses. What
// headers say of who asks, or of how a proxy was asked, is not believed. A proxy that speaks TLS
// stands on this machine then, and comes by loopback.
#pragma once

#include <string_view>

namespace allot::http {

// Addresses as text, without ports: "127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.5".
bool StaysOnThisMachine(std::string_view one_end, std::string_view other_end);

}  // namespace allot::http
