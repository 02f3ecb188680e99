// Bearer tokens of people and clients, shared by the scheduler's API and the gateway.
//
// The tokens file (config::Tokens) holds SHA-256 digests, never tokens; `allot keys token` makes
// both. The file is looked at on every call and read again when it has changed. A file that turns
// unreadable or wrong leaves the last good list in force, with an error in the log for every
// version of it and a gauge in both programs (Reload says why); at the start it is an error. One
// thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace allot::auth {

// Each role may do what the ones before it may.
enum class Role : uint8_t { kViewer, kUser, kAdmin };
std::string_view ToString(Role role);  // "viewer", "user", "admin"
std::optional<Role> ParseRole(std::string_view text);

struct Principal {
  std::string name;
  Role role = Role::kViewer;
  std::string tenant;  // empty: not bound to one
};

// PermissionDenied, naming both roles, unless `principal` has at least `needed`.
Status Require(const Principal& principal, Role needed);

// One line of a tokens file.
struct TokenRow {
  std::string sha256;  // 64 hex digits
  Principal principal;
};

class Tokens {
 public:
  struct Options {
    std::string file;     // empty: nobody has a token …
    bool learns = false;  // … but those that SetLearned brings
    bool open = false;    // anyone who can reach the socket is admin (loopback listeners only)
  };
  // Errors: an unreadable or invalid file; neither a file nor `open` nor `learns`.
  static StatusOr<std::unique_ptr<Tokens>> Load(Options options);
  ~Tokens();

  // `authorization` is the header's value: "Bearer TOKEN". Unauthenticated if there is none or it
  // is not known. With `open` a known token still gives its own principal and anything else the
  // local administrator: OpenAI clients cannot be told to send no key.
  StatusOr<Principal> Authenticate(std::string_view authorization);

  // Reads the file again if it has changed, as every Authenticate does. Why its newest version was
  // refused; ok when the list in force is the file's.
  const Status& Reload();

  // Tokens that count beside the file's, whose digests win; in place of the earlier ones. Rows that
  // are no tokens are left out.
  void SetLearned(const std::vector<TokenRow>& rows);
  // The file's, as read last, and a number that grows with each version of them.
  std::vector<TokenRow> rows() const;
  uint64_t version() const;

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
