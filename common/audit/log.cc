// The file and the thread that writes it.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>

#include "common/audit/audit.h"
#include "common/base/logging.h"
#include "common/base/thread.h"

namespace allot::audit {
namespace {

constexpr size_t kWaitingBytesMax = limits::kAuditWaitingBytes.value;
constexpr auto kTryAgainAfter = std::chrono::seconds(1);

Time MachineClock() {
  return Time(
      std::chrono::duration_cast<Duration>(std::chrono::system_clock::now().time_since_epoch()));
}

bool NoRoom(int error) { return error == ENOSPC || error == EDQUOT || error == EFBIG; }

// Appending only: what was written stays as it is. -1 and errno.
int OpenFile(const std::string& path) {
  const int fd = ::open(path.c_str(),
                        O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
  struct stat info {};
  if (fd >= 0 && (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))) {
    ::close(fd);
    errno = EINVAL;
    return -1;
  }
  return fd;
}

Status OpenError(const std::string& path, int error) {
  if (error == EINVAL || error == ELOOP || error == ENXIO)
    return FailedPrecondition("the audit log {} is no plain file; set audit.file to another", path);
  return PermissionDenied(
      "cannot append to the audit log {}: {}; give it to this program's user, "
      "or set audit.file",
      path, std::strerror(error));
}

}  // namespace

class Log::Impl {
 public:
  explicit Impl(Options options) : options_(std::move(options)) {
    if (!options_.now) options_.now = MachineClock;
    if (!options_.passed)
      options_.passed = [] {
        return std::chrono::duration_cast<Duration>(
            std::chrono::steady_clock::now().time_since_epoch());
      };
  }

  Status Open() {
    fd_ = OpenFile(options_.file);
    if (fd_ < 0 && !NoRoom(errno)) return OpenError(options_.file, errno);
    if (fd_ >= 0) CloseHalfLine();
    thread_ = StartThread([this] { Run(); });
    return absl::OkStatus();
  }

  ~Impl() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
    if (fd_ >= 0) ::close(fd_);
  }

  void Note(const Entry& entry) {
    const Time time = options_.now();
    {
      const std::lock_guard lock(mutex_);
      const Limiter::Verdict verdict = limiter_.Judge(options_.passed(), entry);
      if (!verdict.write) {
        ++counters_.left_out;
        return;
      }
      std::string line = Line(entry, time, verdict.left_out) + "\n";
      if (waiting_.size() + line.size() > kWaitingBytesMax) {
        ++counters_.lost;
        return;
      }
      waiting_ += line;
      ++noted_;
    }
    wake_.notify_all();
  }

  void Flush() {
    std::unique_lock lock(mutex_);
    const uint64_t noted = noted_;
    done_.wait(lock, [&] { return tried_ >= noted; });
  }

  const Counters& counters() const { return counters_; }

 private:
  void Run() {
    std::string batch;  // taken from waiting_, and what of it is not written yet
    for (;;) {
      uint64_t noted = 0;
      bool stop = false;
      {
        std::unique_lock lock(mutex_);
        if (batch.empty())
          wake_.wait(lock, [this] { return stop_ || !waiting_.empty(); });
        else
          wake_.wait_for(lock, kTryAgainAfter, [this] { return stop_ || tried_ < noted_; });
        // While it fails the rest waits where its budget is.
        if (batch.empty()) batch = std::exchange(waiting_, {});
        noted = noted_;
        stop = stop_;
      }
      const int error = Write(&batch);
      Tell(error);  // before whoever waits for it looks
      bool more = false;
      {
        const std::lock_guard lock(mutex_);
        more = batch.empty() && !waiting_.empty();
        if (!more) tried_ = noted;
      }
      done_.notify_all();
      if (stop && !more) return;
    }
  }

