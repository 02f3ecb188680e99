// How many files, sockets among them, a program may have open.
#pragma once

#include <cstdint>

namespace allot {

// To what the system allows us at most: thousands of peers are thousands of sockets. Once, at
// start-up, before other threads. A limit that cannot be raised is logged and left.
void RaiseFileLimit();

// What it was before, for programs we start: what uses select() breaks beyond 1024.
uint64_t FileLimitBeforeRaise();

}  // namespace allot
