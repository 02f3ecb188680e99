#include "client/interrupts.h"

#include <signal.h>

#include "client/session.h"

namespace allot::client {
namespace {

volatile sig_atomic_t interrupted_by = 0;

}  // namespace

void NoteInterrupts() {
  struct sigaction action {};
  action.sa_handler = [](int signal) { interrupted_by = signal; };
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaction(signal, &action, nullptr);
}

int InterruptedBy() { return interrupted_by; }

int Interrupted(const std::string& became) {
  Say("allot: interrupted; " + became);
  return 128 + InterruptedBy();
}

}  // namespace allot::client
