// Answers ReadLog: a piece of a process's output, now or as soon as there is more.
//
// A reader that asks to wait is held until bytes appear, the process has ended, or a few seconds
// have passed; then it asks again. Logs are looked at ten times a second while somebody waits, and
// never otherwise. Loop thread only.
#pragma once

#include <functional>
#include <list>

#include <boost/asio/io_context.hpp>

#include "agent/runtime/state_folder.h"
#include "agent/shell/work.h"
#include "common/asio/timer.h"
#include "common/proto/wire.pb.h"

namespace allot::agent {

class LogServer {
 public:
  using Answer = std::function<void(wire::LogChunk)>;
  // All outlive the server.
  LogServer(boost::asio::io_context& loop, const StateFolder& folder, const Work& work,
            Answer answer);
  void Read(const wire::ReadLog& question);
  // Nobody is there any more to hear the answers.
  void DropReaders() { waiting_.clear(); }
  size_t waiting() const { return waiting_.size(); }

 private:
  struct Waiting {
    wire::ReadLog question;
    std::chrono::steady_clock::time_point until;
  };
  // False: nothing to say yet.
  bool TryAnswer(const wire::ReadLog& question, bool last_chance);
  void Look();

  const StateFolder& folder_;
  const Work& work_;
  Answer answer_;
  std::list<Waiting> waiting_;
  bool looking_ = false;
  Timer timer_;
};

}  // namespace allot::agent
