// Which network the processes of a gang shall speak over: that of the address by which peers reach
// this node. Left to themselves collectives look the host's name up, and where /etc/hosts has the
// usual "127.0.1.1 NAME" every rank tells the others to come to itself.
#pragma once

#include <string>
#include <vector>

#include "agent/runtime/environment.h"
#include "common/base/status.h"

namespace allot::agent {

struct Interface {
  std::string name, address;  // "eth0", "10.0.0.7"; an interface is there once for each address
  bool loopback = false, up = false;
  bool operator==(const Interface&) const = default;
};
std::vector<Interface> Interfaces();  // of this host, in the kernel's order

// The interface with this address, given as numbers or as a name; empty if none has it, as behind
// NAT. A name that means this very host in /etc/hosts says nothing; another address of it counts.
std::string InterfaceOf(const std::string& address, const std::vector<Interface>& interfaces);

// What tells gloo, NCCL and RCCL, HCCL, oneCCL and TensorPipe to use `interface`. Empty: nothing.
Environment CollectiveVariables(const std::string& interface,
                                const std::vector<Interface>& interfaces);

}  // namespace allot::agent
