// Bearer tokens of people and clients, shared by the scheduler's API and the gateway.
//
// The tokens file (config::Tokens) holds SHA-256 digests, never tokens; `allot user add` and `allot
// keys token` make both. A token may have an end, and a scope (authorizer.h). When and whence each
// was used last is remembered (uses.h keeps it). The file is looked at on every call and read again
// when it has changed. A file that turns unreadable or wrong leaves the last good list in force,
// with an error in the log for every version of it and a gauge in both programs (Reload says why);
// at the start it is an error. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/base/units.h"

namespace allot::auth {

// Each role may do what the ones before it may.
enum class Role : uint8_t { kViewer, kUser, kAdmin };
std::string_view ToString(Role role);  // "viewer", "user", "admin"
std::optional<Role> ParseRole(std::string_view text);

// What a token may be for.
enum class Area : uint8_t { kModels, kJobs, kDeployments, kCluster, kMetrics };
std::string_view ToString(Area area);  // "models", "jobs", …
std::optional<Area> ParseArea(std::string_view text);

struct Scope {
  std::vector<Area> only = {};                // empty: all
  std::vector<std::string> deployments = {};  // names, with * and ?; empty: any
  bool limits() const { return !only.empty() || !deployments.empty(); }
};

struct Principal {
  std::string name;
  Role role = Role::kViewer;
  std::string tenant;  // empty: not bound to one
  Scope scope = {};
  std::optional<Time> expires = {};
};

// PermissionDenied, naming both roles, unless `principal` has at least `needed`.
Status Require(const Principal& principal, Role needed);

// One line of a tokens file.
struct TokenRow {
  std::string sha256;  // 64 hex digits
  Principal principal;
};

// When and whence a token was used last. Whose digest it is, it is of: a name may get a new token.
struct TokenUse {
  std::string name, sha256;
  Time time;
  std::string address;  // without the port; may be empty
  bool operator==(const TokenUse&) const = default;
};

Time WallClock();

class Tokens {
 public:
  struct Options {
    std::string file;     // empty: nobody has a token …
    bool learns = false;  // … but those that SetLearned brings
    bool open = false;    // anyone who can reach the socket is admin (loopback listeners only)
    std::function<Time()> now = WallClock;
  };
  // Errors: an unreadable or invalid file; neither a file nor `open` nor `learns`.
  static StatusOr<std::unique_ptr<Tokens>> Load(Options options);
  ~Tokens();

  // `authorization` is the header's value: "Bearer TOKEN"; `peer` whence it comes, "IP:PORT".
  // Unauthenticated if there is none, it is not known, or its time is over. With `open` a known
  // token still gives its own principal and anything else the local administrator: OpenAI clients
  // cannot be told to send no key.
  StatusOr<Principal> Authenticate(std::string_view authorization, std::string_view peer = {});

  // Whether what such a header began may go on: its token is in force still. OK where there was
  // none. Looks at the file a few times a second; is no use of the token.
  Status Standing(std::string_view authorization);

  // Reads the file again if it has changed, as every Authenticate does. Why its newest version was
  // refused; ok when the list in force is the file's.
  const Status& Reload();

  // Tokens that count beside the file's, whose digests win; in place of the earlier ones. Rows that
  // are no tokens are left out.
  void SetLearned(const std::vector<TokenRow>& rows);
  // The file's, as read last, and a number that grows with each version of them.
  std::vector<TokenRow> rows() const;
  uint64_t version() const;

  // Of tokens that are in force.
  std::vector<TokenUse> uses() const;
  // Those of uses() that are newer than what this told before, `most` of them at a time.
  std::vector<TokenUse> TakeUses(size_t most = 500);
  // What others have seen: the later of two uses counts, and of the future none does. Uses of what
  // is not in force are left out.
  void NoteUses(const std::vector<TokenUse>& uses);

  // How many of the file's end within `within` from now, and how many have ended.
  size_t Expiring(Duration within) const;
  size_t Expired() const;

 private:
  struct Impl;
  explicit Tokens(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Lower-case hex of the SHA-256 of `text`: what a tokens file holds.
std::string Sha256Hex(std::string_view text);
// A new token: "allot-" and 43 characters of 256 random bits.
StatusOr<std::string> NewToken();

// InvalidArgument unless "host:port" is a loopback address; `local` may listen nowhere else.
Status CheckLoopback(std::string_view what, std::string_view host_port);

}  // namespace allot::auth
