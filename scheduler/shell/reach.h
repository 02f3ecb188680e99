// Makes good what peers say of addresses, for only the scheduler knows both: what a peer says and
// whence its connection comes. Pure.
#pragma once

#include <string>

#include "common/model/node.h"

namespace allot::scheduler {

struct Reach {
  bool on_loopback = false;  // everybody is on this machine: loopback means the same to all
  std::string own_host;      // where other machines reach this one; empty: not known

  // "HOST:PORT", with a scheme or without, as told by a peer that is seen at `seen` (an IP address;
  // empty: not known). A wildcard becomes where the peer is, for a peer of this machine where this
  // machine is.
  std::string Told(const std::string& address, const std::string& seen) const;

  // The same for all that a node says of itself, and where it is seen.
  void Locate(const std::string& seen, NodeInfo& info) const;

  // May a peer that is seen at `seen` be told of this address? Loopback is another machine's own.
  bool MayTell(const std::string& address, const std::string& seen) const;
};

}  // namespace allot::scheduler
