// SHA-256. Internal to common/auth.
#pragma once

#include <array>
#include <string_view>

namespace allot::auth {

using Digest = std::array<unsigned char, 32>;
Digest Sha256(std::string_view text);

}  // namespace allot::auth
