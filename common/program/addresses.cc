#include "common/program/addresses.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

namespace allot::program {

StatusOr<std::unique_ptr<AddressesFile>> AddressesFile::Write(const std::string& state_dir,
                                                              const std::vector<Entry>& entries) {
  std::error_code made;
  std::filesystem::create_directories(state_dir, made);
  if (made) {
    return PermissionDenied("state_dir {}: {}; give the program's user this folder", state_dir,
                            made.message());
  }
  const std::string path = state_dir + "/addresses.yaml", draft = path + ".new";
  std::string text = fmt::format("pid: {}\n", getpid());
  for (const Entry& entry : entries) text += fmt::format("{}: \"{}\"\n", entry.key, entry.value);
  std::remove(draft.c_str());  // Of one that was killed, or a link: never written through.
  FILE* file = std::fopen(draft.c_str(), "wxe");
  bool written = file != nullptr && std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (file != nullptr) written = std::fclose(file) == 0 && written;
  if (!written || std::rename(draft.c_str(), path.c_str()) != 0) {
    return Unavailable("{}: {}", path, std::strerror(errno));
  }
  return std::unique_ptr<AddressesFile>(new AddressesFile(path));
}

AddressesFile::~AddressesFile() { std::remove(path_.c_str()); }

}  // namespace allot::program
