// When tokens were used last, on disk: one line a token, in a small file beside the store that is
// written now and then, not with each request. What a crash loses is a minute's uses.
//
//   # …
//   <sha256> <2027-01-31T18:00:00Z> <address or -> <name>
//
// No state; any thread.
#pragma once

#include <string>
#include <vector>

#include "common/auth/tokens.h"

namespace allot::auth {

inline constexpr std::string_view kUsesFileName = "token_uses";  // in the scheduler's state_dir

// No file: nothing was used. Lines that are none are left out: nothing is decided by this file.
StatusOr<std::vector<TokenUse>> LoadUses(const std::string& path);
// By rename, mode 0600.
Status SaveUses(const std::string& path, const std::vector<TokenUse>& uses);

}  // namespace allot::auth
