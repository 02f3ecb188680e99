#include "agent/runtime/scratch.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <system_error>

#include "agent/runtime/process_tree.h"
#include "common/base/logging.h"
#include "common/base/status.h"
#include "common/base/thread.h"

namespace allot::agent {
namespace {

// A disk may take long; what it holds up for longer is left to itself, and another thread begins.
constexpr Duration kPatience = std::chrono::minutes(1);
constexpr Bytes kBlock = 512;

}  // namespace

std::string WhyOver(const ScratchUse& use, const ScratchLimit& limit) {
  if (limit.bytes && use.bytes > *limit.bytes)
    return fmt::format("scratch is {} of the {} it may have", FormatBytes(use.bytes),
                       FormatBytes(*limit.bytes));
  if (limit.files && use.files > *limit.files)
    return fmt::format("scratch has more than the {} files it may have", *limit.files);
  if (limit.any() && use.too_deep)
    return fmt::format("scratch has folders nested more than {} deep, where nobody can measure it",
                       ScratchWalk::kDepthMax);
  return "";
}

ScratchWalk::ScratchWalk(const std::string& path) {
  const int folder = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  struct stat info;
  if (folder < 0 || fstat(folder, &info) != 0) {  // It is gone, and so is what was in it.
    if (folder >= 0) close(folder);
    return;
  }
  device_ = info.st_dev;
  Enter(folder);
}

ScratchWalk::~ScratchWalk() {
  for (DIR* folder : open_) closedir(folder);
}

void ScratchWalk::Enter(int folder) {
  if (DIR* listing = fdopendir(folder); listing != nullptr) {
    open_.push_back(listing);
  } else {
    close(folder);
  }
}

bool ScratchWalk::Go(uint64_t* budget) {
  while (!open_.empty()) {
    if (*budget == 0) return false;
    DIR* folder = open_.back();
    const dirent* entry = readdir(folder);
    if (entry == nullptr) {
      closedir(folder);
      open_.pop_back();
      continue;
    }
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    --*budget;
    struct stat info;
    if (fstatat(dirfd(folder), entry->d_name, &info, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0)
      continue;
    // A mount is another's: what is in it is not on this disk.
    if (info.st_dev != device_) continue;
    ++use_.files;
    if (S_ISDIR(info.st_mode)) {
      use_.bytes += info.st_blocks * kBlock;
      if (open_.size() >= kDepthMax) {
        use_.too_deep = true;
        continue;
      }
      const int inner = openat(dirfd(folder), entry->d_name,
                               O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
      if (inner >= 0) Enter(inner);
      continue;
    }
    if (info.st_nlink > 1 && !linked_.insert(info.st_ino).second) continue;
    use_.bytes += info.st_blocks * kBlock;
  }
  return true;
}

Bytes RemovedButOpen(const std::vector<int64_t>& pids, dev_t device, uint64_t* budget) {
  Bytes bytes = 0;
  absl::flat_hash_set<uint64_t> seen;
  for (const int64_t pid : pids) {
    DIR* fds = opendir(fmt::format("/proc/{}/fd", pid).c_str());
    if (fds == nullptr) continue;
    while (const dirent* entry = readdir(fds)) {
      if (*budget == 0) break;
      if (entry->d_name[0] == '.') continue;
      --*budget;
      // As known here, whatever file system it is of: one that does not answer is not asked.
      struct statx info;
      if (statx(dirfd(fds), entry->d_name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_BASIC_STATS,
                &info) != 0)
        continue;
      if (!S_ISREG(info.stx_mode) || info.stx_nlink != 0 ||
          makedev(info.stx_dev_major, info.stx_dev_minor) != device)
        continue;
      if (seen.insert(info.stx_ino).second) bytes += static_cast<Bytes>(info.stx_blocks) * kBlock;
    }
    closedir(fds);
  }
  return bytes;
}

// Works on a thread of its own, which may hang on a disk for ever: then it is left behind. What it
// has open is in a table of its own, so it holds nothing of ours, and walks end on that thread
// alone.
class ScratchMeter::Walker {
 public:
  Walker(std::string folder, const Options& options)
      : folder_(std::move(folder)), options_(options) {}

  static Status Start(const std::shared_ptr<Walker>& walker) {
    try {
      StartThread([walker] {
        if (unshare(CLONE_FILES) == 0) syscall(SYS_close_range, 0U, ~0U, 0U);
        walker->Work();
      }).detach();
    } catch (const std::system_error& error) {
      return ResourceExhausted("cannot start a thread: {}", error.what());
    }
    return absl::OkStatus();
  }

  // The loop's side. Gives it something to do, and takes what it has found since; false: it is not
  // through with what it was given.
  bool Exchange(std::vector<Job> jobs, std::vector<std::pair<ProcessId, ScratchUse>>* whole,
                std::vector<std::pair<ProcessId, std::string>>* over) {
    const std::lock_guard lock(mutex_);
    if (busy_) return false;
    whole->swap(whole_);
    over->swap(over_);
    whole_.clear();
    over_.clear();
    jobs_ = std::move(jobs);
    busy_ = true;
    changed_.notify_one();
    return true;
  }
  void Stop() {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    changed_.notify_one();
  }

 private:
  struct State {
    std::unique_ptr<ScratchWalk> walk;
    dev_t device = 0;
    Bytes removed = 0;
  };

  void Work() {
    for (;;) {
      std::vector<Job> jobs;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return busy_ || stop_; });
        if (stop_) break;
        jobs = std::move(jobs_);
      }
      Go(jobs);
      const std::lock_guard lock(mutex_);
      whole_.swap(found_whole_);
      over_.swap(found_over_);
      busy_ = false;
    }
    states_.clear();
  }

