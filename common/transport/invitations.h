// Invitations: who may enrol a key of its own, once, until when (ADR 15).
//
// An invitation is a key pair. Its public key stands in a file beside the allow list with the name
// and role it is for; its secret key is carried to the machine that is to join. Whoever dials the
// scheduler with it may do one thing: name the public key of a pair made there, which then takes
// its place in the allow list. So no secret of a node ever leaves it, what travels is good once and
// for a short time, and both sides are proven by keys while it is used.
//
// Thread-safe: no state. Edited under a lock and by rename, as the allow list.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/base/units.h"
#include "common/transport/keys.h"

namespace allot::transport {

struct Invitation {
  std::string name, public_key;
  Role role = Role::kAgent;  // of the peer that is invited
  Time expires;
};

// By this machine's clock: the one by which invitations expire.
Time WallClock();

// "…/allow.invitations.yaml" for "…/allow.yaml".
std::string InvitationsFile(const std::string& allow_file);
// Empty if there is no such file.
StatusOr<std::vector<Invitation>> LoadInvitations(const std::string& path);

// Takes the place of an earlier one for the same name. AlreadyExists: the name is in the allow
// list, in another role, or in this one without `again` (the peer there would lose its place).
Status Invite(const std::string& allow_file, const Invitation& invitation, Time now, bool again);
// NotFound if there is none for the name.
Status Uninvite(const std::string& allow_file, const std::string& name);
// Who holds the invitation for `name` and `role` becomes a peer with this key, and the invitation
// is over. NotFound: it has been used, withdrawn or replaced; DeadlineExceeded: it is too old.
Status AcceptInvitation(const std::string& allow_file, const AllowedPeer& peer, Time now);

// The name under which an invited peer speaks ("agent/node-7"): no peer of the allow list has a
// name with a slash.
std::string InvitedName(const Invitation& invitation);
struct Invited {
  std::string name;
  Role role = Role::kAgent;
};
std::optional<Invited> ParseInvitedName(std::string_view name);

}  // namespace allot::transport
