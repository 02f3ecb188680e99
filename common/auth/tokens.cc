#include "common/auth/tokens.h"

#include <sodium.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "common/auth/digest.h"
#include "common/base/address.h"
#include "common/base/check.h"
#include "common/base/file_stamp.h"
#include "common/base/logging.h"
#include "common/base/loopback.h"
#include "common/base/utc.h"
#include "common/config/bind.h"
#include "common/config/convert.h"
#include "common/proto/config.pb.h"

namespace allot::auth {
namespace {

constexpr std::pair<Area, std::string_view> kAreas[] = {{Area::kModels, "models"},
                                                        {Area::kJobs, "jobs"},
                                                        {Area::kDeployments, "deployments"},
                                                        {Area::kCluster, "cluster"},
                                                        {Area::kMetrics, "metrics"}};

std::string Hex(const Digest& digest) {
  std::string hex;
  for (const unsigned char byte : digest) hex += fmt::format("{:02x}", byte);
  return hex;
}

std::optional<Digest> ParseHex(std::string_view hex) {
  Digest digest{};
  if (hex.size() != 2 * digest.size()) return std::nullopt;
  const auto nibble = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  for (size_t i = 0; i < digest.size(); ++i) {
    const int high = nibble(hex[2 * i]), low = nibble(hex[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    digest[i] = static_cast<unsigned char>(high * 16 + low);
  }
  return digest;
}

constexpr size_t kAddressBytesMax = 64;  // IPv6 with a zone is shorter
constexpr auto kLookEvery = std::chrono::milliseconds(200);

Status NotOver(const Principal& principal, Time now) {
  if (!principal.expires || *principal.expires > now) return absl::OkStatus();
  return Unauthenticated("the token \"{}\" expired on {}; ask for a new one", principal.name,
                         FormatUtc(*principal.expires));
}

struct Entry {
  Digest digest{};
  Principal principal;
};

StatusOr<std::vector<Entry>> LoadEntries(const std::string& file) {
  ASSIGN_OR_RETURN(const config::Tokens tokens, config::LoadChecked<config::Tokens>(file));
  std::vector<Entry> entries;
  entries.reserve(tokens.tokens_size());
  for (const config::Token& token : tokens.tokens()) {
    const std::optional<Digest> digest = ParseHex(token.sha256());
    const std::optional<Role> role = ParseRole(token.role());
    CHECK(digest.has_value() && role.has_value());  // LoadChecked has seen to it.
    Principal principal{token.name(), *role, token.tenant()};
    for (const std::string& word : token.only()) principal.scope.only.push_back(*ParseArea(word));
    principal.scope.deployments.assign(token.deployments().begin(), token.deployments().end());
    if (!token.expires().empty()) principal.expires = *ParseUtc(token.expires());
    entries.push_back({*digest, std::move(principal)});
  }
  return entries;
}

bool IsBearer(std::string_view word) {
  constexpr std::string_view kBearer = "bearer";
  if (word.size() != kBearer.size()) return false;
  for (size_t i = 0; i < word.size(); ++i)
    if ((word[i] | 0x20) != kBearer[i]) return false;
  return true;
}

// The token of "Bearer TOKEN"; empty if it is anything else.
std::string_view TokenOf(std::string_view authorization) {
  const size_t space = authorization.find(' ');
  if (space == std::string_view::npos || !IsBearer(authorization.substr(0, space))) return {};
  authorization.remove_prefix(space);
  while (!authorization.empty() && authorization.front() == ' ') authorization.remove_prefix(1);
  while (!authorization.empty() && authorization.back() == ' ') authorization.remove_suffix(1);
  return authorization;
}

}  // namespace

std::string_view ToString(Role role) {
  switch (role) {
    case Role::kViewer:
      return "viewer";
    case Role::kUser:
      return "user";
    case Role::kAdmin:
      return "admin";
  }
  return "unknown";
}

std::string_view ToString(Area area) {
  for (const auto& [one, word] : kAreas)
    if (one == area) return word;
  return "unknown";
}

std::optional<Area> ParseArea(std::string_view text) {
  for (const auto& [area, word] : kAreas)
    if (word == text) return area;
  return std::nullopt;
}

Time WallClock() {
  return Time(
      std::chrono::duration_cast<Duration>(std::chrono::system_clock::now().time_since_epoch()));
}

std::optional<Role> ParseRole(std::string_view text) {
  for (Role role : {Role::kViewer, Role::kUser, Role::kAdmin})
    if (ToString(role) == text) return role;
  return std::nullopt;
}

Status Require(const Principal& principal, Role needed) {
  if (principal.role >= needed) return absl::OkStatus();
  return PermissionDenied("token \"{}\" has role {}; this needs {}", principal.name,
                          ToString(principal.role), ToString(needed));
}

struct Tokens::Impl {
  Options options;
  FileStamp stamp;
  std::chrono::steady_clock::time_point looked;  // for Standing
  std::vector<Entry> entries, learned;
  uint64_t version = 1;
  Status reload_error;
  struct Use {
    Time time;
    std::string address;
    bool fresh = true;  // not told by TakeUses
  };
  std::map<Digest, Use> uses;  // of tokens in force only

  void ReloadIfChanged() {
    if (options.file.empty()) return;
    const FileStamp now = StampOf(options.file);
    if (now == stamp) return;
    stamp = now;
    StatusOr<std::vector<Entry>> loaded = LoadEntries(options.file);
    reload_error = loaded.status();
    // Once for every version of the file: whoever has just revoked a token must hear that it was
    // not, and a file that stays broken must not fill the log.
    if (!loaded.ok()) {
      spdlog::error(
          "the tokens file cannot be used; the {} tokens read before stay valid, revoked ones "
          "among them, until it can: {}",
          entries.size(), MessageOf(loaded.status()));
    } else {
      spdlog::info("tokens read again file={} tokens={}", options.file, loaded->size());
      entries = *std::move(loaded);
      ++version;
      ForgetUses();
    }
  }

  const Entry* EntryOf(const Digest& digest) const {
    for (const std::vector<Entry>* list : {&entries, &learned})
      for (const Entry& entry : *list)
        if (entry.digest == digest) return &entry;
    return nullptr;
  }

  void ForgetUses() {
    std::erase_if(uses, [this](const auto& use) { return EntryOf(use.first) == nullptr; });
  }

  void NoteUse(const Digest& digest, std::string_view peer) {
    Use& use = uses[digest];
    use.time = options.now();
    use.fresh = true;
    const std::optional<Address> address = ParseAddress(peer);
    const std::string_view host =
        address ? std::string_view(address->host) : peer.substr(0, kAddressBytesMax);
    if (use.address != host) use.address = host;
  }

  TokenUse ToUse(const Digest& digest, const Use& use) const {
    const Entry* const entry = EntryOf(digest);
    CHECK(entry != nullptr);  // ForgetUses has seen to it.
    return {entry->principal.name, Hex(digest), use.time, use.address};
  }

  // Looks at every entry whatever it finds, so that time tells nothing about the list.
  const Entry* Find(std::string_view token) const {
    const Digest digest = Sha256(token);
    const Entry* found = nullptr;
    for (const std::vector<Entry>* list : {&learned, &entries})
      for (const Entry& entry : *list)
        if (sodium_memcmp(digest.data(), entry.digest.data(), digest.size()) == 0) found = &entry;
    return found;
  }
};

Tokens::Tokens(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokens::~Tokens() = default;

StatusOr<std::unique_ptr<Tokens>> Tokens::Load(Options options) {
  if (options.file.empty() && !options.open && !options.learns)
    return InvalidArgument(
        "tokens_file is missing; name one (`allot keys token` adds to it), or set auth: none for a "
        "cluster on this machine only");
  auto impl = std::make_unique<Impl>();
  impl->options = std::move(options);
  if (!impl->options.file.empty()) {
    impl->stamp = StampOf(impl->options.file);
    ASSIGN_OR_RETURN(impl->entries, LoadEntries(impl->options.file));
  }
  return std::unique_ptr<Tokens>(new Tokens(std::move(impl)));
}

Status Tokens::Standing(std::string_view authorization) {
  const auto now = std::chrono::steady_clock::now();
  if (now - impl_->looked >= kLookEvery) {
    impl_->looked = now;
    impl_->ReloadIfChanged();
  }
  const std::string_view token = TokenOf(authorization);
  if (token.empty()) return absl::OkStatus();
  const Entry* const entry = impl_->Find(token);
  if (entry != nullptr) return NotOver(entry->principal, impl_->options.now());
  return impl_->options.open
             ? absl::OkStatus()
             : Unauthenticated("the token that this began with was removed");
}

StatusOr<Principal> Tokens::Authenticate(std::string_view authorization, std::string_view peer) {
  impl_->ReloadIfChanged();
  const std::string_view token = TokenOf(authorization);
  if (!token.empty()) {
    if (const Entry* entry = impl_->Find(token); entry != nullptr) {
      const Principal& principal = entry->principal;
      RETURN_IF_ERROR(NotOver(principal, impl_->options.now()));
      impl_->NoteUse(entry->digest, peer);
      return principal;
    }
  }
  if (impl_->options.open) return Principal{"local", Role::kAdmin, ""};
  if (authorization.empty())
    return Unauthenticated("no token; send the header \"Authorization: Bearer TOKEN\"");
  if (token.empty()) return Unauthenticated("the Authorization header is not \"Bearer TOKEN\"");
  return Unauthenticated("the token is not known; `allot user add` makes one");
}

const Status& Tokens::Reload() {
  impl_->ReloadIfChanged();
  return impl_->reload_error;
}

void Tokens::SetLearned(const std::vector<TokenRow>& rows) {
  impl_->learned.clear();
  for (const TokenRow& row : rows)
    if (const std::optional<Digest> digest = ParseHex(row.sha256))
      impl_->learned.push_back({*digest, row.principal});
  impl_->ForgetUses();
}

std::vector<TokenRow> Tokens::rows() const {
  std::vector<TokenRow> rows;
  for (const Entry& entry : impl_->entries) rows.push_back({Hex(entry.digest), entry.principal});
  return rows;
}

std::vector<TokenUse> Tokens::uses() const {
  std::vector<TokenUse> out;
  for (const auto& [digest, use] : impl_->uses) out.push_back(impl_->ToUse(digest, use));
  return out;
}

std::vector<TokenUse> Tokens::TakeUses(size_t most) {
  std::vector<TokenUse> out;
  for (auto& [digest, use] : impl_->uses) {
    if (out.size() == most) break;
    if (std::exchange(use.fresh, false)) out.push_back(impl_->ToUse(digest, use));
  }
  return out;
}

void Tokens::NoteUses(const std::vector<TokenUse>& uses) {
  const Time now = impl_->options.now();
  for (const TokenUse& use : uses) {
    const std::optional<Digest> digest = ParseHex(use.sha256);
    if (!digest || impl_->EntryOf(*digest) == nullptr) continue;
    const Time time = std::min(use.time, now);
    const auto [known, is_new] = impl_->uses.try_emplace(*digest, Impl::Use{});
    if (!is_new && known->second.time >= time) continue;
    known->second = {time, use.address.substr(0, kAddressBytesMax)};
  }
}

size_t Tokens::Expiring(Duration within) const {
  const Time now = impl_->options.now();
  return static_cast<size_t>(
      std::count_if(impl_->entries.begin(), impl_->entries.end(), [&](const Entry& entry) {
        const std::optional<Time>& ends = entry.principal.expires;
        return ends && *ends > now && *ends <= now + within;
      }));
}

size_t Tokens::Expired() const {
  const Time now = impl_->options.now();
  return static_cast<size_t>(
      std::count_if(impl_->entries.begin(), impl_->entries.end(), [&](const Entry& entry) {
        return entry.principal.expires && *entry.principal.expires <= now;
      }));
}

uint64_t Tokens::version() const { return impl_->version; }

Status CheckLoopback(std::string_view what, std::string_view host_port) {
  const size_t colon = host_port.rfind(':');
  const std::string_view host = host_port.substr(0, colon);
  if (colon != std::string_view::npos && IsLoopbackHost(host)) return absl::OkStatus();
  return InvalidArgument(
      "{} is \"{}\", but with local: true only loopback addresses may listen; use 127.0.0.1:PORT, "
      "or give tokens and leave out local",
      what, host_port);
}

}  // namespace allot::auth
