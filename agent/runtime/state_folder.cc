#include "agent/runtime/state_folder.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <functional>
#include <thread>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/runtime/strays.h"
#include "common/base/shown.h"
#include "common/base/thread.h"

namespace allot::agent {
namespace {

namespace fs = std::filesystem;

StatusOr<std::string> ReadOrMakeInstance(const std::string& path) {
  StatusOr<std::string> content = ReadWholeFile(path, 4096);
  if (content.ok() && content->size() >= 32) return content->substr(0, 32);
  if (!content.ok() && !absl::IsNotFound(content.status())) return content.status();
  unsigned char bytes[16];
  if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
    return ErrnoStatus(errno, "cannot get random numbers");
  std::string instance;
  for (const unsigned char byte : bytes) instance += fmt::format("{:02x}", byte);
  RETURN_IF_ERROR(ReplaceFile(path, instance + "\n"));
  return instance;
}

// In place, so without room; `text` is not shorter than what is there.
Status Overwrite(const std::string& path, const std::string& text) {
  const Fd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, fmt::format("cannot open {}", path));
  RETURN_IF_ERROR(WriteAll(fd.get(), text, path));
  if (fsync(fd.get()) != 0) return ErrnoStatus(errno, fmt::format("cannot sync {}", path));
  return absl::OkStatus();
}

StatusOr<uint64_t> CountBoot(const std::string& path) {
  StatusOr<std::string> content = ReadWholeFile(path, 4096);
  if (!content.ok() && !absl::IsNotFound(content.status())) return content.status();
  uint64_t boot = 0;
  if (content.ok()) {
    const auto [end, error] =
        std::from_chars(content->data(), content->data() + content->size(), boot);
    if (error != std::errc())
      return FailedPrecondition(
          "{} does not hold a number; if this state folder is of no use any more, remove it as a "
          "whole and the node starts as a new instance",
          path);
  }
  const std::string next = fmt::format("{}\n", boot + 1);
  Status kept = ReplaceFile(path, next);
  // A disk that is full is no reason not to look after what runs: the old file has a block.
  if (absl::IsResourceExhausted(kept) && content.ok()) kept = Overwrite(path, next);
  RETURN_IF_ERROR(kept);
  return boot + 1;
}

// Letters, digits and dashes; anything else is not a boot id, and none is known.
std::string ReadBootId(const std::string& path) {
  const StatusOr<std::string> content = ReadWholeFile(path, 4096);
  if (!content.ok()) return "";
  const std::string id = content->substr(0, content->find_first_of(" \r\n"));
  const bool plain = std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
  });
  return plain && id.size() <= 64 ? id : "";
}

// A record without a boot id was written by an agent that kept none; there the clock has to do.
bool OfEarlierBoot(const ProcessRecord& record, const std::string& boot_id, Time written) {
  if (!record.boot_id.empty() && !boot_id.empty()) return record.boot_id != boot_id;
  constexpr Duration kClockTolerance = std::chrono::seconds(2);
  return (record.running ? record.running->at : written) < MachineStarted() - kClockTolerance;
}

}  // namespace

// Runs one task at a time on a thread; what is asked for while it runs is dropped, since every
// task here is of the kind that comes again.
class StateFolder::Janitor {
 public:
  ~Janitor() {
    if (thread_.joinable()) thread_.join();
  }
  void Start(std::function<void()> work) {
    if (busy_.exchange(true)) return;
    if (thread_.joinable()) thread_.join();
    thread_ = StartThread([this, work = std::move(work)] {
      work();
      busy_ = false;
    });
  }

 private:
  std::atomic<bool> busy_{false};
  std::thread thread_;
};

StateFolder::StateFolder(std::string path, Fd lock)
    : path_(std::move(path)), lock_(std::move(lock)), janitor_(std::make_unique<Janitor>()) {}
StateFolder::~StateFolder() = default;

Status StateFolder::MakeFolders() const {
  RETURN_IF_ERROR(MakeFolder(path_));
  for (const char* folder : {"processes", "scratch", "logs", "garbage", "trash"})
    RETURN_IF_ERROR(MakeFolder(fmt::format("{}/{}", path_, folder)));
  return absl::OkStatus();
}

