#include "client/local/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace allot::client::local {

namespace fs = std::filesystem;

StatusOr<std::string> ReadFile(const std::string& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) return InvalidArgument("{} is a folder, not a file", path);
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    if (errno == ENOENT) return NotFound("there is no file {}", path);
    return InvalidArgument("cannot read {}: {}", path, std::strerror(errno));
  }
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

Status WriteFile(const std::string& path, const std::string& text, unsigned mode) {
  const std::string temporary = fmt::format("{}.{}.tmp", path, getpid());
  const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  if (fd < 0) return FailedPrecondition("cannot write {}: {}", temporary, std::strerror(errno));
  size_t done = 0;
  int failure = 0;
  while (done < text.size() && failure == 0) {
    const ssize_t n = write(fd, text.data() + done, text.size() - done);
    if (n > 0)
      done += static_cast<size_t>(n);
    else if (errno != EINTR)
      failure = errno;
  }
  if (failure == 0 && fsync(fd) != 0) failure = errno;
  close(fd);
  if (failure == 0 && rename(temporary.c_str(), path.c_str()) != 0) failure = errno;
  if (failure == 0) return absl::OkStatus();
  unlink(temporary.c_str());
  return FailedPrecondition("cannot write {}: {}", path, std::strerror(failure));
}

Status MakeFolder(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return FailedPrecondition("cannot make the folder {}: {}", path, error.message());
  return absl::OkStatus();
}

bool Exists(const std::string& path) {
  std::error_code error;
  return fs::exists(path, error);
}

std::string Absolute(const std::string& path) {
  std::error_code error;
  const fs::path absolute = fs::absolute(path, error);
  if (error) return path;
  std::string text = absolute.lexically_normal().string();
  if (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

std::string ProgramFolder() {
  std::error_code error;
  return fs::read_symlink("/proc/self/exe", error).parent_path().string();
}

namespace {

// How to get a program that is not there: built where this one was, else from the package that
// brings it (packaging/CMakeLists.txt).
std::string HowToGet(const std::string& program, const fs::path& folder) {
  std::error_code error;
  if (fs::exists(folder.parent_path() / "CMakeCache.txt", error))
    return fmt::format("`scripts/build.sh {} {}` in the source tree builds it",
                       folder.parent_path().filename().string(), program);
  return fmt::format("the package {} brings it, or install it beside `allot`",
                     program == "allot-sim" ? "allotrope-client" : "allotrope" + program.substr(5));
}

}  // namespace

StatusOr<std::string> FindProgram(const std::string& name) {
  const std::string beside = ProgramFolder() + "/" + name;
  if (access(beside.c_str(), X_OK) == 0) return beside;
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::string candidate = folder + "/" + name;
    if (!folder.empty() && access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return NotFound("{} stands neither in {} nor in PATH; {}", name, ProgramFolder(),
                  HowToGet(name, ProgramFolder()));
}

}  // namespace allot::client::local
