// A folder that stands in for a machine's root.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace allot::agent {

class Folder {
 public:
  Folder() {
    std::string pattern = std::filesystem::temp_directory_path() / "allot-test-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  void Write(const std::string& relative, const std::string& text) {
    const std::filesystem::path file = std::filesystem::path(path_) / relative;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace allot::agent
