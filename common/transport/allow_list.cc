// The allow list on disk.
#include <cmath>
#include <utility>

#include "common/base/check.h"
#include "common/config/convert.h"
#include "common/proto/config.pb.h"
#include "common/transport/keys.h"
#include "common/transport/locked_file.h"

namespace allot::transport {
namespace {

constexpr char kWhat[] = "allow list";

StatusOr<std::vector<AllowedPeer>> Parse(const std::string& text, const std::string& path) {
  // A list just created by EnrollPeer is empty, and so is one whose peers are all gone.
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) return std::vector<AllowedPeer>();
  config::AllowList list;
  RETURN_IF_ERROR(config::BindChecked(text, path, &list));
  std::vector<AllowedPeer> peers;
  peers.reserve(list.peers_size());
  for (const config::AllowedPeer& peer : list.peers()) {
    const std::optional<Role> role = ParseRole(peer.role());
    CHECK(role.has_value());  // BindChecked has seen to it.
    peers.push_back({.name = peer.name(),
                     .public_key = peer.public_key(),
                     .role = *role,
                     .retired_key = peer.retired_key(),
                     .retired_until = FromMicros(std::llround(peer.retired_until() * 1e6))});
  }
  return peers;
}

std::string Format(const std::vector<AllowedPeer>& peers) {
  std::string text = "# Who may connect. Kept by `allot keys`; comments are not kept.\n";
  text += peers.empty() ? "peers: []\n" : "peers:\n";
  for (const AllowedPeer& peer : peers) {
    text += fmt::format("  - name: '{}'\n    public_key: '{}'\n    role: {}\n", peer.name,
                        peer.public_key, RoleName(peer.role));
    if (!peer.retired_key.empty())
      text += fmt::format("    retired_key: '{}'\n    retired_until: {:.6f}\n", peer.retired_key,
                          static_cast<double>(ToMicros(peer.retired_until)) / 1e6);
  }
  return text;
}

using Edit = std::function<Status(std::vector<AllowedPeer>&)>;

Status EditAllowFile(const std::string& path, bool create, const Edit& edit) {
  return EditLocked(path, kWhat, create, [&](std::string* text) -> Status {
    ASSIGN_OR_RETURN(std::vector<AllowedPeer> peers, Parse(*text, path));
    RETURN_IF_ERROR(edit(peers));
    *text = Format(peers);
    return absl::OkStatus();
  });
}

}  // namespace

std::string_view RoleName(Role role) {
  switch (role) {
    case Role::kAgent:
      return "agent";
    case Role::kGateway:
      return "gateway";
    case Role::kScheduler:
      return "scheduler";
    case Role::kInvited:
      return "invited";
  }
  return "";
}

std::optional<Role> ParseRole(std::string_view name) {
  for (Role role : {Role::kAgent, Role::kGateway, Role::kScheduler, Role::kInvited}) {
    if (name == RoleName(role)) return role;
  }
  return std::nullopt;
}

StatusOr<std::vector<AllowedPeer>> LoadAllowFile(const std::string& path) {
  StatusOr<std::string> text = ReadGuarded(path, kWhat);
  if (absl::IsNotFound(text.status())) {
    return NotFound("allow list {} does not exist; add peers with `allot keys enroll`", path);
  }
  RETURN_IF_ERROR(text.status());
  return Parse(*text, path);
}

Status SaveAllowFile(const std::string& path, const std::vector<AllowedPeer>& peers) {
  const std::string text = Format(peers);
  RETURN_IF_ERROR(Parse(text, path).status());  // What would not load is not written.
  return ReplaceFile(path, text, 0644);
}

Status EnrollPeer(const std::string& path, const AllowedPeer& peer, bool replace) {
  // Checked on its own first, so that the error speaks of the new peer and no file is made.
  RETURN_IF_ERROR(Parse(Format({peer}), "new peer").status());
  return EditAllowFile(path, /*create=*/true, [&](std::vector<AllowedPeer>& peers) -> Status {
    AllowedPeer* same_name = nullptr;
    for (AllowedPeer& other : peers) {
      if (other.name == peer.name) {
        same_name = &other;
      } else if (other.public_key == peer.public_key) {
        return AlreadyExists("the key is enrolled as \"{}\"; every peer needs a key of its own",
                             other.name);
      }
    }
    if (same_name == nullptr) {
      peers.push_back(peer);
      return absl::OkStatus();
    }
    const bool same = same_name->public_key == peer.public_key && same_name->role == peer.role;
    if (!same && !replace) {
      return AlreadyExists("\"{}\" is enrolled with another key or role; replace it or revoke it",
                           peer.name);
    }
    if (!same) *same_name = peer;  // Else what was renewed stays so.
    return absl::OkStatus();
  });
}

Status RenewPeerKey(const std::string& path, const std::string& name, const std::string& proven,
                    const std::string& next, Time until) {
  RETURN_IF_ERROR(CheckKeyText(next, "the new key"));
  return EditAllowFile(path, /*create=*/false, [&](std::vector<AllowedPeer>& peers) -> Status {
    AllowedPeer* its = nullptr;
    for (AllowedPeer& peer : peers) {
      if (peer.name == name)
        its = &peer;
      else if (peer.public_key == next || peer.retired_key == next)
        return AlreadyExists("the new key of \"{}\" is that of \"{}\"", name, peer.name);
    }
    if (its == nullptr) return NotFound("\"{}\" is not in {}", name, path);
    if (its->public_key == next && its->retired_key == proven) return absl::OkStatus();
    if (its->public_key != proven)
      return PermissionDenied("\"{}\" has another key by now than the one that was proven", name);
    its->retired_key = std::exchange(its->public_key, next);
    its->retired_until = until;
    return absl::OkStatus();
  });
}

Status RevokePeer(const std::string& path, const std::string& name) {
  return EditAllowFile(path, /*create=*/false, [&](std::vector<AllowedPeer>& peers) -> Status {
    if (std::erase_if(peers, [&](const AllowedPeer& p) { return p.name == name; }) == 0) {
      return NotFound("\"{}\" is not in {}", name, path);
    }
    return absl::OkStatus();
  });
}

}  // namespace allot::transport
