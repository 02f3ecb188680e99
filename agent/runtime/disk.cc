#include "agent/runtime/disk.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <sys/stat.h>
#include <sys/statvfs.h>

#include "fmt/format.h"

namespace allot::agent {
namespace {

constexpr uint64_t kFilesMin = 1'000;  // a task makes three
constexpr Bytes kPartOfDisk = 20;

// With a quarter more, where it is asked whether a shortage is over.
template <class T>
T Enough(T least, bool over) {
  return over ? least + least / 4 : least;
}

}  // namespace

DiskFacts LookAtDisk(const std::string& folder) {
  DiskFacts facts;
  struct statvfs disk {};
  struct stat info {};
  if (statvfs(folder.c_str(), &disk) != 0 || stat(folder.c_str(), &info) != 0) {
    facts.problem = strerror(errno);
    return facts;
  }
  facts.size = static_cast<Bytes>(disk.f_blocks * disk.f_frsize);
  facts.free = static_cast<Bytes>(disk.f_bavail * disk.f_frsize);
  facts.files_counted = disk.f_files > 0;
  facts.files_free = disk.f_favail;
  facts.read_only = (disk.f_flag & ST_RDONLY) != 0;
  facts.device = info.st_dev;
  return facts;
}

Bytes DiskWatch::Least(const DiskFacts& facts) const {
  return std::min(free_min_, facts.size / kPartOfDisk);
}

Bytes DiskWatch::Wanted(const DiskFacts& facts) const { return Enough(Least(facts), true); }

DiskWatch::Want DiskWatch::WantOf(const DiskFacts& facts) const {
  if (!facts.problem.empty()) return Want::kFolder;
  if (facts.read_only) return Want::kWriting;
  if (facts.free < Enough(Least(facts), want_ == Want::kBytes)) return Want::kBytes;
  if (facts.files_counted && facts.files_free < Enough(kFilesMin, want_ == Want::kFiles))
    return Want::kFiles;
  return Want::kNothing;
}

const std::string& DiskWatch::Judge(const DiskFacts& facts) {
  const Want want = WantOf(facts);
  if (want == want_) return why_;
  want_ = want;
  switch (want) {
    case Want::kNothing:
      why_.clear();
      break;
    case Want::kFolder:
      why_ = fmt::format("disk: {} cannot be used: {}", folder_, facts.problem);
      break;
    case Want::kWriting:
      why_ = fmt::format("disk: {} is read-only", folder_);
      break;
    case Want::kBytes:
      why_ = fmt::format("disk: {} free in {}, at least {} are wanted", FormatBytes(facts.free),
                         folder_, FormatBytes(Least(facts)));
      break;
    case Want::kFiles:
      why_ = fmt::format("disk: {} more files fit into {}, at least {} are wanted",
                         facts.files_free, folder_, kFilesMin);
      break;
  }
  return why_;
}

}  // namespace allot::agent
