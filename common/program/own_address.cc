#include "common/program/own_address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <optional>

#include "common/base/address.h"
#include "common/base/loopback.h"

namespace allot::program {
namespace {

std::optional<std::string> Numeric(const sockaddr* address, socklen_t size) {
  char text[NI_MAXHOST];
  if (getnameinfo(address, size, text, sizeof text, nullptr, 0, NI_NUMERICHOST) != 0)
    return std::nullopt;
  return std::string(text);
}

// A connected datagram socket has the local address that a packet would leave from.
std::optional<std::string> LocalTowards(const sockaddr* peer, socklen_t size) {
  const int fd = socket(peer->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return std::nullopt;
  sockaddr_storage local{};
  socklen_t local_size = sizeof local;
  const bool known = connect(fd, peer, size) == 0 &&
                     getsockname(fd, reinterpret_cast<sockaddr*>(&local), &local_size) == 0;
  close(fd);
  if (!known) return std::nullopt;
  return Numeric(reinterpret_cast<const sockaddr*>(&local), local_size);
}

// The world, as far as a routing table knows it: addresses set aside for documentation (RFC 5737,
// RFC 3849) are routed as any other and belong to nobody.
std::optional<std::string> LocalTowardsTheWorld() {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(9);
  inet_pton(AF_INET, "192.0.2.1", &v4.sin_addr);
  if (auto local = LocalTowards(reinterpret_cast<const sockaddr*>(&v4), sizeof v4)) return local;
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(9);
  inet_pton(AF_INET6, "2001:db8::1", &v6.sin6_addr);
  return LocalTowards(reinterpret_cast<const sockaddr*>(&v6), sizeof v6);
}

std::optional<std::string> FirstOfAnInterface() {
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return std::nullopt;
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> keeper(all, freeifaddrs);
  for (const int family : {AF_INET, AF_INET6}) {
    for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
      if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != family) continue;
      if ((one->ifa_flags & IFF_LOOPBACK) != 0 || (one->ifa_flags & IFF_UP) == 0) continue;
      if (family == AF_INET6 &&
          IN6_IS_ADDR_LINKLOCAL(&reinterpret_cast<const sockaddr_in6*>(one->ifa_addr)->sin6_addr))
        continue;  // Means nothing without the name of the interface, which is ours.
      return Numeric(one->ifa_addr, family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    }
  }
  return std::nullopt;
}

std::optional<std::string> AddressForOthers() {
  auto local = LocalTowardsTheWorld();
  return local ? local : FirstOfAnInterface();
}

}  // namespace

StatusOr<std::string> AddressTowards(const std::string& endpoint) {
  const std::optional<Address> to = ParseAddress(endpoint);
  if (!to || to->scheme.empty())
    return InvalidArgument("scheduler \"{}\" is not like tcp://host:port", endpoint);
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_DGRAM;
  if (const int error = getaddrinfo(to->host.c_str(), to->port.c_str(), &hints, &found); error != 0)
    return Unavailable("cannot find the host of scheduler {}: {}", endpoint, gai_strerror(error));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> keeper(found, freeaddrinfo);
  for (const addrinfo* info = found; info != nullptr; info = info->ai_next) {
    std::optional<std::string> local = LocalTowards(info->ai_addr, info->ai_addrlen);
    if (!local) continue;
    return IsLoopbackHost(*local) ? AddressForOthers().value_or(*local) : *std::move(local);
  }
  return Unavailable("no route to scheduler {}; set `address` to the one peers reach this node by",
                     endpoint);
}

std::string OwnAddress() {
  if (auto address = AddressForOthers()) return *std::move(address);
  char name[256] = "localhost";
  gethostname(name, sizeof name - 1);
  return name;
}

}  // namespace allot::program
