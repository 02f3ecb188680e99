#include "common/transport/invitations.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>

#include "common/base/check.h"
#include "common/config/convert.h"
#include "common/proto/config.pb.h"
#include "common/transport/locked_file.h"

namespace allot::transport {
namespace {

constexpr char kWhat[] = "list of invitations";

StatusOr<std::vector<Invitation>> Parse(const std::string& text, const std::string& path) {
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) return std::vector<Invitation>();
  config::Invitations list;
  RETURN_IF_ERROR(config::BindChecked(text, path, &list));
  std::vector<Invitation> invitations;
  for (const config::Invitation& in : list.invitations()) {
    const std::optional<Role> role = ParseRole(in.role());
    CHECK(role.has_value());  // BindChecked has seen to it.
    invitations.push_back({.name = in.name(),
                           .public_key = in.public_key(),
                           .role = *role,
                           .expires = FromMicros(std::llround(in.expires() * 1e6))});
  }
  return invitations;
}

std::string Format(const std::vector<Invitation>& invitations) {
  std::string text = "# Who may enrol. Kept by `allot node add` and `allot gateway add`.\n";
  text += invitations.empty() ? "invitations: []\n" : "invitations:\n";
  for (const Invitation& one : invitations) {
    text += fmt::format("  - name: '{}'\n    public_key: '{}'\n    role: {}\n    expires: {:.6f}\n",
                        one.name, one.public_key, RoleName(one.role),
                        static_cast<double>(ToMicros(one.expires)) / 1e6);
  }
  return text;
}

using Edit = std::function<Status(std::vector<Invitation>&)>;

Status EditInvitations(const std::string& allow_file, bool create, const Edit& edit) {
  const std::string path = InvitationsFile(allow_file);
  return EditLocked(path, kWhat, create, [&](std::string* text) -> Status {
    ASSIGN_OR_RETURN(std::vector<Invitation> invitations, Parse(*text, path));
    RETURN_IF_ERROR(edit(invitations));
    *text = Format(invitations);
    return absl::OkStatus();
  });
}

}  // namespace

Time WallClock() {
  return Time(std::chrono::duration_cast<Duration>(
      std::chrono::system_clock::now().time_since_epoch()));
}

std::string InvitationsFile(const std::string& allow_file) {
  constexpr std::string_view kYaml = ".yaml";
  const bool yaml = allow_file.ends_with(kYaml);
  return allow_file.substr(0, allow_file.size() - (yaml ? kYaml.size() : 0)) + ".invitations.yaml";
}

StatusOr<std::vector<Invitation>> LoadInvitations(const std::string& path) {
  const StatusOr<std::string> text = ReadGuarded(path, kWhat);
  if (absl::IsNotFound(text.status())) return std::vector<Invitation>();
  RETURN_IF_ERROR(text.status());
  return Parse(*text, path);
}

Status Invite(const std::string& allow_file, const Invitation& invitation, Time now, bool again) {
  // Checked on its own first, so that the error speaks of the new one and no file is made.
  RETURN_IF_ERROR(Parse(Format({invitation}), "new invitation").status());
  ASSIGN_OR_RETURN(const std::vector<AllowedPeer> peers, LoadAllowFile(allow_file));
  for (const AllowedPeer& peer : peers) {
    if (peer.name != invitation.name) continue;
    if (peer.role != invitation.role) {
      return AlreadyExists("\"{}\" is the name of a {} of this cluster; choose another", peer.name,
                           RoleName(peer.role));
    }
    if (!again) {
      return AlreadyExists(
          "\"{}\" has joined already; --again lets it join anew, with a new key in place of the "
          "old",
          peer.name);
    }
  }
  return EditInvitations(allow_file, /*create=*/true, [&](std::vector<Invitation>& list) {
    std::erase_if(list, [&](const Invitation& other) {
      return other.name == invitation.name || other.expires <= now;
    });
    list.push_back(invitation);
    return absl::OkStatus();
  });
}

Status Uninvite(const std::string& allow_file, const std::string& name) {
  return EditInvitations(
      allow_file, /*create=*/false, [&](std::vector<Invitation>& list) -> Status {
        if (std::erase_if(list, [&](const Invitation& one) { return one.name == name; }) == 0) {
          return NotFound("\"{}\" has no invitation", name);
        }
        return absl::OkStatus();
      });
}

Status AcceptInvitation(const std::string& allow_file, const AllowedPeer& peer, Time now) {
  const auto is_it = [&](const Invitation& one) {
    return one.name == peer.name && one.role == peer.role;
  };
  // Over before the key is in force: whatever happens in between, it is good for one key at most.
  RETURN_IF_ERROR(
      EditInvitations(allow_file, /*create=*/true, [&](std::vector<Invitation>& list) -> Status {
        const auto found = std::find_if(list.begin(), list.end(), is_it);
        if (found == list.end()) {
          return NotFound(
              "the invitation for \"{}\" is not good any more; it was used or withdrawn",
              peer.name);
        }
        if (found->expires <= now) {
          return DeadlineExceeded("the invitation for \"{}\" is too old", peer.name);
        }
        if (found->public_key == peer.public_key) {
          return InvalidArgument("\"{}\" needs a key of its own, not that of its invitation",
                                 peer.name);
        }
        list.erase(found);
        return absl::OkStatus();
      }));
  return EnrollPeer(allow_file, peer, /*replace=*/true);
}

std::string InvitedName(const Invitation& invitation) {
  return fmt::format("{}/{}", RoleName(invitation.role), invitation.name);
}

std::optional<Invited> ParseInvitedName(std::string_view name) {
  const size_t slash = name.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const std::optional<Role> role = ParseRole(name.substr(0, slash));
  if (!role) return std::nullopt;
  return Invited{std::string(name.substr(slash + 1)), *role};
}

}  // namespace allot::transport
