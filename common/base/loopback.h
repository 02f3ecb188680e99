// Which names of hosts can only mean this machine.
#pragma once

#include <string_view>

namespace allot {

// "localhost", "[::1]", "::1", or an IPv4 address of 127.0.0.0/8 written as four numbers. Nothing
// else that begins with "127.": 127.evil.example is somebody's domain, and resolves to what its
// owner likes.
bool IsLoopbackHost(std::string_view host);

// The same of "HOST" or "HOST:PORT", as in the headers Host and (behind "://") Origin.
bool IsLoopbackAuthority(std::string_view authority);

}  // namespace allot
