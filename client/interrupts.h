// Ctrl-C while something is half done: noted, so that what was begun is taken back first.
#pragma once

#include <string>

namespace allot::client {

// Has Ctrl-C (or SIGTERM, SIGHUP) come since NoteInterrupts? Its number, else 0.
void NoteInterrupts();
int InterruptedBy();

// Says so and what became of it, for a command that ends Cancelled; the exit code is the signal's.
int Interrupted(const std::string& became);

}  // namespace allot::client
