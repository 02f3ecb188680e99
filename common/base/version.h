#pragma once

namespace allot {
extern const char* const kVersion;  // of all programs: "0.1.0"
}  // namespace allot
