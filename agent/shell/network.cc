#include "agent/shell/network.h"

#include <algorithm>
#include <memory>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>

#include "common/base/loopback.h"

namespace allot::agent {
namespace {

std::string TextOf(const sockaddr* address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address->sa_family == AF_INET) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(address)->sin_addr, text, sizeof text);
  } else if (address->sa_family == AF_INET6) {
    inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr, text,
              sizeof text);
  }
  return text;
}

// The addresses a name stands for; numbers stand for themselves.
std::vector<std::string> Resolve(const std::string& host) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  std::vector<std::string> addresses;
  if (getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return addresses;
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> keeper(found, freeaddrinfo);
  for (const addrinfo* info = found; info != nullptr; info = info->ai_next)
    addresses.push_back(TextOf(info->ai_addr));
  return addresses;
}

}  // namespace

std::vector<Interface> Interfaces() {
  std::vector<Interface> interfaces;
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return interfaces;
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> keeper(all, freeifaddrs);
  for (const ifaddrs* it = all; it != nullptr; it = it->ifa_next) {
    if (it->ifa_addr == nullptr) continue;
    const std::string address = TextOf(it->ifa_addr);
    if (address.empty()) continue;
    interfaces.push_back({it->ifa_name, address, (it->ifa_flags & IFF_LOOPBACK) != 0,
                          (it->ifa_flags & IFF_UP) != 0});
  }
  return interfaces;
}

std::string InterfaceOf(const std::string& address, const std::vector<Interface>& interfaces) {
  const bool plain = IsLoopbackHost(address);
  std::vector<std::string> wanted = plain ? std::vector{address} : Resolve(address);
  if (!plain)  // "127.0.1.1 NAME"
    std::erase_if(wanted, [](const std::string& a) { return IsLoopbackHost(a); });
  for (const std::string& want : wanted)
    for (const Interface& interface : interfaces)
      if (interface.address == want) return interface.name;
  if (!plain) return "";
  // All of 127.0.0.0/8 is there without being listed.
  const auto lo = std::find_if(interfaces.begin(), interfaces.end(),
                               [](const Interface& i) { return i.loopback; });
  return lo == interfaces.end() ? "" : lo->name;
}

Environment CollectiveVariables(const std::string& interface,
                                const std::vector<Interface>& interfaces) {
  if (interface.empty()) return {};
  // NCCL takes the name for the beginning of one, unless told that it is all of it.
  const bool ambiguous =
      std::any_of(interfaces.begin(), interfaces.end(), [&](const Interface& other) {
        return other.name != interface && other.name.starts_with(interface);
      });
  Environment out;
  for (const char* name : {"GLOO_SOCKET_IFNAME", "TP_SOCKET_IFNAME", "CCL_KVS_IFACE"})
    out[name] = interface;
  out["NCCL_SOCKET_IFNAME"] = (ambiguous ? "=" : "") + interface;  // RCCL reads it too.
  out["HCCL_SOCKET_IFNAME"] = interface;
  return out;
}

}  // namespace allot::agent
