#include "agent/runtime/trash.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <set>

#include "agent/runtime/files.h"

namespace allot::agent {
namespace {

// Of what one call removes: a process that fills as we empty must not hold us for ever.
constexpr int64_t kEntriesMax = 50'000'000;
constexpr int kMountsMax = 1'000;  // on top of each other

struct CloseFolder {
  void operator()(DIR* folder) const { closedir(folder); }
};
using Listing = std::unique_ptr<DIR, CloseFolder>;

class Trash {
 public:
  explicit Trash(const std::string& path)
      : fd_(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) {}

  void Empty() {
    if (!fd_.valid()) return;
    // Folders are brought up into the trash, so that every folder is one step away; those that
    // come up are met in the next round.
    for (bool more = true; more && left_ > 0;) {
      more = false;
      const Listing list = List(fd_.get());
      if (list == nullptr) return;
      while (const dirent* entry = readdir(list.get())) {
        const std::string name = entry->d_name;
        if (name == "." || name == ".." || stubborn_.contains(name)) continue;
        if (RemoveEntry(name)) {
          more = true;
        } else {
          stubborn_.insert(name);
        }
        if (left_ <= 0) return;
      }
    }
  }

 private:
  static Listing List(int folder) {
    const int own = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (own < 0) return nullptr;
    Listing list(fdopendir(own));
    if (list == nullptr) close(own);
    return list;
  }

  // A mount is somebody else's folder or file at that name, which is looked up in a folder we hold
  // open.
  static void Detach(int folder, const std::string& name) {
    const std::string path = fmt::format("/proc/thread-self/fd/{}/{}", folder, name);
    for (int i = 0; i < kMountsMax; ++i)
      if (umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0) return;
  }

  static bool Unlink(int folder, const std::string& name) {
    bool busy = false;
    for (const int flags : {0, AT_REMOVEDIR}) {
      if (unlinkat(folder, name.c_str(), flags) == 0 || errno == ENOENT) return true;
      busy |= errno == EBUSY;
    }
    if (busy) Detach(folder, name);
    return busy && unlinkat(folder, name.c_str(), 0) == 0;
  }

  // Of the trash itself.
  bool RemoveEntry(const std::string& name) {
    --left_;
    if (Unlink(fd_.get(), name)) return true;
    const Fd folder = Open(name);
    if (!folder.valid()) return false;
    Clear(folder.get());
    return unlinkat(fd_.get(), name.c_str(), AT_REMOVEDIR) == 0;
  }

  Fd Open(const std::string& name) {
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    Fd folder(openat(fd_.get(), name.c_str(), flags));
    // Without permissions on its own folder a task keeps us out, where we are not root.
    const Fd found(openat(fd_.get(), name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (found.valid()) chmod(fmt::format("/proc/thread-self/fd/{}", found.get()).c_str(), 0700);
    if (!folder.valid()) folder = Fd(openat(fd_.get(), name.c_str(), flags));
    return folder;
  }

  // Of a folder in the trash: files go, folders come up.
  void Clear(int folder) {
    const Listing list = List(folder);
    if (list == nullptr) return;
    while (const dirent* entry = readdir(list.get())) {
      const std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      if (--left_ <= 0) return;
      if (Unlink(folder, name)) continue;
      // One that may not be written to may not be moved either: its ".." would change.
      const Fd inner(openat(folder, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!inner.valid()) continue;
      if (geteuid() != 0) chmod(fmt::format("/proc/thread-self/fd/{}", inner.get()).c_str(), 0700);
      // A mount that was not detached cannot be moved, so it is never entered.
      while (renameat2(folder, name.c_str(), fd_.get(), fmt::format("{}.up", ++moved_).c_str(),
                       RENAME_NOREPLACE) != 0 &&
             errno == EEXIST) {
      }
    }
  }

  const Fd fd_;
  int64_t left_ = kEntriesMax;
  uint64_t moved_ = 0;
  std::set<std::string> stubborn_;  // what could not be removed now
};

}  // namespace

void EmptyTrash(const std::string& trash) { Trash(trash).Empty(); }

}  // namespace allot::agent
