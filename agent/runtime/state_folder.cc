#include "agent/runtime/state_folder.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <functional>
#include <thread>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent/runtime/beneath.h"
#include "agent/runtime/process_tree.h"
#include "agent/runtime/trash.h"
#include "common/base/printable.h"
#include "common/base/thread.h"

namespace allot::agent {
namespace {

namespace fs = std::filesystem;

// People whose work runs here go through the first to what is theirs, and see nothing on the way.
struct Folder {
  const char* name;
  int mode;
};
constexpr Folder kFolders[] = {{"", 0711},           {"/scratch", 0711}, {"/checkpoints", 0711},
                               {"/processes", 0700}, {"/logs", 0700},    {"/garbage", 0700},
                               {"/trash", 0700}};
constexpr size_t kRecordBytesMax = 16 << 20;
constexpr int kMountsMax = 100;  // on top of each other

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

StatusOr<Fd> OpenLock(const std::string& path) {
  Fd lock(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0640));
  if (!lock.valid()) return ErrnoStatus(errno, fmt::format("cannot open {}", path));
  return lock;
}

// A copy of a file has another number and was born later; one that was renamed, with its folder or
// without, has not. Empty where the file system does not keep both for good.
std::string HomeOf(int lock) {
  struct statx info {};
  if (statx(lock, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &info) != 0 ||
      (info.stx_mask & STATX_INO) == 0 || (info.stx_mask & STATX_BTIME) == 0)
    return "";
  return fmt::format("{} {}.{:09}\n", info.stx_ino, info.stx_btime.tv_sec, info.stx_btime.tv_nsec);
}

// Two agents on one state are one instance to the scheduler: each takes the other's place, and is
// told to do the other's work.
Status CheckHome(const std::string& state_dir, const std::string& home) {
  const std::string path = state_dir + "/home";
  const StatusOr<std::string> written = ReadWholeFile(path, 4096);
  if (home.empty() || (written.ok() && *written == home)) return absl::OkStatus();
  if (written.ok() && !written->empty())
    return FailedPrecondition(
        "state_dir {0} is a copy of another agent's: to the scheduler both would be one node. For "
        "a "
        "node of its own, remove everything in it; if it was moved or restored and no agent will "
        "ever use the original again, remove {0}/home alone",
        state_dir);
  if (!written.ok() && !absl::IsNotFound(written.status())) return written.status();
  (void)ReplaceFile(path, home);  // A full disk is no reason not to look after what runs.
  return absl::OkStatus();
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
    : path_(std::move(path)),
      lock_(std::move(lock)),
      sweeper_(std::make_unique<Janitor>()),
      emptier_(std::make_unique<Janitor>()) {}
StateFolder::~StateFolder() = default;

Status StateFolder::MakeAllFolders() {
  for (const Folder& folder : kFolders)
    RETURN_IF_ERROR(MakeFolder(path_ + folder.name, folder.mode));
  return absl::OkStatus();
}

// An earlier build made them for our group to read, and packages made the first for us alone. One
// that somebody has put elsewhere by a link is his to open.
void StateFolder::SetModes() const {
  for (const Folder& folder : kFolders) {
    const int links = *folder.name == '\0' ? 0 : O_NOFOLLOW;
    const Fd fd(open((path_ + folder.name).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | links));
    if (fd.valid()) (void)!fchmod(fd.get(), static_cast<mode_t>(folder.mode));
  }
}

// With the folder went its lock: another agent may take what stands there now, and an agent after
// us would be another instance.
Status StateFolder::TakeAgain() {
  const std::string path = path_ + "/lock";
  struct stat held {
  }, named{};
  if (fstat(lock_.get(), &held) == 0 && lstat(path.c_str(), &named) == 0 &&
      held.st_ino == named.st_ino && held.st_dev == named.st_dev)
    return absl::OkStatus();
  ASSIGN_OR_RETURN(Fd lock, OpenLock(path));
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0)
    return FailedPrecondition(
        "{} was removed under this agent (pid {}), and another has taken its place; stop one of "
        "the "
        "two, and give each a folder of its own",
        path_, getpid());
  RETURN_IF_ERROR(ReplaceFile(path_ + "/instance", instance_ + "\n"));
  RETURN_IF_ERROR(ReplaceFile(path_ + "/boot", fmt::format("{}\n", boot_)));
  (void)WriteAll(lock.get(), fmt::format("{}\n", getpid()), path);
  (void)ReplaceFile(path_ + "/home", HomeOf(lock.get()));
  lock_ = std::move(lock);
  return absl::OkStatus();
}

Status StateFolder::MakeFolders() {
  RETURN_IF_ERROR(MakeAllFolders());
  return TakeAgain();
}

Status StateFolder::MakeScratch(const ProcessId& id, const std::optional<ScratchMemory>& memory) {
  const std::string path = ScratchOf(id);
  bool made = mkdir(path.c_str(), 0700) == 0;
  if (!made && errno == EEXIST) {
    Discard(path);
    made = mkdir(path.c_str(), 0700) == 0;
  }
  if (!made) return ErrnoStatus(errno, fmt::format("cannot create the folder {}", path));
  if (!memory) return absl::OkStatus();
  // 0: any number of files.
  const std::string size =
      fmt::format("mode=0700,size={},nr_inodes={}", memory->bytes, memory->files.value_or(0));
  if (mount("tmpfs", path.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, size.c_str()) == 0)
    return absl::OkStatus();
  return ErrnoStatus(errno, fmt::format("cannot mount a tmpfs on {}", path));
}

StateFolder::Place StateFolder::InScratch(const ProcessId& id, std::string_view name) const {
  const std::string own = ScratchOf(id);
  // Another mount than that of the state folder is entered only where it is one of ours: who is not
  // root cannot exchange it, nor what it stands in.
  struct statfs info {};
  if (geteuid() == 0 && statfs(own.c_str(), &info) == 0 && info.f_type == TMPFS_MAGIC)
    return {own, std::string(name)};
  return {ScratchFolder(), fmt::format("{}/{}", id, name)};
}

StatusOr<std::string> StateFolder::MakeCheckpointFolder(const std::string& job, bool* empty) {
  const std::string parent = path_ + "/checkpoints";
  Status made = MakeFolder(parent, 0711);
  const std::string path = fmt::format("{}/{}", parent, job);
  if (made.ok() && mkdir(path.c_str(), 0750) != 0 && errno != EEXIST)
    made = ErrnoStatus(errno, fmt::format("cannot create the checkpoint folder {}", path));
  RETURN_IF_ERROR(made);
  ASSIGN_OR_RETURN(Fd folder, OpenFolderBeneath(parent, job));
  *empty = IsEmptyFolder(std::move(folder));
  return path;
}

StatusOr<std::unique_ptr<StateFolder>> StateFolder::Open(const std::string& path,
                                                         const std::string& boot_id_file) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return ErrnoStatus(error.value(), fmt::format("cannot create the state_dir {}", path));
  const std::string absolute = fs::absolute(path, error).lexically_normal().string();
  const std::string lock_path = absolute + "/lock";
  ASSIGN_OR_RETURN(Fd lock, OpenLock(lock_path));
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    const StatusOr<std::string> holder = ReadWholeFile(lock_path, 4096);
    return FailedPrecondition(
        "state_dir {} is in use by another agent (pid {}); give each agent a folder of its own, or "
        "stop that one",
        absolute,
        holder.ok() && !holder->empty() ? holder->substr(0, holder->find('\n')) : "unknown");
  }
  RETURN_IF_ERROR(CheckHome(absolute, HomeOf(lock.get())));
  (void)!ftruncate(lock.get(), 0);
  // Whose it is, is for people: the lock does not hang on it, nor on room for it.
  (void)WriteAll(lock.get(), fmt::format("{}\n", getpid()), lock_path);
  std::unique_ptr<StateFolder> state(new StateFolder(absolute, std::move(lock)));
  RETURN_IF_ERROR(state->MakeAllFolders());
  state->SetModes();
  state->boot_id_ = ReadBootId(boot_id_file);
  ASSIGN_OR_RETURN(state->instance_, ReadOrMakeInstance(absolute + "/instance"));
  ASSIGN_OR_RETURN(state->boot_, CountBoot(absolute + "/boot"));
  std::error_code ignored;
  if (!fs::is_empty(absolute + "/trash", ignored))
    state->emptier_->Start([trash = absolute + "/trash"] { EmptyTrash(trash); });
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
    const StatusOr<Fd> fd = OpenFileBeneath(RecordFolder(), name, O_RDONLY);
    if (fd.ok() && flock(fd->get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK)
      found.alive = true;
    const StatusOr<std::string> content =
        fd.ok() ? ReadAll(fd->get(), path, kRecordBytesMax) : StatusOr<std::string>(fd.status());
    if (!content.ok()) {
      problem = content.status();
    } else if (StatusOr<ProcessRecord> record = ParseRecord(*content); !record.ok()) {
      problem = record.status();
    } else {
      found.record = *std::move(record);
      struct stat info {};
      const bool dated = fstat(fd->get(), &info) == 0;
      // One that has written the end down is all but gone, whatever holds it up.
      if (found.record.exit) found.alive = false;
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
      scan.warnings.push_back(
          Shown(fmt::format("{} cannot be used ({}); {} {}", path, MessageOf(problem),
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
  if (lstat(log.c_str(), &info) == 0) {
    if (!S_ISREG(info.st_mode)) Discard(log);
    if (S_ISREG(info.st_mode) && info.st_size == 0) unlink(log.c_str());
  }
  const std::string scratch = ScratchOf(id);
  if (rmdir(scratch.c_str()) == 0 || errno == ENOENT) return;
  Discard(scratch);
}

// Aside at once, so that its name is free; away when there is time.
void StateFolder::Discard(const std::string& path) {
  const std::string trash = path_ + "/trash";
  const std::string aside = FreshName(trash, path.substr(path.rfind('/') + 1));
  // A task that may mount things may have mounted something there.
  for (int i = 0; i < kMountsMax && rename(path.c_str(), aside.c_str()) != 0; ++i)
    if (errno != EBUSY || umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0) return;
  emptier_->Start([trash] { EmptyTrash(trash); });
}

void StateFolder::SweepLogs(const LogLimits& limits) {
  const std::string trash = path_ + "/trash";
  emptier_->Start([trash] { EmptyTrash(trash); });
  sweeper_->Start([logs = LogFolder(), processes = RecordFolder(), trash, limits] {
    SweepLogFolder(logs, processes, limits, trash);
  });
}

}  // namespace allot::agent
