// CURVE key pairs (Z85 text) and the allow list that binds a public key to a name and a role.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace allot::transport {

struct KeyPair { std::string public_key, secret_key; };  // 40 characters of Z85 each
KeyPair NewKeyPair();
StatusOr<std::string> PublicKeyOf(std::string_view secret_key);
StatusOr<KeyPair> LoadKeyFile(const std::string& path);       // refuses a file others may read
Status SaveKeyFile(const std::string& path, const KeyPair& keys);  // mode 0600; never overwrites

enum class Role { kAgent, kGateway, kScheduler };
struct AllowedPeer { std::string name, public_key; Role role = Role::kAgent; };
StatusOr<std::vector<AllowedPeer>> LoadAllowFile(const std::string& path);
// Adds a peer (or replaces the key of the same name with `replace`), atomically.
Status EnrollPeer(const std::string& path, const AllowedPeer& peer, bool replace);
Status RevokePeer(const std::string& path, const std::string& name);

}  // namespace allot::transport
