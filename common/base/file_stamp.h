// What tells a file from its next version: a rename changes the inode, an edit in place the times;
// an editor may keep the size, a copy the time, and a changed mode may let us read it at last.
#pragma once

#include <cstdint>
#include <string>

namespace allot {

struct FileStamp {
  uint64_t device = 0, inode = 0;
  int64_t size = -1;  // there is none
  int64_t modified_ns = 0, changed_ns = 0;
  bool operator==(const FileStamp&) const = default;
};
FileStamp StampOf(const std::string& file);

}  // namespace allot
