// The word that `allot node add` prints and `allot node join` takes: where the scheduler is, its
// public key, and the secret key of an invitation (common/transport/invitations.h).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/transport/keys.h"

namespace allot::enroll {

struct InvitationWord {
  std::string name;
  transport::Role role = transport::Role::kAgent;
  std::vector<std::string> endpoints;  // tcp://HOST:PORT of the scheduler
  std::string scheduler_public_key, secret_key;
  bool operator==(const InvitationWord&) const = default;
};

// Letters, digits, "-", "_" and ".": no shell reads anything into it.
std::string Spell(const InvitationWord& invitation);
// InvalidArgument: it is no such word, or a part of it is missing.
StatusOr<InvitationWord> ParseInvitation(std::string_view word);

}  // namespace allot::enroll
