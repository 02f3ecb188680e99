// What each process keeps in its scratch folder, measured every second where that has a limit.
//
// Counted is what it takes of the disk (blocks, so that a sparse file counts what it has; a file of
// several names once), with what was removed and is still held open, and how many files and folders
// there are. Not counted: what was removed, closed and is still mapped; what lies elsewhere. Where
// we are not root a folder that nobody may enter hides what is in it.
//
// The work is bounded: so many entries a second for all processes together, on a thread of its own,
// each walk going on where the one before stopped; so a folder of a million files is known a minute
// later than one of a thousand. What is over its limit is told as soon as that is certain. No link
// is followed, no mount entered, nothing waited for, and memory and descriptors depend on the depth
// alone, which is limited too.
#pragma once

#include <dirent.h>
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "agent/core/events.h"
#include "common/asio/timer.h"

namespace allot::agent {

struct ScratchUse {
  Bytes bytes = 0;
  uint64_t files = 0;     // and folders
  bool too_deep = false;  // folders are nested so that nobody can say what is in them
};

struct ScratchLimit {
  std::optional<Bytes> bytes;
  std::optional<uint64_t> files;
  bool any() const { return bytes || files; }
};
// "scratch is 12 GiB of the 10 GiB it may have"; empty: it is within.
std::string WhyOver(const ScratchUse& use, const ScratchLimit& limit);

// One walk through a folder, in as many steps as it takes. Any one thread at a time.
class ScratchWalk {
 public:
  static constexpr size_t kDepthMax = 128;

  explicit ScratchWalk(const std::string& path);
  ~ScratchWalk();
  ScratchWalk(const ScratchWalk&) = delete;
  ScratchWalk& operator=(const ScratchWalk&) = delete;

  // Looks at `budget` entries at most, and takes those from it. True: it is through.
  bool Go(uint64_t* budget);
  const ScratchUse& use() const { return use_; }  // of what was seen so far
  dev_t device() const { return device_; }

 private:
  void Enter(int folder);

  ScratchUse use_;
  dev_t device_ = 0;
  std::vector<DIR*> open_;                // from the folder itself to where it is
  absl::flat_hash_set<uint64_t> linked_;  // inodes of several names
};

// What these processes hold open of files on the device that have no name any more. Looks at
// `budget` descriptors at most.
Bytes RemovedButOpen(const std::vector<int64_t>& pids, dev_t device, uint64_t* budget);

// The loop's thread.
class ScratchMeter {
 public:
  // Called from the loop, again and again as long as it is true.
  using Over = std::function<void(const ProcessId&, const std::string& why)>;
  struct Options {
    Duration every = std::chrono::seconds(1);
    uint64_t entries_max = 20'000;  // of all processes, each time
    int removed_every = 5;          // times: what is removed and open takes a look at all of /proc
  };

  // `folder`: of all scratch folders. `supervisor_of`: 0 if unknown.
  ScratchMeter(boost::asio::io_context& loop, std::string folder,
               std::function<int64_t(const ProcessId&)> supervisor_of, Over over);
  ScratchMeter(boost::asio::io_context& loop, std::string folder,
               std::function<int64_t(const ProcessId&)> supervisor_of, Over over, Options options);
  ~ScratchMeter();

  void Watch(const ProcessId& id, const ScratchLimit& limit);
  void Forget(const ProcessId& id);
  Bytes total() const;  // of those that are watched, as measured last

 private:
  struct Watched {
    ScratchLimit limit;
    std::optional<ScratchUse> use;  // of the last walk that went through
  };
  struct Job {
    ProcessId id;
    ScratchLimit limit;
    int64_t supervisor = 0;
  };
  class Walker;
  void Arm();
  void Measure();
  void Told(const std::vector<std::pair<ProcessId, ScratchUse>>& whole,
            const std::vector<std::pair<ProcessId, std::string>>& over);

  const std::string folder_;
  const std::function<int64_t(const ProcessId&)> supervisor_of_;
  const Over over_;
  const Options options_;
  std::map<ProcessId, Watched> watched_;
  std::shared_ptr<Walker> walker_;
  std::chrono::steady_clock::time_point asked_;  // when it was given something to do
  bool armed_ = false;
  Timer timer_;
};

}  // namespace allot::agent
