// Talking to a scheduler over its link, as a machine that is to join.
//
// Both sides are proven by keys: the scheduler's is in the invitation, ours is the invitation's
// first and our own afterwards. Each call blocks.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "client/enroll/invitation.h"
#include "common/base/status.h"
#include "common/base/units.h"

namespace allot::client {

using Interrupted = std::function<bool()>;  // looked at at least ten times a second

// Does a scheduler admit these keys? False: it refuses them. Unavailable: none could be reached;
// the error says what each endpoint said. Cancelled: interrupted.
StatusOr<bool> IsAdmitted(const InvitationWord& invitation, const transport::KeyPair& keys,
                          Duration timeout, const Interrupted& interrupted);

// Has `public_key` entered in the place of the invitation. Returns where the scheduler says that it
// is, which may be nothing. PermissionDenied: the invitation is used, withdrawn or too old;
// Unavailable, Cancelled as above.
StatusOr<std::vector<std::string>> Enrol(const InvitationWord& invitation,
                                         const std::string& public_key, Duration timeout,
                                         const Interrupted& interrupted);

}  // namespace allot::client
