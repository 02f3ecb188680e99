// The scheduler's tokens file, as `allot user` and `allot keys token` keep it: digests only
// (common/auth).
#pragma once

#include <string>
#include <vector>

#include "common/auth/tokens.h"
#include "common/base/status.h"
#include "common/base/units.h"

namespace allot::client {

struct TokenRow {
  std::string name, role, tenant = {};
  std::string sha256 = {};
  std::string expires = {};                              // as the file has it; empty: never
  std::vector<std::string> only = {}, deployments = {};  // empty: any
};
// Adds the row to the file (made with mode 0600 if missing). AlreadyExists for a taken name
// unless `replace`; the file must be a valid tokens file.
Status AddToken(const std::string& path, const TokenRow& row, bool replace);
// NotFound if no row has the name.
Status RemoveToken(const std::string& path, const std::string& name);
StatusOr<std::vector<TokenRow>> ListTokens(const std::string& path);

// "30d", "2027-01-31", "2027-01-31T18:00:00Z" as the file has it; empty stays so. InvalidArgument:
// it is none of these, or over at `now`.
StatusOr<std::string> ExpiryOf(const std::string& word, Time now);

// For people and for programs. `uses`: when they were used, as far as that is known.
std::string TokensText(const std::vector<TokenRow>& rows, const std::vector<auth::TokenUse>& uses,
                       Time now);
std::string TokensJson(const std::vector<TokenRow>& rows, const std::vector<auth::TokenUse>& uses,
                       Time now);

}  // namespace allot::client
