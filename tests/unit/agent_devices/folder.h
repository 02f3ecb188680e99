// A folder that stands in for a machine's root.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "agent/devices/snapshot.h"

namespace allot::agent {

class Folder {
 public:
  Folder() {
    std::string pattern = std::filesystem::temp_directory_path() / "allot-test-XXXXXX";
    path_ = mkdtemp(pattern.data());
    std::filesystem::create_directories(path_ + "/sys");
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
  void Append(const std::string& relative, const std::string& text) {
    std::ofstream(std::filesystem::path(path_) / relative, std::ios::app) << text;
  }
  const std::string& path() const { return path_; }
  // This folder as a machine. What is written later is seen too, links.txt apart.
  std::shared_ptr<const Host> host() const { return *Host::Recorded(path_); }
  std::shared_ptr<const Snapshot> snapshot() const { return Snapshot::Take(host()); }

 private:
  std::string path_;
};

}  // namespace allot::agent
