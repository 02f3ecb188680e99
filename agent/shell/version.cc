#include "agent/shell/version.h"

namespace allot::agent {
const char* const kVersion = ALLOT_VERSION;
}
