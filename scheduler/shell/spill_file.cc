#include "scheduler/shell/spill_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "common/base/check.h"
#include "common/base/logging.h"

namespace allot::scheduler {
namespace {

constexpr int64_t kPage = 4096;  // holes are made of whole ones

int64_t Rounded(size_t size) { return (static_cast<int64_t>(size) + kPage - 1) / kPage * kPage; }

}  // namespace

SpillFile::File::~File() {
  if (descriptor >= 0) close(descriptor);
}

class SpillFile::Piece final : public KeptText {
 public:
  Piece(std::shared_ptr<File> file, int64_t at, size_t size)
      : file_(std::move(file)), at_(at), size_(size) {
    file_->bytes += Rounded(size_);
  }
  ~Piece() override {
    file_->bytes -= Rounded(size_);
    // Where the filesystem has no holes the room is lost until the next start.
    (void)fallocate(file_->descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at_,
                    Rounded(size_));
  }

  std::string Read() const override {
    std::string text(size_, '\0');
    for (size_t done = 0; done < size_;) {
      const ssize_t got = pread(file_->descriptor, text.data() + done, size_ - done,
                                at_ + static_cast<int64_t>(done));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) {
        // A disk that loses what it has taken. The next start reads it from the journal.
        spdlog::critical("what was put aside in the state folder cannot be read again: {}",
                         got < 0 ? std::strerror(errno) : "it is gone");
        CHECK(got > 0);
      }
      done += static_cast<size_t>(got);
    }
    return text;
  }

 private:
  const std::shared_ptr<File> file_;
  const int64_t at_;
  const size_t size_;
};

StatusOr<std::unique_ptr<SpillFile>> SpillFile::Open(const std::string& folder) {
  std::string name = folder + "/aside-XXXXXX";
  auto file = std::make_shared<File>();
  file->descriptor = mkostemp(name.data(), O_CLOEXEC);
  if (file->descriptor < 0)
    return Unavailable("cannot make a file in {}: {}", folder, std::strerror(errno));
  unlink(name.c_str());
  return std::unique_ptr<SpillFile>(new SpillFile(std::move(file)));
}

SpillFile::~SpillFile() = default;

std::shared_ptr<const KeptText> SpillFile::Keep(std::string_view text) {
  const int64_t at = file_->end.fetch_add(Rounded(text.size()));
  for (size_t done = 0; done < text.size();) {
    const ssize_t put = pwrite(file_->descriptor, text.data() + done, text.size() - done,
                               at + static_cast<int64_t>(done));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) {
      (void)fallocate(file_->descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at,
                      Rounded(text.size()));
      return nullptr;
    }
    done += static_cast<size_t>(put);
  }
  return std::make_shared<Piece>(file_, at, text.size());
}

}  // namespace allot::scheduler
