#include "client/tokens.h"

#include <algorithm>

#include <fmt/ranges.h>

#include "client/local/files.h"
#include "client/table.h"
#include "common/base/utc.h"
#include "common/config/bind.h"
#include "common/config/convert.h"
#include "common/json/json.h"
#include "common/proto/config.pb.h"

namespace allot::client {
namespace {

Status Save(const std::string& path, const config::Tokens& tokens) {
  std::string text =
      "# Who may use the API; kept by `allot user` and `allot keys token`. Only digests stand "
      "here.\n";
  text += tokens.tokens().empty() ? "tokens: []\n" : "tokens:\n";
  for (const config::Token& token : tokens.tokens()) {
    text += fmt::format("  - name: \"{}\"\n    role: {}\n    sha256: \"{}\"\n", token.name(),
                        token.role(), token.sha256());
    if (!token.tenant().empty()) text += fmt::format("    tenant: \"{}\"\n", token.tenant());
    if (!token.expires().empty()) text += fmt::format("    expires: \"{}\"\n", token.expires());
    const auto list = [&](std::string_view key, const auto& words) {
      if (!words.empty())
        text += fmt::format("    {}: [\"{}\"]\n", key, fmt::join(words, "\", \""));
    };
    list("only", token.only());
    list("deployments", token.deployments());
  }
  config::Tokens checked;  // The name may be no name; then nothing is written.
  RETURN_IF_ERROR(config::BindChecked(text, path, &checked));
  return local::WriteFile(path, text, 0600);
}

}  // namespace

Status AddToken(const std::string& path, const TokenRow& row, bool replace) {
  config::Tokens tokens;
  if (local::Exists(path)) {
    ASSIGN_OR_RETURN(tokens, config::LoadChecked<config::Tokens>(path));
  }
  config::Token* place = nullptr;
  for (config::Token& token : *tokens.mutable_tokens())
    if (token.name() == row.name) place = &token;
  if (place != nullptr && !replace)
    return AlreadyExists("{} has a token named {} already; --replace makes the old one useless",
                         path, row.name);
  if (place == nullptr) place = tokens.add_tokens();
  place->set_name(row.name);
  place->set_role(row.role);
  place->set_tenant(row.tenant);
  place->set_sha256(row.sha256);
  place->set_expires(row.expires);
  place->mutable_only()->Assign(row.only.begin(), row.only.end());
  place->mutable_deployments()->Assign(row.deployments.begin(), row.deployments.end());
  // They go into the file between quotes; a name of a deployment holds none.
  for (const std::string& glob : row.deployments)
    if (glob.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789.-*?") != std::string::npos)
      return InvalidArgument("--deployments {}: names of deployments, which may hold * and ?",
                             glob);
  return Save(path, tokens);
}

StatusOr<std::vector<TokenRow>> ListTokens(const std::string& path) {
  ASSIGN_OR_RETURN(const config::Tokens tokens, config::LoadChecked<config::Tokens>(path));
  std::vector<TokenRow> rows;
  for (const config::Token& token : tokens.tokens())
    rows.push_back({token.name(),
                    token.role(),
                    token.tenant(),
                    token.sha256(),
                    token.expires(),
                    {token.only().begin(), token.only().end()},
                    {token.deployments().begin(), token.deployments().end()}});
  return rows;
}

StatusOr<std::string> ExpiryOf(const std::string& word, Time now) {
  if (word.empty()) return std::string();
  std::optional<Time> time = ParseUtc(word);
  if (!time) {
    const StatusOr<int64_t> micros = config::ParseDurationMicros(word);
    if (!micros.ok())
      return InvalidArgument(
          "--expires {}: give how long (30d), a date, or a moment like 2027-01-31T18:00:00Z", word);
    time = now + Duration(*micros);
  }
  if (*time <= now) return InvalidArgument("--expires {} is over already", word);
  return FormatUtc(*time);
}

namespace {

const auth::TokenUse* UseOf(const TokenRow& row, const std::vector<auth::TokenUse>& uses) {
  const auto found = std::find_if(uses.begin(), uses.end(), [&](const auth::TokenUse& use) {
    return use.sha256 == row.sha256;
  });
  return found == uses.end() ? nullptr : &*found;
}

bool IsExpired(const TokenRow& row, Time now) {
  const std::optional<Time> ends = ParseUtc(row.expires);
  return ends && *ends <= now;
}

}  // namespace

std::string TokensText(const std::vector<TokenRow>& rows, const std::vector<auth::TokenUse>& uses,
                       Time now) {
  if (rows.empty()) return "nobody has a token; `allot user add NAME` makes one\n";
  Table table({{"NAME"}, {"ROLE"}, {"TENANT"}, {"ONLY"}, {"EXPIRES"}, {"LAST USED"}, {"FROM"}});
  for (const TokenRow& row : rows) {
    std::string only = fmt::format("{}", fmt::join(row.only, ","));
    if (!row.deployments.empty())
      only += fmt::format("{}({})", only.empty() ? "any" : "", fmt::join(row.deployments, ","));
    const auth::TokenUse* const use = UseOf(row, uses);
    table.Add(
        {row.name, row.role, row.tenant, only,
         row.expires.empty() ? "never" : row.expires + (IsExpired(row, now) ? " (expired)" : ""),
         use == nullptr ? "never" : FormatUtc(use->time), use == nullptr ? "" : use->address});
  }
  return table.ToString();
}

std::string TokensJson(const std::vector<TokenRow>& rows, const std::vector<auth::TokenUse>& uses,
                       Time now) {
  json::array tokens;
  for (const TokenRow& row : rows) {
    json::object token{{"name", row.name}, {"role", row.role}, {"expired", IsExpired(row, now)}};
    if (!row.tenant.empty()) token["tenant"] = row.tenant;
    if (!row.expires.empty()) token["expires"] = row.expires;
    if (!row.only.empty()) token["only"] = json::array(row.only.begin(), row.only.end());
    if (!row.deployments.empty())
      token["deployments"] = json::array(row.deployments.begin(), row.deployments.end());
    if (const auth::TokenUse* const use = UseOf(row, uses); use != nullptr) {
      token["last_used"] = FormatUtc(use->time);
      token["last_used_from"] = use->address;
    }
    tokens.push_back(std::move(token));
  }
  return json::serialize(json::object{{"version", 1}, {"tokens", std::move(tokens)}});
}

Status RemoveToken(const std::string& path, const std::string& name) {
  ASSIGN_OR_RETURN(config::Tokens tokens, config::LoadChecked<config::Tokens>(path));
  for (int i = 0; i < tokens.tokens_size(); ++i) {
    if (tokens.tokens(i).name() != name) continue;
    tokens.mutable_tokens()->DeleteSubrange(i, 1);
    return Save(path, tokens);
  }
  return NotFound("{} has no token named {}", path, name);
}

}  // namespace allot::client
