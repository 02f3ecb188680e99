// The allow list on disk.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <system_error>

#include "common/base/check.h"
#include "common/config/convert.h"
#include "common/proto/config.pb.h"
#include "common/transport/keys.h"

namespace allot::transport {
namespace {

std::string ErrorText(int error) { return std::generic_category().message(error); }

class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

StatusOr<std::string> ReadAll(int fd, const std::string& path) {
  std::string text;
  char buffer[65536];
  for (;;) {
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got == 0) return text;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Unavailable("cannot read allow list {}: {}", path, ErrorText(errno));
    text.append(buffer, static_cast<size_t>(got));
  }
}

StatusOr<std::vector<AllowedPeer>> Parse(const std::string& text, const std::string& path) {
  // A list just created by EnrollPeer is empty, and so is one whose peers are all gone.
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) return std::vector<AllowedPeer>();
  config::AllowList list;
  RETURN_IF_ERROR(config::BindChecked(text, path, &list));
  std::vector<AllowedPeer> peers;
  peers.reserve(list.peers_size());
  for (const config::AllowedPeer& peer : list.peers()) {
    const std::optional<Role> role = ParseRole(peer.role());
    CHECK(role.has_value());  // BindChecked has seen to it.
    peers.push_back({.name = peer.name(), .public_key = peer.public_key(), .role = *role});
  }
  return peers;
}

StatusOr<std::vector<AllowedPeer>> ReadPeers(int fd, const std::string& path) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) {
    return Unavailable("cannot read allow list {}: {}", path, ErrorText(errno));
  }
  if ((info.st_mode & S_IWOTH) != 0) {
    return PermissionDenied("allow list {} may be written by everybody; run: chmod o-w {}", path,
                            path);
  }
  ASSIGN_OR_RETURN(const std::string text, ReadAll(fd, path));
  return Parse(text, path);
}

std::string Format(const std::vector<AllowedPeer>& peers) {
  std::string text = "# Who may connect. Kept by `allot keys`; comments are not kept.\n";
  text += peers.empty() ? "peers: []\n" : "peers:\n";
  for (const AllowedPeer& peer : peers) {
    text += fmt::format("  - name: '{}'\n    public_key: '{}'\n    role: {}\n", peer.name,
                        peer.public_key, RoleName(peer.role));
  }
  return text;
}

Status WriteFile(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t put = ::write(fd, text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return Unavailable("cannot write {}: {}", path, ErrorText(errno));
    text.remove_prefix(static_cast<size_t>(put));
  }
  if (::fsync(fd) != 0) return Unavailable("cannot write {}: {}", path, ErrorText(errno));
  return absl::OkStatus();
}

Status ReplaceFile(const std::string& path, std::string_view text, mode_t mode) {
  std::string temporary = path + ".XXXXXX";
  {
    const File file(::mkostemp(temporary.data(), O_CLOEXEC));
    if (file.fd() < 0) {
      return Unavailable("cannot write beside {}: {}", path, ErrorText(errno));
    }
    Status written = WriteFile(file.fd(), text, path);
    if (written.ok() && ::fchmod(file.fd(), mode) != 0) {
      written = Unavailable("cannot set the mode of {}: {}", path, ErrorText(errno));
    }
    if (written.ok() && ::rename(temporary.c_str(), path.c_str()) != 0) {
      written = Unavailable("cannot replace {}: {}", path, ErrorText(errno));
    }
    if (!written.ok()) {
      ::unlink(temporary.c_str());
      return written;
    }
  }
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const File directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.fd() >= 0) ::fsync(directory.fd());  // Best effort: the list itself is whole.
  return absl::OkStatus();
}

using Edit = std::function<Status(std::vector<AllowedPeer>&)>;

Status EditAllowFile(const std::string& path, bool create, const Edit& edit) {
  for (;;) {
    const File file(::open(path.c_str(), O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0), 0644));
    if (file.fd() < 0) {
      if (errno == ENOENT && !create) return NotFound("allow list {} does not exist", path);
      return Unavailable("cannot open allow list {}: {}", path, ErrorText(errno));
    }
    if (::flock(file.fd(), LOCK_EX) != 0) {
      return Unavailable("cannot lock allow list {}: {}", path, ErrorText(errno));
    }
    // Another editor may have renamed its new list over the file while we waited.
    struct stat locked {
    }, current{};
    if (::fstat(file.fd(), &locked) != 0 || ::stat(path.c_str(), &current) != 0 ||
        locked.st_ino != current.st_ino || locked.st_dev != current.st_dev) {
      continue;
    }
    ASSIGN_OR_RETURN(std::vector<AllowedPeer> peers, ReadPeers(file.fd(), path));
    RETURN_IF_ERROR(edit(peers));
    return ReplaceFile(path, Format(peers), locked.st_mode & 07777);
  }
}

}  // namespace

std::string_view RoleName(Role role) {
  switch (role) {
    case Role::kAgent:
      return "agent";
    case Role::kGateway:
      return "gateway";
    case Role::kScheduler:
      return "scheduler";
  }
  return "";
}

std::optional<Role> ParseRole(std::string_view name) {
  for (Role role : {Role::kAgent, Role::kGateway, Role::kScheduler}) {
    if (name == RoleName(role)) return role;
  }
  return std::nullopt;
}

StatusOr<std::vector<AllowedPeer>> LoadAllowFile(const std::string& path) {
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.fd() < 0) {
    if (errno == ENOENT) {
      return NotFound("allow list {} does not exist; add peers with `allot keys enroll`", path);
    }
    return Unavailable("cannot open allow list {}: {}", path, ErrorText(errno));
  }
  return ReadPeers(file.fd(), path);
}

Status SaveAllowFile(const std::string& path, const std::vector<AllowedPeer>& peers) {
  const std::string text = Format(peers);
  RETURN_IF_ERROR(Parse(text, path).status());  // What would not load is not written.
  return ReplaceFile(path, text, 0644);
}

Status EnrollPeer(const std::string& path, const AllowedPeer& peer, bool replace) {
  // Checked on its own first, so that the error speaks of the new peer and no file is made.
  RETURN_IF_ERROR(Parse(Format({peer}), "new peer").status());
  return EditAllowFile(path, /*create=*/true, [&](std::vector<AllowedPeer>& peers) -> Status {
    AllowedPeer* same_name = nullptr;
    for (AllowedPeer& other : peers) {
      if (other.name == peer.name) {
        same_name = &other;
      } else if (other.public_key == peer.public_key) {
        return AlreadyExists("the key is enrolled as \"{}\"; every peer needs a key of its own",
                             other.name);
      }
    }
    if (same_name == nullptr) {
      peers.push_back(peer);
      return absl::OkStatus();
    }
    const bool same = same_name->public_key == peer.public_key && same_name->role == peer.role;
    if (!same && !replace) {
      return AlreadyExists("\"{}\" is enrolled with another key or role; replace it or revoke it",
                           peer.name);
    }
    *same_name = peer;
    return absl::OkStatus();
  });
}

Status RevokePeer(const std::string& path, const std::string& name) {
  return EditAllowFile(path, /*create=*/false, [&](std::vector<AllowedPeer>& peers) -> Status {
    if (std::erase_if(peers, [&](const AllowedPeer& p) { return p.name == name; }) == 0) {
      return NotFound("\"{}\" is not in {}", name, path);
    }
    return absl::OkStatus();
  });
}

}  // namespace allot::transport
