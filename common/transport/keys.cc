#include "common/transport/keys.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <system_error>

#include <sodium.h>

#include "common/base/check.h"
#include "common/config/bind.h"
#include "common/proto/config.pb.h"
#include "common/transport/hello.h"
#include "common/transport/locked_file.h"

namespace allot::transport {
namespace {

// What libzmq's functions of the same purpose do, with the library that libzmq does it with:
// `allot` makes and reads keys and speaks HTTP, so it need not be linked with a message library and
// all that stands under it.
constexpr size_t kKeyBytes = 32, kZ85Length = 40;
using KeyBytes = std::array<uint8_t, kKeyBytes>;

// ZeroMQ's RFC 32: four bytes are five digits of base 85.
constexpr std::string_view kZ85Digits =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

std::string ToZ85(const KeyBytes& bytes) {
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 4) {
    uint32_t value = uint32_t{bytes[i]} << 24 | uint32_t{bytes[i + 1]} << 16 |
                     uint32_t{bytes[i + 2]} << 8 | uint32_t{bytes[i + 3]};
    char digits[5];
    for (int k = 4; k >= 0; --k, value /= 85) digits[k] = kZ85Digits[value % 85];
    text.append(digits, sizeof digits);
  }
  return text;
}

// False on a character that is no digit, or five of them that are more than four bytes.
bool FromZ85(std::string_view text, KeyBytes* bytes) {
  for (size_t i = 0, out = 0; i < text.size(); i += 5, out += 4) {
    uint64_t value = 0;
    for (const char c : text.substr(i, 5)) {
      const size_t digit = c == '\0' ? std::string_view::npos : kZ85Digits.find(c);
      if (digit == std::string_view::npos) return false;
      value = value * 85 + digit;
    }
    if (value > UINT32_MAX) return false;
    for (size_t k = 0; k < 4; ++k) (*bytes)[out + k] = static_cast<uint8_t>(value >> (24 - 8 * k));
  }
  return true;
}

// Curve25519: the secret times the base point.
KeyBytes PublicOf(const KeyBytes& secret) {
  static_assert(kKeyBytes == crypto_scalarmult_BYTES && kKeyBytes == crypto_scalarmult_SCALARBYTES);
  KeyBytes out;
  CHECK(crypto_scalarmult_base(out.data(), secret.data()) == 0);
  return out;
}

std::string ErrorText(int error) { return std::generic_category().message(error); }

Status Decode(std::string_view key, std::string_view what, KeyBytes* bytes) {
  if (key.size() != kZ85Length) {
    return InvalidArgument("{} has {} characters; a CURVE key has {} (Z85 text)", what, key.size(),
                           kZ85Length);
  }
  if (!FromZ85(key, bytes)) {
    return InvalidArgument("{} holds characters that Z85 text does not have", what);
  }
  return absl::OkStatus();
}

// Where things stand in a HELLO, from the end: nonce and box; before them the client's short-lived
// key.
constexpr size_t kHelloBytes = 202, kBoxBytes = 80, kShortNonceBytes = 8;
constexpr std::string_view kHelloNonce = "CurveZMQHELLO---";

}  // namespace

bool IsHelloFor(std::string_view frame, std::string_view secret_key) {
  KeyBytes secret;
  if (frame.size() != kHelloBytes || !Decode(secret_key, "the secret key", &secret).ok())
    return false;
  const auto* const end = reinterpret_cast<const unsigned char*>(frame.data() + frame.size());
  const unsigned char* const box = end - kBoxBytes;
  const unsigned char* const short_nonce = box - kShortNonceBytes;
  std::array<unsigned char, crypto_box_NONCEBYTES> nonce;
  static_assert(kHelloNonce.size() + kShortNonceBytes == crypto_box_NONCEBYTES);
  std::copy(kHelloNonce.begin(), kHelloNonce.end(), nonce.begin());
  std::copy_n(short_nonce, kShortNonceBytes, nonce.begin() + kHelloNonce.size());
  std::array<unsigned char, kBoxBytes - crypto_box_MACBYTES> plain;
  return crypto_box_open_easy(plain.data(), box, kBoxBytes, nonce.data(), short_nonce - kKeyBytes,
                              secret.data()) == 0;
}

KeyPair NewKeyPair() {
  KeyBytes secret;
  CHECK(sodium_init() >= 0);  // Fails only where the system has no random numbers.
  randombytes_buf(secret.data(), secret.size());
  return {.public_key = ToZ85(PublicOf(secret)), .secret_key = ToZ85(secret)};
}

StatusOr<std::string> PublicKeyOf(std::string_view secret_key) {
  KeyBytes secret;
  RETURN_IF_ERROR(Decode(secret_key, "the secret key", &secret));
  return ToZ85(PublicOf(secret));
}

Status CheckKeyText(std::string_view key, std::string_view what) {
  KeyBytes bytes;
  return Decode(key, what, &bytes);
}

StatusOr<KeyPair> LoadKeyFile(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) {
      return NotFound("key file {} does not exist; make one with `allot keys new`", path);
    }
    return Unavailable("cannot read key file {}: {}", path, ErrorText(errno));
  }
  if ((info.st_mode & 077) != 0) {
    return PermissionDenied("key file {} is open to others (mode {:o}); run: chmod 600 {}", path,
                            info.st_mode & 0777, path);
  }
  config::KeyPair message;
  RETURN_IF_ERROR(config::LoadYamlFile(path, &message));
  ASSIGN_OR_RETURN(const std::string proven, PublicKeyOf(message.secret_key()));
  if (proven != message.public_key()) {
    return InvalidArgument("{}: public_key does not belong to secret_key; make a new pair", path);
  }
  return KeyPair{.public_key = message.public_key(), .secret_key = message.secret_key()};
}

Status ReplaceKeyFile(const std::string& path, const KeyPair& keys, Time until) {
  std::string text =
      fmt::format("public_key: '{}'\nsecret_key: '{}'\n", keys.public_key, keys.secret_key);
  if (until != Time())
    text += fmt::format("until: {:.6f}\n", static_cast<double>(ToMicros(until)) / 1e6);
  return ReplaceFile(path, text, 0600);
}

Status SaveKeyFile(const std::string& path, const KeyPair& keys) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) {
    if (errno == EEXIST) {
      return AlreadyExists("{} exists; keys are never overwritten, move it away first", path);
    }
    return Unavailable("cannot create key file {}: {}", path, ErrorText(errno));
  }
  // Z85 text has neither quotes nor backslashes, so single quotes are enough in YAML.
  const std::string text =
      fmt::format("public_key: '{}'\nsecret_key: '{}'\n", keys.public_key, keys.secret_key);
  int error = 0;
  if (::write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    error = errno == 0 ? ENOSPC : errno;
  } else if (::fsync(fd) != 0) {
    error = errno;
  }
  ::close(fd);
  if (error != 0) {
    ::unlink(path.c_str());  // Half a key is worse than none.
    return Unavailable("cannot write key file {}: {}", path, ErrorText(error));
  }
  return absl::OkStatus();
}

}  // namespace allot::transport
