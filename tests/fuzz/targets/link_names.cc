// Small words on links: keys, user ids that come back from libzmq, invited names, domains.
#include "common/transport/invitations.h"
#include "common/transport/keys.h"
#include "common/transport/zap.h"
#include "tests/fuzz/fuzz.h"

namespace allot::transport {
namespace {

FUZZ(link_names) {
  if (const std::optional<UserId> user = ParseUserId(input)) {
    // A peer is told apart by role, name and key; no two of them make the same word.
    const AllowedPeer peer{.name = std::string(user->name),
                           .public_key = std::string(user->public_key),
                           .role = user->role};
    HOLDS(FormatUserId(peer) == input);
    HOLDS(DomainAdmits(ZapDomain({user->role}), user->role));
  }
  if (const std::optional<Invited> invited = ParseInvitedName(input)) {
    HOLDS(InvitedName(
              {.name = invited->name, .public_key = {}, .role = invited->role, .expires = {}}) ==
          input);
    HOLDS(input.find('/') != std::string_view::npos);
  }
  if (const Status key = CheckKeyText(input, "key"); !key.ok()) fuzz::HoldsOfError(key);
  const StatusOr<std::string> mine = PublicKeyOf(input);
  if (mine.ok()) {
    HOLDS(CheckKeyText(input, "key").ok());
    HOLDS(CheckKeyText(*mine, "key").ok());
  } else {
    fuzz::HoldsOfError(mine.status());
  }
  if (const std::optional<Role> role = ParseRole(input)) HOLDS(RoleName(*role) == input);
  for (const Role role : {Role::kAgent, Role::kGateway, Role::kScheduler})
    DomainAdmits(input, role);
}

}  // namespace
}  // namespace allot::transport
