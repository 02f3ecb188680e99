#include "client/local/token.h"

#include <sys/stat.h>

#include <charconv>

#include "client/local/addresses.h"
#include "client/local/files.h"
#include "client/local/processes.h"
#include "client/tokens.h"
#include "common/auth/tokens.h"
#include "common/base/loopback.h"

namespace allot::client::local {
namespace {

constexpr char kName[] = "local";

std::string_view NextWord(std::string_view* line) {
  line->remove_prefix(std::min(line->find_first_not_of(' '), line->size()));
  const std::string_view word = line->substr(0, line->find(' '));
  line->remove_prefix(word.size());
  return word;
}

// "http://127.0.0.1:7401", or with a slash behind it.
std::string_view HostPortOf(std::string_view url) {
  const size_t scheme = url.find("://");
  if (scheme != std::string_view::npos) url.remove_prefix(scheme + 3);
  return url.substr(0, url.find('/'));
}

// Loopback has several names.
bool SamePlace(std::string_view a, std::string_view b) {
  return !a.empty() && (a == b || (IsLoopbackAuthority(a) && IsLoopbackAuthority(b) &&
                                   a.substr(a.rfind(':')) == b.substr(b.rfind(':'))));
}

Status CheckListener(const std::string& file, std::string_view host_port) {
  struct stat owner {};
  if (stat(file.c_str(), &owner) != 0) return absl::OkStatus();
  uint16_t port = 0;
  const std::string_view digits = host_port.substr(host_port.rfind(':') + 1);
  std::from_chars(digits.data(), digits.data() + digits.size(), port);
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    const StatusOr<std::string> text = ReadFile(table);
    const std::optional<uint32_t> user = text.ok() ? ListenerOf(*text, port) : std::nullopt;
    if (!user || *user == owner.st_uid || *user == 0) continue;
    return FailedPrecondition(
        "what listens at {} belongs to user {}, and the token in {} to user {}, so it is not sent "
        "there; `allot local status` tells whether the cluster is up",
        host_port, *user, file, owner.st_uid);
  }
  return absl::OkStatus();
}

}  // namespace

std::string TokenFile(const std::string& folder) { return folder + "/keys/owner.token"; }

Status MakeToken(const std::string& folder) {
  const std::string file = TokenFile(folder), digests = folder + "/tokens.yaml";
  if (Exists(file) && Exists(digests)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::string token, auth::NewToken());
  RETURN_IF_ERROR(
      AddToken(digests, {kName, "admin", "", auth::Sha256Hex(token)}, /*replace=*/true));
  return WriteFile(file, token + "\n", 0600);
}

StatusOr<std::string> TokenFor(const std::string& folder, const std::string& url) {
  const std::string file = TokenFile(folder);
  if (!Exists(file)) return std::string();
  const std::string_view there = HostPortOf(url);
  if (!SamePlace(LocalApi(folder), there)) return std::string();
  // Whoever has made something else of its config has tokens of his own.
  const StatusOr<std::string> config = ReadFile(folder + "/scheduler.yaml");
  if (!config.ok() || config->find("\nlocal: true\n") == std::string::npos) return std::string();
  // Another user's cluster: the server says that a token is needed.
  StatusOr<std::string> token = ReadFile(file);
  if (!token.ok()) return std::string();
  RETURN_IF_ERROR(CheckListener(file, there));
  while (!token->empty() && (token->back() == '\n' || token->back() == ' ')) token->pop_back();
  return *std::move(token);
}

StatusOr<std::string> TokenAt(const std::string& url) {
  if (!IsLoopbackAuthority(HostPortOf(url))) return std::string();
  for (const std::string& folder : FoldersInUse()) {
    ASSIGN_OR_RETURN(std::string token, TokenFor(folder, url));
    if (!token.empty()) return token;
  }
  return std::string();
}

std::optional<uint32_t> ListenerOf(std::string_view table, uint16_t port) {
  constexpr std::string_view kListens = "0A";
  while (!table.empty()) {
    std::string_view line = table.substr(0, table.find('\n'));
    table.remove_prefix(std::min(line.size() + 1, table.size()));
    NextWord(&line);  // its number
    const std::string_view local = NextWord(&line);
    NextWord(&line);  // the other end
    if (NextWord(&line) != kListens) continue;
    const size_t colon = local.rfind(':');
    if (colon == std::string_view::npos) continue;
    uint16_t its = 0;
    std::from_chars(local.data() + colon + 1, local.data() + local.size(), its, 16);
    if (its != port) continue;
    for (int skipped = 0; skipped < 3; ++skipped) NextWord(&line);  // queues, timer, retransmits
    const std::string_view word = NextWord(&line);
    uint32_t user = 0;
    const auto [end, wrong] = std::from_chars(word.data(), word.data() + word.size(), user);
    if (wrong == std::errc() && end == word.data() + word.size()) return user;
  }
  return std::nullopt;
}

}  // namespace allot::client::local