StatusOr<std::unique_ptr<StateFolder>> StateFolder::Open(const std::string& path,
                                                         const std::string& boot_id_file) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return ErrnoStatus(error.value(), fmt::format("cannot create the state_dir {}", path));
  const std::string absolute = fs::absolute(path, error).lexically_normal().string();
  const std::string lock_path = absolute + "/lock";
  Fd lock(open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640));
  if (!lock.valid()) return ErrnoStatus(errno, fmt::format("cannot open {}", lock_path));
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    const StatusOr<std::string> holder = ReadWholeFile(lock_path, 4096);
    return FailedPrecondition(
        "state_dir {} is in use by another agent (pid {}); give each agent a folder of its own, or "
        "stop that one",
        absolute,
        holder.ok() && !holder->empty() ? holder->substr(0, holder->find('\n')) : "unknown");
  }
  (void)!ftruncate(lock.get(), 0);
  // Whose it is, is for people: the lock does not hang on it, nor on room for it.
  (void)WriteAll(lock.get(), fmt::format("{}\n", getpid()), lock_path);
  std::unique_ptr<StateFolder> state(new StateFolder(absolute, std::move(lock)));
  RETURN_IF_ERROR(state->MakeFolders());
  state->boot_id_ = ReadBootId(boot_id_file);
  ASSIGN_OR_RETURN(state->instance_, ReadOrMakeInstance(absolute + "/instance"));
  ASSIGN_OR_RETURN(state->boot_, CountBoot(absolute + "/boot"));
  std::error_code ignored;
  if (!fs::is_empty(absolute + "/trash", ignored))
    state->janitor_->Start([trash = absolute + "/trash"] { EmptyFolder(trash); });
  return state;
}

StateFolder::Scan StateFolder::ScanProcesses() {
  Scan scan;
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(path_ + "/processes", error), end; !error && it != end;
       it.increment(error))
    names.push_back(it->path().filename().string());
  if (error)
    scan.warnings.push_back(fmt::format("cannot list {}/processes: {}", path_, error.message()));
  std::sort(names.begin(), names.end());
  scan.names = names;

  for (const std::string& name : names) {
    FoundProcess found;
    found.id = name;
    const std::string path = RecordOf(name);
    Status problem = absl::OkStatus();
    // The lock first, the lines second: a supervisor that ends in between has written its exit.
    const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (fd.valid() && flock(fd.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK)
      found.alive = true;
    StatusOr<std::string> content = ReadWholeFile(path);
    if (!content.ok()) {
      problem = content.status();
    } else if (StatusOr<ProcessRecord> record = ParseRecord(*content); !record.ok()) {
      problem = record.status();
    } else {
      found.record = *std::move(record);
      struct stat info {};
      const bool dated = fd.valid() && fstat(fd.get(), &info) == 0;
      found.earlier_boot =
          !found.alive &&
          OfEarlierBoot(found.record, boot_id_,
                        dated ? FromMicros(info.st_mtim.tv_sec * 1'000'000) : Time::max());
      const auto* task = std::get_if<StartTask>(&found.record.launch.what);
      const auto* replica = std::get_if<StartReplica>(&found.record.launch.what);
      const auto named = ReplicaOfProcess(name);
      if (task != nullptr ? name != ProcessOf(task->key) : !named || named->id != replica->id)
        problem = InvalidArgument("its name does not fit its content");
    }
    if (!problem.ok()) {
      const std::string aside = fmt::format("{}/garbage/{}.{}", path_, name, boot_);
      const bool moved = rename(path.c_str(), aside.c_str()) == 0;
      // Whoever put it there chose its name.
      scan.warnings.push_back(Shown(
          fmt::format("{} cannot be used ({}); {} {}", path, MessageOf(problem),
                      moved ? "moved to" : "could not be moved to", aside),
          4096));
    } else if (!found.alive && !found.record.started) {
      Remove(name);
    } else {
      scan.processes.push_back(std::move(found));
    }
  }
  return scan;
}

void StateFolder::Remove(const ProcessId& id) {
  unlink(RecordOf(id).c_str());
  struct stat info {};
  const std::string log = LogOf(id);
  if (stat(log.c_str(), &info) == 0 && info.st_size == 0) unlink(log.c_str());

  const std::string scratch = ScratchOf(id);
  if (rmdir(scratch.c_str()) == 0 || errno == ENOENT) return;
  unlink((scratch + "/.allot-progress").c_str());  // The usual content; the rest may be large.
  if (rmdir(scratch.c_str()) == 0) return;
  const std::string trash = path_ + "/trash";
  if (rename(scratch.c_str(), fmt::format("{}/{}", trash, id).c_str()) == 0)
    janitor_->Start([trash] { EmptyFolder(trash); });
}

void StateFolder::SweepLogs(const LogLimits& limits) {
  janitor_->Start(
      [logs = path_ + "/logs", processes = path_ + "/processes", trash = path_ + "/trash", limits] {
        EmptyFolder(trash);
        SweepLogFolder(logs, processes, limits);
      });
}

}  // namespace allot::agent
