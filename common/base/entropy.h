// Numbers that nobody can foresee and that come once: names that must differ from all that other
// lives of this or another program gave. Any thread. Simulations draw from common/base/rng.h instead.
#pragma once

#include <cstdint>

namespace allot {

uint64_t UniqueNumber();  // 64 bits from the kernel, never 0

}  // namespace allot
