#pragma once

namespace allot::scheduler {
extern const char* const kVersion;  // of the program: "0.1.0"
}  // namespace allot::scheduler
