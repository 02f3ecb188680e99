#include "common/auth/uses.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "common/base/printable.h"
#include "common/base/text.h"
#include "common/base/utc.h"

namespace allot::auth {
namespace {

constexpr size_t kFileBytesMax = 8 << 20;  // tens of thousands of tokens
constexpr size_t kDigestDigits = 64;

std::string_view Word(std::string_view* line) {
  const size_t space = std::min(line->find(' '), line->size());
  const std::string_view word = line->substr(0, space);
  line->remove_prefix(std::min(space + 1, line->size()));
  return word;
}

std::optional<TokenUse> ParseLine(std::string_view line) {
  TokenUse use;
  use.sha256 = Word(&line);
  const std::optional<Time> time = ParseUtc(Word(&line));
  const std::string_view address = Word(&line);
  use.name = line;
  if (!time || use.sha256.size() != kDigestDigits || !IsName(use.name)) return std::nullopt;
  use.time = *time;
  if (address != "-") use.address = OneLineCut(address, 64, /*in_quotes=*/false);
  return use;
}

StatusOr<std::string> Read(int fd, const std::string& path) {
  std::string text;
  char buffer[16 << 10];
  for (;;) {
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Unavailable("cannot read {}: {}", path, std::strerror(errno));
    if (got == 0) return text;
    if (text.size() + static_cast<size_t>(got) > kFileBytesMax)
      return InvalidArgument("{} is longer than {} bytes; it is not what was written", path,
                             kFileBytesMax);
    text.append(buffer, static_cast<size_t>(got));
  }
}

}  // namespace

StatusOr<std::vector<TokenUse>> LoadUses(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0 && errno == ENOENT) return std::vector<TokenUse>();
  if (fd < 0) return Unavailable("cannot read {}: {}", path, std::strerror(errno));
  const StatusOr<std::string> text = Read(fd, path);
  ::close(fd);
  RETURN_IF_ERROR(text.status());
  std::vector<TokenUse> uses;
  for (std::string_view rest = *text; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    if (auto use = ParseLine(rest.substr(0, end))) uses.push_back(*std::move(use));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return uses;
}

Status SaveUses(const std::string& path, const std::vector<TokenUse>& uses) {
  std::string text = "# When each token was used last, and whence; for `allot user list`.\n";
  for (const TokenUse& use : uses)
    text += fmt::format("{} {} {} {}\n", use.sha256, FormatUtc(use.time),
                        use.address.empty() ? "-" : use.address, use.name);
  const std::string fresh = path + ".new";
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return Unavailable("cannot write {}: {}", fresh, std::strerror(errno));
  std::string_view rest = text;
  int error = 0;
  while (!rest.empty() && error == 0) {
    const ssize_t put = ::write(fd, rest.data(), rest.size());
    if (put >= 0)
      rest.remove_prefix(static_cast<size_t>(put));
    else if (errno != EINTR)
      error = errno;
  }
  if (::close(fd) != 0 && error == 0) error = errno;
  if (error == 0 && ::rename(fresh.c_str(), path.c_str()) != 0) error = errno;
  if (error == 0) return absl::OkStatus();
  ::unlink(fresh.c_str());
  return Unavailable("cannot write {}: {}", path, std::strerror(error));
}

}  // namespace allot::auth
