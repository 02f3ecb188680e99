// Environment variables of a job: a value that never changes, and that need not be in memory.
//
// A job may bring a megabyte of them, hundreds of thousands of jobs may wait, and nobody looks at
// them before a task starts. So a program may say where large ones are kept instead (TextStore, in
// a file: scheduler/shell/spill_file.h); without one, as in the simulator, all are in memory.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace allot {

// A text that is kept elsewhere, until the last of whom it was given to is gone. Any thread.
class KeptText {
 public:
  virtual ~KeptText() = default;
  virtual std::string Read() const = 0;
};

class TextStore {
 public:
  virtual ~TextStore() = default;
  // Null if it cannot be kept there (a full disk): then it stays in memory. Any thread.
  virtual std::shared_ptr<const KeptText> Keep(std::string_view text) = 0;
};

class Variables {
 public:
  using Map = std::map<std::string, std::string>;

  // What has more bytes is kept in the store, if there is one.
  static constexpr size_t kInMemoryMax = 16 << 10;
  // Of the whole program, before the first large one is made. Outlives all of them; null: none.
  static void KeepIn(TextStore* store);

  Variables() = default;
  Variables(Map variables);  // NOLINT(google-explicit-constructor): it is one
  Variables(std::initializer_list<Map::value_type> variables) : Variables(Map(variables)) {}

  Map Get() const;
  size_t size() const { return kept_ != nullptr ? count_ : here_.size(); }
  bool empty() const { return size() == 0; }
  size_t bytes() const { return bytes_; }  // of names and values
  bool operator==(const Variables& other) const;

 private:
  Map here_;
  std::shared_ptr<const KeptText> kept_;  // in place of here_
  size_t count_ = 0, bytes_ = 0;
};

}  // namespace allot