  void Go(const std::vector<Job>& jobs) {
    found_whole_.clear();
    found_over_.clear();
    std::map<ProcessId, State> kept;
    for (const Job& job : jobs)
      if (auto node = states_.extract(job.id); !node.empty()) kept.insert(std::move(node));
    states_ = std::move(kept);
    LookForRemoved(jobs);
    uint64_t budget = options_.entries_max;
    // From where the round before ran out on, so that each gets its turn.
    for (size_t i = 0; i < jobs.size() && budget > 0; ++i) {
      const size_t at = (first_ + i) % jobs.size();
      const Job& job = jobs[at];
      State& state = states_[job.id];
      if (state.walk == nullptr)
        state.walk = std::make_unique<ScratchWalk>(fmt::format("{}/{}", folder_, job.id));
      state.device = state.walk->device();
      const bool through = state.walk->Go(&budget);
      ScratchUse use = state.walk->use();
      use.bytes += state.removed;
      if (through) state.walk.reset();
      if (through) found_whole_.emplace_back(job.id, use);
      if (std::string why = WhyOver(use, job.limit); !why.empty())
        found_over_.emplace_back(job.id, std::move(why));
      if (budget == 0) {
        first_ = at + (through ? 1 : 0);
        return;
      }
    }
  }

  void LookForRemoved(const std::vector<Job>& jobs) {
    if (rounds_++ % options_.removed_every != 0) return;
    const ProcessTable table = ProcessTable::Look();
    uint64_t budget = options_.entries_max;
    for (const Job& job : jobs) {
      State& state = states_[job.id];
      if (!job.limit.bytes || job.supervisor <= 1 || state.device == 0) continue;
      state.removed = RemovedButOpen(table.DescendantsOf(job.supervisor), state.device, &budget);
    }
  }

  const std::string folder_;
  const Options options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool busy_ = false, stop_ = false;
  std::vector<Job> jobs_;
  std::vector<std::pair<ProcessId, ScratchUse>> whole_;
  std::vector<std::pair<ProcessId, std::string>> over_;
  // The thread's.
  std::vector<std::pair<ProcessId, ScratchUse>> found_whole_;
  std::vector<std::pair<ProcessId, std::string>> found_over_;
  std::map<ProcessId, State> states_;
  size_t first_ = 0;
  int rounds_ = 0;
};

ScratchMeter::ScratchMeter(boost::asio::io_context& loop, std::string folder,
                           std::function<int64_t(const ProcessId&)> supervisor_of, Over over)
    : ScratchMeter(loop, std::move(folder), std::move(supervisor_of), std::move(over), Options()) {}

ScratchMeter::ScratchMeter(boost::asio::io_context& loop, std::string folder,
                           std::function<int64_t(const ProcessId&)> supervisor_of, Over over,
                           Options options)
    : folder_(std::move(folder)),
      supervisor_of_(std::move(supervisor_of)),
      over_(std::move(over)),
      options_(options),
      timer_(loop) {}

ScratchMeter::~ScratchMeter() {
  if (walker_ != nullptr) walker_->Stop();
}

void ScratchMeter::Watch(const ProcessId& id, const ScratchLimit& limit) {
  if (!limit.any()) return;
  watched_[id] = {limit, std::nullopt};
  Arm();
}

void ScratchMeter::Forget(const ProcessId& id) { watched_.erase(id); }

Bytes ScratchMeter::total() const {
  Bytes total = 0;
  for (const auto& [id, watched] : watched_)
    if (watched.use) total += watched.use->bytes;
  return total;
}

void ScratchMeter::Arm() {
  if (watched_.empty() || std::exchange(armed_, true)) return;
  timer_.After(options_.every, [this] {
    armed_ = false;
    Measure();
    Arm();
  });
}

void ScratchMeter::Measure() {
  const auto now = std::chrono::steady_clock::now();
  if (walker_ == nullptr) {
    auto walker = std::make_shared<Walker>(folder_, options_);
    if (const Status started = Walker::Start(walker); !started.ok()) {
      SPDLOG_WARN("cannot measure scratch folders: {}", MessageOf(started));
      return;
    }
    walker_ = std::move(walker);
  }
  std::vector<Job> jobs;
  for (const auto& [id, watched] : watched_)
    jobs.push_back({id, watched.limit, supervisor_of_(id)});
  std::vector<std::pair<ProcessId, ScratchUse>> whole;
  std::vector<std::pair<ProcessId, std::string>> over;
  if (walker_->Exchange(std::move(jobs), &whole, &over)) {
    asked_ = now;
    return Told(whole, over);
  }
  if (now - asked_ < kPatience) return;
  SPDLOG_WARN("measuring {} has not ended for {}: does its disk answer?", folder_,
              FormatDuration(kPatience));
  walker_->Stop();
  walker_ = nullptr;
}

// What it calls may forget and watch. What was forgotten meanwhile is nobody's.
void ScratchMeter::Told(const std::vector<std::pair<ProcessId, ScratchUse>>& whole,
                        const std::vector<std::pair<ProcessId, std::string>>& over) {
  for (const auto& [id, use] : whole)
    if (const auto it = watched_.find(id); it != watched_.end()) it->second.use = use;
  for (const auto& [id, why] : over)
    if (watched_.contains(id)) over_(id, why);
}

}  // namespace allot::agent
