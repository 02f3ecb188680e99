#pragma once

namespace allot::agent {
extern const char* const kVersion;  // of the program: "0.1.0"
}
