// CHECK(condition): we were wrong. Crash, restart, replay. Never on input from outside.
#pragma once

namespace allot::internal {
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition);
}

#define CHECK(condition)                                                         \
  do {                                                                           \
    if (!(condition)) [[unlikely]]                                               \
      ::allot::internal::CheckFailed(__FILE__, __LINE__, #condition);            \
  } while (false)
