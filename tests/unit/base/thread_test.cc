#include "common/base/thread.h"

#include <signal.h>

#include "gtest/gtest.h"

namespace allot {
namespace {

bool Takes(int signal) {
  sigset_t blocked;
  pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  return sigismember(&blocked, signal) == 0;
}

TEST(Threads, TakeNoSignalAndTheirStarterTakesThemStill) {
  bool some = true, own = false;
  StartThread([&] {
    some = Takes(SIGTERM) || Takes(SIGINT) || Takes(SIGHUP) || Takes(SIGCHLD) || Takes(SIGUSR1);
    own = Takes(SIGSEGV) && Takes(SIGBUS) && Takes(SIGABRT);  // A sanitizer's report needs them.
  }).join();
  EXPECT_FALSE(some);
  EXPECT_TRUE(own);
  EXPECT_TRUE(Takes(SIGTERM) && Takes(SIGHUP));
}

}  // namespace
}  // namespace allot
