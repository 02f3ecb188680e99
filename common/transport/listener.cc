#include "common/transport/listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <optional>
#include <vector>

#include "common/base/address.h"

namespace allot::transport {
namespace {

// Thousands of agents dial at once after a restart; the kernel cuts this to its somaxconn.
constexpr int kBacklog = 8192;

std::string BindError(const std::string& endpoint, int error) {
  switch (error) {
    case EADDRINUSE:
      return fmt::format("{} is in use; stop what listens there or choose another port", endpoint);
    case EADDRNOTAVAIL:
    case ENODEV:
      return fmt::format("{} is not an address of this machine", endpoint);
    case EACCES:
      return fmt::format("{}: permission denied; ports below 1024 need privileges", endpoint);
    default:
      return fmt::format("cannot listen on {}: {}", endpoint, std::strerror(error));
  }
}

struct AnyAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
};

AnyAddress V4(in_addr host, uint16_t port) {
  AnyAddress out;
  auto* const in = reinterpret_cast<sockaddr_in*>(&out.storage);
  in->sin_family = AF_INET;
  in->sin_addr = host;
  in->sin_port = htons(port);
  out.size = sizeof *in;
  return out;
}

AnyAddress V6(in6_addr host, uint32_t scope, uint16_t port) {
  AnyAddress out;
  auto* const in = reinterpret_cast<sockaddr_in6*>(&out.storage);
  in->sin6_family = AF_INET6;
  in->sin6_addr = host;
  in->sin6_scope_id = scope;
  in->sin6_port = htons(port);
  out.size = sizeof *in;
  return out;
}

// The first address of the interface of that name; IPv4 before IPv6.
std::optional<AnyAddress> OfInterface(const std::string& name, uint16_t port) {
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return std::nullopt;
  std::optional<AnyAddress> found;
  for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || name != one->ifa_name) continue;
    if (one->ifa_addr->sa_family == AF_INET) {
      found = V4(reinterpret_cast<const sockaddr_in*>(one->ifa_addr)->sin_addr, port);
      break;
    }
    if (one->ifa_addr->sa_family == AF_INET6 && !found) {
      const auto* const in = reinterpret_cast<const sockaddr_in6*>(one->ifa_addr);
      found = V6(in->sin6_addr, in->sin6_scope_id, port);
    }
  }
  ::freeifaddrs(all);
  return found;
}

std::optional<AnyAddress> Resolve(std::string host, uint16_t port) {
  if (host == "*") return V4({INADDR_ANY}, port);
  in_addr v4{};
  if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) return V4(v4, port);
  uint32_t scope = 0;
  if (const size_t percent = host.find('%'); percent != std::string::npos) {
    scope = ::if_nametoindex(host.c_str() + percent + 1);
    host.resize(percent);
  }
  in6_addr v6{};
  if (::inet_pton(AF_INET6, host.c_str(), &v6) == 1) return V6(v6, scope, port);
  return OfInterface(host, port);
}

std::string BoundEndpoint(int fd) {
  AnyAddress bound;
  bound.size = sizeof bound.storage;
  if (::getsockname(fd, bound.get(), &bound.size) != 0) return "";
  char text[INET6_ADDRSTRLEN] = "";
  if (bound.family() == AF_INET) {
    const auto* const in = reinterpret_cast<const sockaddr_in*>(&bound.storage);
    ::inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
    return fmt::format("tcp://{}:{}", text, ntohs(in->sin_port));
  }
  const auto* const in = reinterpret_cast<const sockaddr_in6*>(&bound.storage);
  ::inet_ntop(AF_INET6, &in->sin6_addr, text, sizeof text);
  std::string host = text;
  char name[IF_NAMESIZE];
  if (in->sin6_scope_id != 0 && ::if_indextoname(in->sin6_scope_id, name) != nullptr)
    host += std::string("%") + name;
  return fmt::format("tcp://[{}]:{}", host, ntohs(in->sin6_port));
}

sockaddr_un UnixAddress(std::string_view path, socklen_t* size) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof address.sun_path - 1));
  *size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  return address;
}

Status Failed(const std::string& what, int error) {
  return Unavailable("{}: {}", what, std::strerror(error));
}

}  // namespace

StatusOr<Listener> ListenTcp(const std::string& endpoint) {
  const std::optional<Address> parsed = ParseAddress(endpoint);
  uint16_t port = 0;
  if (parsed) std::from_chars(parsed->port.data(), parsed->port.data() + parsed->port.size(), port);
  std::optional<AnyAddress> address;
  if (parsed) address = Resolve(parsed->host, port);
  if (!address) return Unavailable("{}", BindError(endpoint, ENODEV));
  Listener out;
  out.fd = ::socket(address->family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (out.fd < 0) return Unavailable("{}", BindError(endpoint, errno));
  const int on = 1, off = 0;
  ::setsockopt(out.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address->family() == AF_INET6)
    ::setsockopt(out.fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  if (::bind(out.fd, address->get(), address->size) != 0 || ::listen(out.fd, kBacklog) != 0) {
    const int error = errno;
    ::close(out.fd);
    return Unavailable("{}", BindError(endpoint, error));
  }
  out.endpoint = BoundEndpoint(out.fd);
  return out;
}

StatusOr<InnerListener> ListenInner() {
  // Where it can be made; it is gone again at once.
  const char* const given = ::getenv("TMPDIR");
  std::string why = "no folder for a socket";
  for (const char* base : {given == nullptr ? "/tmp" : given, "/tmp", "/dev/shm", "/run"}) {
    std::string folder = std::string(base) + "/allot-XXXXXX";
    const std::string leaf = "/s";
    if (folder.size() + leaf.size() >= sizeof(sockaddr_un::sun_path)) continue;
    if (::mkdtemp(folder.data()) == nullptr) {
      why = fmt::format("{}: {}", base, std::strerror(errno));
      continue;
    }
    const std::string path = folder + leaf;
    socklen_t size = 0;
    const sockaddr_un address = UnixAddress(path, &size);
    InnerListener out;
    out.fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const bool listens =
        out.fd >= 0 && ::bind(out.fd, reinterpret_cast<const sockaddr*>(&address), size + 1) == 0 &&
        ::listen(out.fd, kBacklog) == 0;
    if (listens) out.path = ::open(path.c_str(), O_PATH | O_CLOEXEC);
    const int error = errno;
    ::unlink(path.c_str());
    ::rmdir(folder.c_str());
    if (out.path >= 0) return out;
    if (out.fd >= 0) ::close(out.fd);
    why = fmt::format("{}: {}", base, std::strerror(error));
  }
  return Failed("cannot make a socket of this process's own; " + why, errno);
}

int ConnectInner(int path, const std::string& name) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  socklen_t size = 0;
  const sockaddr_un own = UnixAddress(std::string(1, '\0') + name, &size);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&own), size) == 0) {
    const sockaddr_un to = UnixAddress(fmt::format("/proc/self/fd/{}", path), &size);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), size + 1) == 0) return fd;
  }
  const int error = errno;
  ::close(fd);
  errno = error;
  return -1;
}

std::string InnerName(int fd) {
  sockaddr_un address{};
  socklen_t size = sizeof address;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
      address.sun_family != AF_UNIX || size <= offsetof(sockaddr_un, sun_path) + 1 ||
      address.sun_path[0] != '\0')
    return "";
  return {address.sun_path + 1, size - offsetof(sockaddr_un, sun_path) - 1};
}

}  // namespace allot::transport
