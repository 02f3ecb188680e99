// Moments as people write them: "2027-01-31T18:00:00Z", always UTC. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/base/units.h"

namespace allot {

// To the second, rounded down: "2027-01-31T18:00:00Z".
std::string FormatUtc(Time time);
// That, or a date alone, which is its beginning. Absent: it is neither, or no day of the calendar.
std::optional<Time> ParseUtc(std::string_view text);

}  // namespace allot
