// What is logged while it lives, by any thread, each line as its level and its text.
#pragma once

#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <sstream>
#include <string>
#include <vector>

namespace allot {

class LogKept {
 public:
  LogKept() : sink_(std::make_shared<spdlog::sinks::ostream_sink_mt>(text_, true)) {
    sink_->set_pattern("%l %v");
    spdlog::default_logger()->sinks().push_back(sink_);
  }
  ~LogKept() { std::erase(spdlog::default_logger()->sinks(), sink_); }
  LogKept(const LogKept&) = delete;
  LogKept& operator=(const LogKept&) = delete;

  std::string text() const { return text_.str(); }
  int Count(const std::string& part) const {
    const std::string text = text_.str();
    int count = 0;
    for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++at) ++count;
    return count;
  }

 private:
  std::ostringstream text_;
  std::shared_ptr<spdlog::sinks::sink> sink_;
};

}  // namespace allot
