// TCP sockets that listen, and one that only this process reaches. No libzmq.
#pragma once

#include <string>

#include "common/base/status.h"

namespace allot::transport {

struct Listener {
  int fd = -1;           // does not block, is not inherited
  std::string endpoint;  // tcp://host:port as bound
};
// tcp://HOST:PORT; HOST an address, "*" or the name of an interface. Unavailable with what to do.
StatusOr<Listener> ListenTcp(const std::string& endpoint);

// A UNIX socket without a name: it listens, and is reached by a descriptor of its file, which is in
// no folder any more.
struct InnerListener {
  int fd = -1;    // listens
  int path = -1;  // whom to connect to, by ConnectInner
};
StatusOr<InnerListener> ListenInner();
// Bound to the abstract name `name`, by which the other side knows it. -1 and errno.
int ConnectInner(int path, const std::string& name);
// The name of whoever is connected to `fd` by ConnectInner; "" if it is no such socket.
std::string InnerName(int fd);

}  // namespace allot::transport