  // What is written is taken off `batch`. 0, or why the rest is not.
  int Write(std::string* batch) {
    size_t put = 0;
    int error = 0;
    while (put < batch->size() && error == 0) {
      if (error = Ready(); error != 0) break;
      // Rotated between lines only.
      const size_t end = batch->find('\n', put) + 1;
      if (size_ > 0 && at_line_begin_ &&
          size_ + static_cast<int64_t>(end - put) > options_.size_max)
        Rotate();
      if (fd_ < 0) continue;
      const ssize_t got = ::write(fd_, batch->data() + put, end - put);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) {
        error = errno;
        break;
      }
      put += static_cast<size_t>(got);
      size_ += got;
      at_line_begin_ = put == end;
      if (at_line_begin_) ++counters_.written;
    }
    batch->erase(0, put);
    return error;
  }

  // Somebody may have moved the file away.
  int Ready() {
    struct stat ours {
    }, there{};
    if (fd_ >= 0 && at_line_begin_ &&
        (::stat(options_.file.c_str(), &there) != 0 || ::fstat(fd_, &ours) != 0 ||
         there.st_ino != ours.st_ino || there.st_dev != ours.st_dev))
      ::close(std::exchange(fd_, -1));
    if (fd_ < 0) {
      fd_ = OpenFile(options_.file);
      if (fd_ < 0) return errno == 0 ? EIO : errno;
      CloseHalfLine();
    }
    return 0;
  }

  // A program that was killed, or a disk that was full, may have left one.
  void CloseHalfLine() {
    struct stat info {};
    at_line_begin_ = true;
    size_ = ::fstat(fd_, &info) == 0 ? info.st_size : 0;
    if (size_ == 0) return;
    char last = '\n';
    const int reader = ::open(options_.file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (reader < 0) return;
    if (::pread(reader, &last, 1, size_ - 1) == 1 && last != '\n' && ::write(fd_, "\n", 1) == 1)
      ++size_;
    ::close(reader);
  }

  void Rotate() {
    const auto numbered = [this](size_t n) {
      return n == 0 ? options_.file : fmt::format("{}.{}", options_.file, n);
    };
    for (size_t n = options_.files - 1; n > 0; --n)
      ::rename(numbered(n - 1).c_str(), numbered(n).c_str());
    ::close(std::exchange(fd_, -1));
    size_ = 0;
  }

  // Once when it begins, once when it is over.
  void Tell(int error) {
    const uint64_t lost = counters_.lost;
    if (error != 0 && !counters_.failing.exchange(true))
      spdlog::error(
          "the audit log cannot be written file={} why=\"{}\"; lines wait, up to {} bytes",
          options_.file, std::strerror(error), kWaitingBytesMax);
    if (error == 0 && counters_.failing.exchange(false))
      spdlog::info("the audit log is written again file={} lost={}", options_.file, lost);
  }

  Options options_;
  Counters counters_;
  std::thread thread_;

  // Of the thread.
  int fd_ = -1;
  int64_t size_ = 0;
  bool at_line_begin_ = true;

  std::mutex mutex_;
  std::condition_variable wake_, done_;
  Limiter limiter_;
  std::string waiting_;
  uint64_t noted_ = 0, tried_ = 0;  // lines
  bool stop_ = false;
};

Log::Log(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Log::~Log() = default;
void Log::Note(const Entry& entry) { impl_->Note(entry); }
void Log::Flush() { impl_->Flush(); }
const Counters& Log::counters() const { return impl_->counters(); }

StatusOr<std::unique_ptr<Log>> Log::Open(Options options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  RETURN_IF_ERROR(impl->Open());
  return std::unique_ptr<Log>(new Log(std::move(impl)));
}

Status NoteOnce(const std::string& file, const Entry& entry) {
  const int fd = OpenFile(file);
  if (fd < 0) return OpenError(file, errno);
  const std::string line = Line(entry, MachineClock(), 0) + "\n";
  const bool whole = ::write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  const int error = errno;
  ::close(fd);
  return whole ? absl::OkStatus() : OpenError(file, error);
}

}  // namespace allot::audit
