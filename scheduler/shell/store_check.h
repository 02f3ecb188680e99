// Whether the store in a folder is whole and all that was acknowledged. Asked before SQLite
// recovers it; nothing is changed, so that what is refused can still be looked into.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "scheduler/shell/mark.h"
#include "scheduler/shell/sqlite.h"

namespace allot::scheduler {

struct StoreFound {
  bool there = false;  // it has its tables
  uint64_t store = 0;  // its id; 0: an earlier version made it
  int64_t last_seq = 0;
};

// The whole database is walked through where that takes no longer than a moment; rows have
// checksums of their own, which loading them looks at.
inline constexpr int64_t kQuickCheckBytesMax = 64 << 20;

// Errors: damaged, saying where. `tolerant`: what SQLite makes of it, damaged or not.
StatusOr<StoreFound> InspectStore(const std::string& state_dir, bool tolerant = false);

// DataLoss where the store is not the one that the mark beside it is of, or ends before
// what the mark knows to be durable.
Status CheckAgainstMark(const std::string& state_dir, const StoreFound& found,
                        const std::optional<MarkFacts>& mark);

// Every page of it, and whether they fit together.
Status CheckPages(Database& db, const char* pragma);

// The files of an open store: that they are still the ones that were opened. A file that was
// removed or replaced goes on to take what is written to it, and is gone with the process.
class StoreFiles {
 public:
  explicit StoreFiles(const std::string& state_dir);
  // DataLoss. Three microseconds.
  Status StillThere();

 private:
  struct File {
    std::string path;
    uint64_t device = 0, inode = 0;  // 0: not there yet
  };
  std::vector<File> files_;
  Status lost_;  // stays
};

}  // namespace allot::scheduler
