// What makes a token, apart from what checks them: `allot keys token` needs no more.
#include "common/auth/digest.h"

#include <sodium.h>

#include "common/auth/tokens.h"
#include "common/base/check.h"

namespace allot::auth {

Digest Sha256(std::string_view text) {
  Digest digest{};
  static_assert(std::tuple_size_v<Digest> == crypto_hash_sha256_BYTES);
  const int failed = crypto_hash_sha256(
      digest.data(), reinterpret_cast<const unsigned char*>(text.data()), text.size());
  CHECK(failed == 0);
  return digest;
}

std::string Sha256Hex(std::string_view text) {
  std::string hex;
  for (unsigned char byte : Sha256(text)) hex += fmt::format("{:02x}", byte);
  return hex;
}

StatusOr<std::string> NewToken() {
  std::array<unsigned char, 32> random{};
  if (sodium_init() < 0) return Internal("the system gave no random bytes for a token");
  randombytes_buf(random.data(), random.size());
  // Base64 for URLs, without padding: 256 bits are 43 characters of 6.
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string token = "allot-";
  uint32_t bits = 0;
  int held = 0;
  for (unsigned char byte : random) {
    bits = (bits << 8) | byte;
    for (held += 8; held >= 6; held -= 6) token += kAlphabet[(bits >> (held - 6)) & 63];
  }
  token += kAlphabet[(bits << (6 - held)) & 63];
  return token;
}

}  // namespace allot::auth
