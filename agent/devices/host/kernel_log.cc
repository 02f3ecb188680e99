#include "agent/devices/host/kernel_log.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace allot::agent {
namespace {

constexpr size_t kMessagesMax = 4096;
constexpr size_t kRecordMax = 8192;  // what the kernel gives at most
constexpr const char* kPath = "/dev/kmsg";

}  // namespace

std::optional<std::string> KernelMessage(std::string_view record) {
  const size_t text = record.find(';');
  const size_t comma = record.find(',');
  if (text == record.npos || comma == record.npos || comma > text) return std::nullopt;
  // Priority is facility × 8 + level; the kernel's own facility is 0, and no program can use it.
  const auto priority = ParseUnsigned(record.substr(0, comma));
  if (!priority || *priority >= 8) return std::nullopt;
  record.remove_prefix(text + 1);
  return std::string(record.substr(0, record.find('\n')));  // then come properties
}

std::unique_ptr<KernelLog> KernelLog::Open(const Host& host) {
  const std::string path = host.root() + kPath;
  const int file = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  if (file < 0) return nullptr;
  struct stat info {};
  const bool known = fstat(file, &info) == 0;
  // A pipe or a terminal of that name is no log.
  if (!known || !(host.live() ? S_ISCHR(info.st_mode) : S_ISREG(info.st_mode)) ||
      lseek(file, 0, SEEK_END) < 0) {
    close(file);
    return nullptr;
  }
  return std::unique_ptr<KernelLog>(new KernelLog(file, host.live()));
}

KernelLog::~KernelLog() { close(file_); }

std::vector<std::string> KernelLog::Read() { return records_ ? ReadRecords() : ReadFile(); }

std::vector<std::string> KernelLog::ReadRecords() {
  std::vector<std::string> messages;
  char record[kRecordMax];
  for (size_t i = 0; i < kMessagesMax; ++i) {
    const ssize_t got = read(file_, record, sizeof record);
    if (got < 0) {
      // EPIPE: records were overwritten before we came; the next read gives the oldest there is.
      if (errno == EPIPE || errno == EINTR) continue;
      break;
    }
    if (got == 0) break;
    if (auto message = KernelMessage({record, static_cast<size_t>(got)}))
      messages.push_back(*std::move(message));
  }
  return messages;
}

std::vector<std::string> KernelLog::ReadFile() {
  std::vector<std::string> messages;
  char piece[kRecordMax];
  ssize_t got = 0;
  while (messages.size() < kMessagesMax && (got = read(file_, piece, sizeof piece)) > 0) {
    partial_.append(piece, static_cast<size_t>(got));
    size_t begin = 0;
    for (size_t end; (end = partial_.find('\n', begin)) != partial_.npos; begin = end + 1)
      if (auto message = KernelMessage(std::string_view(partial_).substr(begin, end - begin)))
        messages.push_back(*std::move(message));
    partial_.erase(0, begin);
    if (partial_.size() > kRecordMax) partial_.clear();  // no line of a log
  }
  return messages;
}

}  // namespace allot::agent
