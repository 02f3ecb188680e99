// The ZAP handler: a thread that answers libzmq's question "may this key connect here?".
//
// The ZAP domain of a listening socket names the roles it admits ("agent,gateway"); the answer's
// User-Id is "role:name" and stays on every message of the connection (ParseUserId).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/transport/context.h"

namespace zmq {
class context_t;
}

namespace allot::transport {

std::string ZapDomain(const std::vector<Role>& admit);
bool DomainAdmits(std::string_view domain, Role role);

std::string FormatUserId(Role role, std::string_view name);
struct UserId {
  Role role;
  std::string_view name;  // points into the text given
};
std::optional<UserId> ParseUserId(std::string_view text);

class ZapHandler {
 public:
  // Binds the ZAP endpoint before it returns, so no socket can be accepted past it.
  static StatusOr<std::unique_ptr<ZapHandler>> Start(zmq::context_t& context,
                                                     std::string allow_file, ZapCounters* counters);
  // The context must have been shut down: that is what wakes the thread.
  ~ZapHandler();
  Status list_status() const;

 private:
  class Impl;
  explicit ZapHandler(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace allot::transport
