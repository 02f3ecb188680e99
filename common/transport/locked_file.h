// Small files that several programs edit at once: read whole, rewritten under a lock and by rename,
// so that a reader never sees half of one. Internal to common/transport. Thread-safe: no state.
//
// `what` begins errors ("allow list").
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace allot::transport {

// NotFound; PermissionDenied for a file that everybody may write: it decides who may connect.
StatusOr<std::string> ReadGuarded(const std::string& path, std::string_view what);

// `edit` is given the text and changes it; an error leaves the file as it is. NotFound if there is
// none and `create` is not set. Owner and mode stay; a new file belongs to the folder's owner, so
// that an administrator who edits it does not take it from the program that reads it.
Status EditLocked(const std::string& path, std::string_view what, bool create,
                  const std::function<Status(std::string*)>& edit);

// Without a lock: the whole file, atomically.
Status ReplaceFile(const std::string& path, std::string_view text, unsigned mode);

}  // namespace allot::transport
