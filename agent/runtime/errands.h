// What may never return, kept off the loop: a look at a path that a user has named, which may lie
// on a file server that is gone, or at memory of a process, which may be backed by such a file.
//
// Each errand has a thread of its own, which is left behind if it hangs (no signal ends a thread
// that waits for a file system). A place that hangs is not asked without end: `kBusyMax` errands at
// a time, others of the same place wait for their turn as long as they have patience.
//
// One thread, the loop's; `work` runs on another and may only use what it owns. With the errands
// gone, `done` is not called any more, and what hangs hangs on. A thread that hangs holds none of
// our descriptors: neither the lock on the state folder nor a port outlives us in it.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "common/asio/timer.h"
#include "common/base/status.h"
#include "common/base/units.h"

namespace allot::agent {

class Errands {
 public:
  static constexpr int kBusyMax = 4;  // of one place

  explicit Errands(boost::asio::io_context& loop) : timer_(loop) {}

  // `done` gets what `work` returns, or DeadlineExceeded with `what` after `patience`. It is called
  // from the loop, once, never from inside Run.
  void Run(std::string place, std::string what, Duration patience, std::function<Status()> work,
           std::function<void(Status)> done);
  // As above, waiting here: before there is a loop.
  static Status Await(const std::string& what, Duration patience, std::function<Status()> work);

 private:
  using Clock = std::chrono::steady_clock;
  struct Outcome;
  struct Errand {
    std::string place, what;
    Clock::time_point until;
    std::function<Status()> work;            // until it is begun
    std::shared_ptr<const Outcome> outcome;  // since then
    std::function<void(Status)> done;
  };
  static std::shared_ptr<const Outcome> Begin(std::function<Status()> work);
  void Look();
  void Arm();
  // Threads of a place that have not come back, also those nobody waits for any more.
  int Busy(const std::string& place);

  std::list<Errand> errands_;
  std::map<std::string, std::list<std::shared_ptr<const Outcome>>> busy_;
  Duration pause_{};
  Timer timer_;
};

// Which mount a path lies on, by its text alone: nothing is asked of it. As the mounts were a
// second ago at the latest.
class MountNames {
 public:
  explicit MountNames(std::string mounts = "/proc/self/mounts") : file_(std::move(mounts)) {}
  std::string Of(const std::string& path);  // "/" if unknown

 private:
  const std::string file_;
  std::vector<std::string> points_;
  std::optional<std::chrono::steady_clock::time_point> read_;
};

}  // namespace allot::agent
