// Whether there is room to start anything: bytes and inodes where the state and the logs are.
//
// A disk that is full fails every start, and a supervisor that cannot write down an exit; so a node
// says that it is short before it is empty. Looking is apart from judging.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/base/units.h"

namespace allot::agent {

struct DiskFacts {
  std::string problem;  // cannot be looked at: why
  Bytes size = 0, free = 0;
  uint64_t files_free = 0;
  bool files_counted = false;  // btrfs and some others have no fixed number
  bool read_only = false;
  uint64_t device = 0;
};
DiskFacts LookAtDisk(const std::string& folder);

// Of one folder. Short at less than `free_min`, or a twentieth of a disk for which that is much, or
// at less than a thousand inodes; no longer short with a quarter more than that, so that a disk at
// the edge does not make a node come and go.
class DiskWatch {
 public:
  DiskWatch(std::string folder, Bytes free_min) : folder_(std::move(folder)), free_min_(free_min) {}
  // Why nothing should be started: "disk: 12MiB free in /var/lib/allotrope, …"; empty: it may.
  // Stays the same text for as long as it is short of the same thing.
  const std::string& Judge(const DiskFacts& facts);
  const std::string& why() const { return why_; }
  // Free bytes at which it is not short any more.
  Bytes Wanted(const DiskFacts& facts) const;

 private:
  enum class Want { kNothing, kFolder, kWriting, kBytes, kFiles };
  Want WantOf(const DiskFacts& facts) const;
  Bytes Least(const DiskFacts& facts) const;

  const std::string folder_;
  const Bytes free_min_;
  Want want_ = Want::kNothing;
  std::string why_;
};

}  // namespace allot::agent
