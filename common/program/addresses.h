// addresses.yaml: how scripts find a program's process and the ports it chose (docs/api.md).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace allot::program {

// <state_dir>/addresses.yaml with our pid and `entries`, whole or not at all. Removed by its
// destructor, so that a clean end leaves none; after a crash the pid in it tells that it is old.
class AddressesFile {
 public:
  struct Entry {
    std::string key, value;
  };
  // Makes the folder if it is not there. PermissionDenied, Unavailable: it cannot be written.
  static StatusOr<std::unique_ptr<AddressesFile>> Write(const std::string& state_dir,
                                                        const std::vector<Entry>& entries);
  ~AddressesFile();

 private:
  explicit AddressesFile(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace allot::program
