// The token of a local cluster's owner: loopback is shared by all users of a machine, so whoever
// starts a cluster there has a token, in a file that only he can read, and `allot` finds it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace allot::client::local {

std::string TokenFile(const std::string& folder);  // FOLDER/keys/owner.token, mode 0600

// Makes the token, and enters its digest in FOLDER/tokens.yaml as administrator "local". What is
// there stays.
Status MakeToken(const std::string& folder);

// The token of the cluster in `folder`, if its API is at `url` (http://host:port); empty if it is
// not, or if nobody has made one. FailedPrecondition if what listens there belongs to another user
// than the token does: a port that is free can be taken by anybody, and then be told the token.
StatusOr<std::string> TokenFor(const std::string& folder, const std::string& url);

// The same of whichever local cluster is up at `url`, found by its scheduler's process: that is
// this user's (or we are root), and has the folder in its environment. Empty where none is, and for
// addresses that are not loopback.
StatusOr<std::string> TokenAt(const std::string& url);

// Whose socket listens on this port of loopback, by `table`, the text of /proc/net/tcp or tcp6.
std::optional<uint32_t> ListenerOf(std::string_view table, uint16_t port);

}  // namespace allot::client::local
