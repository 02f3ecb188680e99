#include "agent/shell/fitness.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

namespace allot::agent {

namespace {

// As much as a record and more: a quota or a disk that is all but full takes an empty file.
Status TryToWrite(const std::string& folder) {
  const std::string path = FreshName(folder, ".probe");
  const Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd.valid()) return ErrnoStatus(errno, fmt::format("cannot create a file in {}", folder));
  const Status written = WriteAll(fd.get(), std::string(16 << 10, '\n'), path);
  unlink(path.c_str());
  return written;
}

}  // namespace

Fitness::Fitness(StateFolder& folder, std::string supervisor, Bytes disk_free_min,
                 std::function<std::string()> refusal)
    : folder_(folder),
      supervisor_(std::move(supervisor)),
      logs_(folder.path() + "/logs"),
      refusal_(std::move(refusal)),
      state_disk_(folder.path(), disk_free_min),
      log_disk_(logs_, disk_free_min) {}

bool Fitness::Look() {
  std::vector<std::string> unfit;
  // Somebody has emptied the folder, perhaps, and we can make it again.
  if (const Status made = folder_.MakeFolders(); !made.ok())
    unfit.push_back("state_dir: " + MessageOf(made));
  if (doubted_ && unfit.empty()) {
    // In the trash, where nobody takes it for something; logs may be on a disk of their own.
    Status tried = TryToWrite(folder_.path() + "/trash");
    if (tried.ok()) tried = TryToWrite(logs_);
    if (tried.ok()) {
      doubted_ = false;
    } else {
      unfit.push_back("state_dir: " + MessageOf(tried));
    }
  }
  const DiskFacts state = LookAtDisk(folder_.path()), logs = LookAtDisk(logs_);
  if (const std::string& why = state_disk_.Judge(state); !why.empty()) unfit.push_back(why);
  const std::string& logs_why = log_disk_.Judge(logs);
  if (!logs_why.empty() && logs.device != state.device) unfit.push_back(logs_why);
  short_of_room_ = !logs_why.empty();
  room_wanted_ = log_disk_.Wanted(logs);
  // An upgrade that failed half-way.
  if (access(supervisor_.c_str(), X_OK) != 0)
    unfit.push_back(fmt::format("supervisor: {} cannot be run: {}", supervisor_, strerror(errno)));
  if (std::string why = refusal_(); !why.empty()) unfit.push_back(std::move(why));
  if (unfit == unfit_) return false;
  unfit_ = std::move(unfit);
  return true;
}

}  // namespace allot::agent
