#include "common/base/entropy.h"

#include <sys/random.h>

#include "common/base/check.h"

namespace allot {

uint64_t UniqueNumber() {
  uint64_t number = 0;
  // So few bytes come whole or not at all, and not before the kernel has gathered enough.
  while (number == 0) CHECK(getrandom(&number, sizeof number, 0) == sizeof number);
  return number;
}

}  // namespace allot
