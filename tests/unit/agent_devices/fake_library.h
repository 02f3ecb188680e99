// For libraries that look like vendors' from outside: how a test tells them what to do. Each fake
// includes it once and has its own of everything here.
#pragma once

#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <mutex>

namespace {

// Is the variable set to this mode?
[[maybe_unused]] bool IsSet(const char* variable, const char* mode) {
  const char* set = std::getenv(variable);
  return set != nullptr && std::strcmp(set, mode) == 0;
}

struct Gate {
  std::mutex mutex;
  std::condition_variable changed;
  bool open = false;
};
Gate gate;

// A call that does not come back until the test lets it go.
[[maybe_unused]] void Hang() {
  std::unique_lock lock(gate.mutex);
  gate.changed.wait(lock, [] { return gate.open; });
  gate.open = false;  // The next one hangs again.
}

}  // namespace

// For the test, which finds it by its name.
extern "C" void FakeLetGo() {
  const std::lock_guard lock(gate.mutex);
  gate.open = true;
  gate.changed.notify_all();
}
