// Where checkers say what they found. The first finding ends the run.
#pragma once

#include <string>
#include <string_view>

#include "fmt/format.h"

namespace allot::simulator {

class Findings {
 public:
  template <class... Args>
  void Add(std::string_view checker, fmt::format_string<Args...> format, Args&&... args) {
    if (!found_.empty()) return;
    found_ = fmt::format("{}: {}", checker, fmt::format(format, std::forward<Args>(args)...));
  }
  bool any() const { return !found_.empty(); }
  const std::string& first() const { return found_; }

 private:
  std::string found_;
};

}  // namespace allot::simulator
