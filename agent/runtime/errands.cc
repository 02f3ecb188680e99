#include "agent/runtime/errands.h"

#include <linux/close_range.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <sstream>
#include <system_error>
#include <vector>

#include "agent/runtime/files.h"
#include "common/base/thread.h"

namespace allot::agent {
namespace {

constexpr Duration kFirstPause = std::chrono::milliseconds(1),
                   kLongestPause = std::chrono::milliseconds(50);
constexpr auto kMountsKept = std::chrono::seconds(1);

// "/mnt/a\040b" of /proc/mounts.
std::string Unescaped(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                               (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace

// Shared with the thread, which may outlive everything else. Nothing in it needs a descriptor, so
// the loop looks instead of being woken.
struct Errands::Outcome {
  mutable std::mutex mutex;
  mutable std::condition_variable changed;
  bool over = false;
  Status status;
  bool IsOver() const {
    const std::lock_guard lock(mutex);
    return over;
  }
};

std::shared_ptr<const Errands::Outcome> Errands::Begin(std::function<Status()> work) {
  auto outcome = std::make_shared<Outcome>();
  const auto tell = [outcome](Status status) {
    {
      const std::lock_guard lock(outcome->mutex);
      outcome->status = std::move(status);
      outcome->over = true;
    }
    outcome->changed.notify_all();
  };
  try {
    StartThread([work = std::move(work), tell] {
      // A table of its own, and nothing in it.
      if (unshare(CLONE_FILES) == 0) syscall(SYS_close_range, 0U, ~0U, 0U);
      tell(work());
    }).detach();
  } catch (const std::system_error& error) {
    tell(ResourceExhausted("cannot start a thread: {}", error.what()));
  }
  return outcome;
}

Status Errands::Await(const std::string& what, Duration patience, std::function<Status()> work) {
  const auto outcome = Begin(std::move(work));
  std::unique_lock lock(outcome->mutex);
  if (outcome->changed.wait_for(lock, patience, [&] { return outcome->over; }))
    return outcome->status;
  return DeadlineExceeded("{}: no answer for {}", what, FormatDuration(patience));
}

int Errands::Busy(const std::string& place) {
  auto& threads = busy_[place];
  std::erase_if(threads, [](const auto& outcome) { return outcome->IsOver(); });
  const int busy = static_cast<int>(threads.size());
  if (busy == 0) busy_.erase(place);
  return busy;
}

void Errands::Run(std::string place, std::string what, Duration patience,
                  std::function<Status()> work, std::function<void(Status)> done) {
  Errand errand{std::move(place), std::move(what), Clock::now() + patience,
                std::move(work),  nullptr,         std::move(done)};
  if (Busy(errand.place) < kBusyMax) {
    errand.outcome = Begin(std::exchange(errand.work, nullptr));
    busy_[errand.place].push_back(errand.outcome);
  }
  errands_.push_back(std::move(errand));
  pause_ = kFirstPause;
  Arm();
}

void Errands::Arm() {
  if (errands_.empty()) return;
  timer_.After(pause_, [this] {
    pause_ = std::min(pause_ * 2, kLongestPause);
    Look();
    Arm();
  });
}

void Errands::Look() {
  const auto now = Clock::now();
  std::vector<std::pair<std::function<void(Status)>, Status>> over;
  for (auto it = errands_.begin(); it != errands_.end();) {
    if (it->outcome == nullptr && Busy(it->place) < kBusyMax) {
      it->outcome = Begin(std::exchange(it->work, nullptr));
      busy_[it->place].push_back(it->outcome);
      pause_ = kFirstPause;
    }
    if (it->outcome != nullptr && it->outcome->IsOver()) {
      over.emplace_back(std::move(it->done), it->outcome->status);
    } else if (now >= it->until) {
      over.emplace_back(
          std::move(it->done),
          DeadlineExceeded("{}: {}", it->what,
                           it->outcome != nullptr ? "no answer"
                                                  : fmt::format("{} looks at {} before it hang",
                                                                kBusyMax, it->place)));
    } else {
      ++it;
      continue;
    }
    it = errands_.erase(it);
  }
  for (auto& [done, status] : over) done(std::move(status));
}

std::string MountNames::Of(const std::string& path) {
  const auto now = std::chrono::steady_clock::now();
  if (!read_ || now - *read_ > kMountsKept) {
    read_ = now;
    points_.clear();
    const StatusOr<std::string> text = ReadWholeFile(file_);
    std::istringstream in(text.ok() ? *text : "");
    for (std::string line; std::getline(in, line);) {
      std::istringstream words(line);
      std::string device, point;
      if (words >> device >> point) points_.push_back(Unescaped(point));
    }
  }
  std::string best = "/";
  for (const std::string& point : points_) {
    const bool below =
        path.starts_with(point) && (path.size() == point.size() || path[point.size()] == '/');
    if (below && point.size() > best.size()) best = point;
  }
  return best;
}

}  // namespace allot::agent
