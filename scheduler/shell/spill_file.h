// Large texts in a file in place of memory. The file has no name and goes with the process: what it
// holds is in the journal as well, and read again from there.
//
// Any thread. Room that is given back is given back to the filesystem (holes), so the file is as
// large as what it holds.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "common/base/status.h"
#include "common/model/variables.h"

namespace allot::scheduler {

class SpillFile final : public TextStore {
 public:
  // In `folder`, on whose filesystem there should be room.
  static StatusOr<std::unique_ptr<SpillFile>> Open(const std::string& folder);
  ~SpillFile() override;

  std::shared_ptr<const KeptText> Keep(std::string_view text) override;
  int64_t bytes() const { return file_->bytes; }  // that are in use

 private:
  // Outlives us for as long as somebody has a text of it.
  struct File {
    ~File();
    int descriptor = -1;
    std::atomic<int64_t> end{0}, bytes{0};
  };
  class Piece;

  explicit SpillFile(std::shared_ptr<File> file) : file_(std::move(file)) {}
  const std::shared_ptr<File> file_;
};

}  // namespace allot::scheduler
