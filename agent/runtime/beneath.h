// Files in folders whose content tasks or users own.
//
// Whoever owns a folder can put anything in the place of a file: a link to another file, a pipe
// that nobody writes to, a folder, a device, a mount of a file system that does not answer. So what
// is found there is opened in one way only: `folder` itself is ours and taken as it is; below it no
// link is followed and no mount is entered; nothing is waited for; and what is no regular file with
// exactly one name is refused (a second name may be that of somebody else's file). By openat2 of
// Linux 5.6; where the kernel or a filter of system calls does not have it, one component after the
// other.
//
// `name` is relative, without "." and "..". Errors name the path. Any thread.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>
#include <string_view>

#include "agent/runtime/files.h"
#include "common/base/status.h"

namespace allot::agent {

// `flags`: O_RDONLY, O_WRONLY or O_RDWR, with O_APPEND, O_CREAT, O_EXCL; O_TRUNC is refused, as it
// would take effect before anybody has looked. NotFound; FailedPrecondition if something else is in
// its place.
StatusOr<Fd> OpenFileBeneath(const std::string& folder, std::string_view name, int flags,
                             int mode = 0640);
// A folder, to look or work in.
StatusOr<Fd> OpenFolderBeneath(const std::string& folder, std::string_view name);
// With all on the way that is not there yet.
StatusOr<Fd> MakeFoldersBeneath(const std::string& folder, std::string_view name, int mode = 0755);
bool IsEmptyFolder(Fd folder);
// OutOfRange if it is larger than `bytes_max`.
StatusOr<std::string> ReadFileBeneath(const std::string& folder, std::string_view name,
                                      size_t bytes_max = 16 << 20);
// As ReplaceFileUnsynced: whatever is there, but a folder, is replaced and never written to.
Status ReplaceFileBeneath(const std::string& folder, std::string_view name,
                          std::string_view content, int mode = 0644);

// For tests: as on a kernel without openat2, while it lives.
class WithoutOpenat2 {
 public:
  WithoutOpenat2();
  ~WithoutOpenat2();
};

}  // namespace allot::agent
