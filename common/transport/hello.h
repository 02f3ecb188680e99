// For which key of a server a HELLO of CURVE (RFC 26) is. Its box is sealed to the server's public
// key, so whoever has the secret one can tell. Internal to common/transport. Pure; any thread.
#pragma once

#include <string_view>

namespace allot::transport {

// `frame`: the whole command, 202 bytes with its head. False also where it is not whole.
bool IsHelloFor(std::string_view frame, std::string_view secret_key);

}  // namespace allot::transport
