# Headers of others that nearly every file includes, compiled once a preset: half of the time of a build from scratch.
# Libraries and tests have one each, because programs are compiled with other options (-fPIE). Files still include what
# they use: tests/layout compiles every header alone, without these.
# A macro that changes these headers must be the same for all who use them.
add_compile_definitions(FMT_SHARED)
add_library(allot_precompiled STATIC cmake/precompiled.cc)
target_link_libraries(allot_precompiled PRIVATE absl::status absl::statusor absl::flat_hash_map allot_fmt)
set(ALLOT_PRECOMPILED
  <algorithm> <array> <atomic> <charconv> <chrono> <compare> <cstdint> <deque> <functional> <map> <memory> <mutex> <optional>
  <set> <span> <string> <string_view> <tuple> <utility> <variant> <vector>
  <absl/container/flat_hash_map.h> <absl/status/status.h> <absl/status/statusor.h> <fmt/format.h> <fmt/ranges.h>)
target_precompile_headers(allot_precompiled PRIVATE ${ALLOT_PRECOMPILED})

if(ALLOT_TESTS)
  add_executable(allot_precompiled_tests cmake/precompiled.cc)
  target_link_libraries(allot_precompiled_tests PRIVATE absl::status absl::statusor absl::flat_hash_map allot_fmt GTest::gtest_main)
  target_compile_options(allot_precompiled_tests PRIVATE ${ALLOT_TEST_OPTIONS})
  target_precompile_headers(allot_precompiled_tests PRIVATE ${ALLOT_PRECOMPILED} <gmock/gmock.h> <gtest/gtest.h>)
endif()
