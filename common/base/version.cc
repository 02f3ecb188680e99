#include "common/base/version.h"

namespace allot {
const char* const kVersion = ALLOT_VERSION;
}  // namespace allot
