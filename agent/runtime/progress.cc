#include "agent/runtime/progress.h"

#include <cmath>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/runtime/beneath.h"
#include "common/json/json.h"

namespace allot::agent {
namespace {

constexpr size_t kTail = 4096;

bool TakeInteger(const json::object& object, const char* name, int64_t* out) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr) return true;
  if (!value->is_number()) return false;
  const double number = value->to_number<double>();
  if (!(std::abs(number) < 9e15)) return false;
  *out = static_cast<int64_t>(number);
  return true;
}

std::optional<TaskProgress> ParseLine(std::string_view line) {
  boost::system::error_code error;
  const json::value value = json::parse({line.data(), line.size()}, error);
  if (error || !value.is_object()) return std::nullopt;
  const json::object& object = value.get_object();
  TaskProgress progress;
  if (!object.contains("step") || !TakeInteger(object, "step", &progress.step) ||
      !TakeInteger(object, "total", &progress.total))
    return std::nullopt;
  // A number with a large exponent is read as infinity, or as none at all.
  if (const json::value* loss = object.if_contains("loss"); loss != nullptr && loss->is_number())
    if (const double number = loss->to_number<double>(); std::isfinite(number))
      progress.loss = number;
  return progress;
}

}  // namespace

std::optional<TaskProgress> ParseProgress(std::string_view tail) {
  while (!tail.empty()) {
    const size_t newline = tail.rfind('\n');
    const std::string_view line = newline == tail.npos ? tail : tail.substr(newline + 1);
    if (!line.empty())
      if (const std::optional<TaskProgress> progress = ParseLine(line)) return progress;
    if (newline == tail.npos) break;
    tail = tail.substr(0, newline);
  }
  return std::nullopt;
}

std::optional<TaskProgress> ProgressFile::Poll() {
  const StatusOr<Fd> fd = OpenFileBeneath(folder_, name_, O_RDONLY);
  struct stat info {};
  if (!fd.ok() || fstat(fd->get(), &info) != 0) return std::nullopt;
  const int64_t changed = info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec;
  if (info.st_size == size_ && changed == changed_nanos_) return std::nullopt;
  char buffer[kTail];
  const off_t from = std::max<off_t>(0, info.st_size - static_cast<off_t>(sizeof buffer));
  const ssize_t size = pread(fd->get(), buffer, sizeof buffer, from);
  if (size < 0) return std::nullopt;
  size_ = info.st_size;
  changed_nanos_ = changed;
  const std::optional<TaskProgress> progress = ParseProgress({buffer, static_cast<size_t>(size)});
  if (!progress || progress == last_) return std::nullopt;
  last_ = progress;
  return progress;
}

}  // namespace allot::agent
