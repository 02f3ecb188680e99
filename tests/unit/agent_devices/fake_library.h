// For libraries that look like vendors' from outside: how a test tells them what to do. Each fake
// includes it once and has its own of everything here.
#pragma once

#include <pthread.h>

#include <cstdlib>
#include <cstring>

namespace {

// Is the variable set to this mode?
[[maybe_unused]] bool IsSet(const char* variable, const char* mode) {
  const char* set = std::getenv(variable);
  return set != nullptr && std::strcmp(set, mode) == 0;
}

// Not std's: those have a destructor, which waits for whoever still hangs when the program ends.
pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t gate_opened = PTHREAD_COND_INITIALIZER;
bool gate_is_open = false;
int hanging = 0;

// A call that does not come back until the test lets it go.
[[maybe_unused]] void Hang() {
  pthread_mutex_lock(&gate);
  ++hanging;
  while (!gate_is_open) pthread_cond_wait(&gate_opened, &gate);
  --hanging;
  pthread_mutex_unlock(&gate);
}

}  // namespace

// For the test: how many calls hang now.
extern "C" int FakeHangs() {
  pthread_mutex_lock(&gate);
  const int now = hanging;
  pthread_mutex_unlock(&gate);
  return now;
}

// For the test, which finds it by its name. Nothing hangs afterwards, until the library is closed
// by all who have opened it.
extern "C" void FakeLetGo() {
  pthread_mutex_lock(&gate);
  gate_is_open = true;
  pthread_cond_broadcast(&gate_opened);
  pthread_mutex_unlock(&gate);
}
