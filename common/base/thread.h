// Threads that no signal is handled on. The kernel hands a signal to any thread that takes it when
// the first one has another at hand, is stopped or traced; what that thread waits for then ends
// with EINTR, in libraries too. So the programs handle signals on the thread of main() alone.
#pragma once

#include <signal.h>

#include <thread>
#include <utility>

namespace allot {

// While it lives this thread takes no signal but those that it causes itself (SIGSEGV, …).
class SignalsBlocked {
 public:
  SignalsBlocked();
  ~SignalsBlocked();
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

// The only way the product starts a thread (tests/layout). Processes that such a thread starts must
// be given a mask of their own. Throws std::system_error.
template <typename Work>
std::thread StartThread(Work&& work) {
  const SignalsBlocked blocked;  // A thread begins with the mask of the one that starts it.
  return std::thread(std::forward<Work>(work));
}

}  // namespace allot
