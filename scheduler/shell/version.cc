#include "scheduler/shell/version.h"

namespace allot::scheduler {
const char* const kVersion = ALLOT_VERSION;
}  // namespace allot::scheduler
