// The scheduler's tokens file, as `allot keys token` keeps it: digests only (common/auth).
#pragma once

#include <string>

#include "common/base/status.h"

namespace allot::client {

struct TokenRow {
  std::string name, role, tenant;
  std::string sha256;
};
// Adds the row to the file (made with mode 0600 if missing). AlreadyExists for a taken name
// unless `replace`; the file must be a valid tokens file.
Status AddToken(const std::string& path, const TokenRow& row, bool replace);
// NotFound if no row has the name.
Status RemoveToken(const std::string& path, const std::string& name);

}  // namespace allot::client
