#include "client/enroll/places.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "client/local/files.h"

namespace allot::client {
namespace {

namespace fs = std::filesystem;

constexpr char kSystemConfig[] = "/etc/allotrope", kSystemState[] = "/var/lib/allotrope";
constexpr char kUser[] = "allotrope";

Status Failed(const std::string& what, const std::string& path, int error) {
  const std::string text = std::generic_category().message(error);
  if (error == EACCES || error == EPERM)
    return PermissionDenied(
        "cannot {} {}: {}; run this as root, or give a folder of yours with --dir", what, path,
        text);
  return FailedPrecondition("cannot {} {}: {}", what, path, text);
}

}  // namespace

Places Places::Find(const std::string& dir) {
  const char* environment = std::getenv("ALLOT_DIR");
  const std::string own = !dir.empty() ? dir : environment == nullptr ? "" : environment;
  if (own.empty()) return {kSystemConfig, kSystemState};
  const std::string absolute = local::Absolute(own);
  return {absolute, absolute + "/state"};
}

std::optional<User> FindUser() {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen("/etc/passwd", "re"),
                                                             std::fclose);
  if (file == nullptr) return std::nullopt;
  while (const passwd* user = fgetpwent(file.get()))
    if (std::string_view(user->pw_name) == kUser) return User{user->pw_uid, user->pw_gid};
  return std::nullopt;
}

Draft::~Draft() {
  std::error_code ignored;
  for (auto it = made_.rbegin(); it != made_.rend(); ++it) fs::remove(*it, ignored);
}

Status Draft::Folder(const std::string& path, unsigned mode) {
  if (local::Exists(path)) return absl::OkStatus();
  const std::string parent = fs::path(path).parent_path();
  if (!parent.empty() && !local::Exists(parent)) RETURN_IF_ERROR(Folder(parent, 0755));
  if (mkdir(path.c_str(), mode) != 0 && errno != EEXIST)
    return Failed("make the folder", path, errno);
  made_.push_back(path);
  return absl::OkStatus();
}

void Draft::Note(const std::string& path) {
  if (!local::Exists(path)) made_.push_back(path);
}

Status Draft::File(const std::string& path, const std::string& text, unsigned mode) {
  Note(path);
  if (const Status written = local::WriteFile(path, text, mode); !written.ok()) {
    if (access(fs::path(path).parent_path().c_str(), W_OK) != 0)
      return Failed("write", path, errno);
    return written;
  }
  return absl::OkStatus();
}

Status Draft::GiveAway(const std::string& path) {
  if (geteuid() != 0) return absl::OkStatus();
  const std::optional<User> user = FindUser();
  if (!user) return absl::OkStatus();
  if (chown(path.c_str(), user->id, user->group) != 0)
    return Failed("change the owner of", path, errno);
  return absl::OkStatus();
}

}  // namespace allot::client
