// CURVE key pairs (Z85 text) and the allow list that binds a public key to a name and a role.
//
// Thread-safe: no state. The allow list is rewritten whole (comments are not kept) under a lock
// on the file and by rename, so that two programs may edit it at once and a reader never sees
// half a list. Names are unique in it, and so are keys.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/base/units.h"

namespace allot::transport {

struct KeyPair {
  std::string public_key, secret_key;
};  // 40 characters of Z85 each
KeyPair NewKeyPair();
StatusOr<std::string> PublicKeyOf(std::string_view secret_key);
// Forty characters of Z85? `what` starts the error ("server_public_key").
Status CheckKeyText(std::string_view key, std::string_view what);
StatusOr<KeyPair> LoadKeyFile(const std::string& path);            // refuses a file others may read
Status SaveKeyFile(const std::string& path, const KeyPair& keys);  // mode 0600; never overwrites

// By rename, mode 0600. `until`: when the key before it ends to serve, for whoever renews them.
Status ReplaceKeyFile(const std::string& path, const KeyPair& keys, Time until = {});

// kInvited: holds an invitation (invitations.h) and may do nothing but enrol. In no allow list.
enum class Role { kAgent, kGateway, kScheduler, kInvited };
std::string_view RoleName(Role role);  // "agent"
std::optional<Role> ParseRole(std::string_view name);

struct AllowedPeer {
  std::string name, public_key;
  Role role = Role::kAgent;
  // The key before this one, if it was renewed: no connection is made by it any more, and those
  // that were are heard until then.
  std::string retired_key = {};
  Time retired_until = {};
};
// Refuses a file that everybody may write: it decides who may connect.
StatusOr<std::vector<AllowedPeer>> LoadAllowFile(const std::string& path);
// Replaces the whole list, atomically.
Status SaveAllowFile(const std::string& path, const std::vector<AllowedPeer>& peers);
// Adds a peer (or replaces the key of the same name with `replace`), atomically. Creates the
// file if there is none. Enrolling the same name, key and role again is fine.
Status EnrollPeer(const std::string& path, const AllowedPeer& peer, bool replace);
// The peer that has proven `proven` has `next` from now on, and its connections by `proven` stay
// until `until`. Again is fine. PermissionDenied: `proven` is not its key (any more).
Status RenewPeerKey(const std::string& path, const std::string& name, const std::string& proven,
                    const std::string& next, Time until);
Status RevokePeer(const std::string& path, const std::string& name);

}  // namespace allot::transport
