#include "common/transport/keys.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include <cerrno>
#include <system_error>

#include "common/base/check.h"
#include "common/config/bind.h"
#include "common/proto/config.pb.h"

namespace allot::transport {
namespace {

constexpr size_t kZ85Length = 40;

std::string ErrorText(int error) { return std::generic_category().message(error); }

}  // namespace

KeyPair NewKeyPair() {
  char public_key[kZ85Length + 1], secret_key[kZ85Length + 1];
  // Fails only when libzmq was built without CURVE, and then nothing here can work.
  CHECK(zmq_curve_keypair(public_key, secret_key) == 0);
  return {.public_key = public_key, .secret_key = secret_key};
}

StatusOr<std::string> PublicKeyOf(std::string_view secret_key) {
  RETURN_IF_ERROR(CheckKeyText(secret_key, "the secret key"));
  char public_key[kZ85Length + 1];
  if (zmq_curve_public(public_key, std::string(secret_key).c_str()) != 0) {
    return InvalidArgument("the secret key is not a CURVE key; make a new pair with `allot keys`");
  }
  return std::string(public_key);
}

Status CheckKeyText(std::string_view key, std::string_view what) {
  if (key.size() != kZ85Length) {
    return InvalidArgument("{} has {} characters; a CURVE key has {} (Z85 text)", what, key.size(),
                           kZ85Length);
  }
  uint8_t bytes[32];
  if (zmq_z85_decode(bytes, std::string(key).c_str()) == nullptr) {
    return InvalidArgument("{} holds characters that Z85 text does not have", what);
  }
  return absl::OkStatus();
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
