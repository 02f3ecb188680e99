// No two devices may be shown by the same value or own the same node: a job on one would get the
// other. Where two claim it, some file is wrong, and neither has it.
#pragma once

#include "agent/devices/vendor.h"

namespace allot::agent {

// Takes what is claimed twice from all who claim it, and warns. Emulated devices are let be.
void SettleClaims(Discovery* discovery);

}  // namespace allot::agent
