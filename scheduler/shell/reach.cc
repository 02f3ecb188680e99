#include "scheduler/shell/reach.h"

#include "common/base/address.h"
#include "common/base/loopback.h"

namespace allot::scheduler {

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
    info.seen_address = own_host;
  }
  info.metrics_address = Told(info.metrics_address, seen);
}

bool Reach::MayTell(const std::string& address, const std::string& seen) const {
  return on_loopback || seen.empty() || IsLoopbackHost(seen) || !IsLoopbackAddress(address);
}

}  // namespace allot::scheduler
