// What libFuzzer calls: the one target that this program was linked with. A target that reads much
// from outside logs; a million lines a minute are nobody's.
#include <cstddef>
#include <cstdint>

#include "spdlog/spdlog.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  spdlog::set_level(spdlog::level::off);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  allot::fuzz::Targets().front().run({reinterpret_cast<const char*>(data), size});
  return 0;
}
