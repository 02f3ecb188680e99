#include "scheduler/shell/reach.h"

#include <arpa/inet.h>

#include "common/base/address.h"
#include "common/base/loopback.h"

namespace allot::scheduler {
namespace {

bool IsNumeric(const std::string& host) {
  in6_addr any{};  // room for either
  return inet_pton(AF_INET, host.c_str(), &any) == 1 ||
         inet_pton(AF_INET6, host.c_str(), &any) == 1;
}

}  // namespace

std::string Reach::Told(const std::string& address, const std::string& seen) const {
  const bool here = seen.empty() || IsLoopbackHost(seen);
  const std::string& host = here && !on_loopback && !own_host.empty() ? own_host : seen;
  return Advertised(address, "", host);
}

void Reach::Locate(const std::string& seen, NodeInfo& info) const {
  info.seen_address = seen;
  if (info.address.empty() || IsWildcardHost(info.address)) info.address = seen;
  // An agent beside a scheduler that others reach too: its peers need this machine's address.
  if (IsLoopbackHost(seen) && !on_loopback && !own_host.empty()) {
    if (IsLoopbackHost(info.address)) info.address = own_host;
    // A name is no place that one is seen at: the agent may have found the address behind it.
    info.seen_address = IsNumeric(own_host) ? own_host : info.address;
  }
  info.metrics_address = Told(info.metrics_address, seen);
}

bool Reach::MayTell(const std::string& address, const std::string& seen) const {
  return on_loopback || seen.empty() || IsLoopbackHost(seen) || !IsLoopbackAddress(address);
}

}  // namespace allot::scheduler
