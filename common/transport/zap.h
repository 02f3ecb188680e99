// The ZAP handler: a thread that answers libzmq's question "may this key connect here?".
//
// The ZAP domain of a listening socket names the roles it admits ("agent,gateway"); the answer's
// User-Id is "role:name:key" and stays on every message of the connection (ParseUserId), so that
// a key which has been revoked since can be told.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "common/base/status.h"
#include "common/transport/context.h"

namespace zmq {
class context_t;
}

namespace allot::transport {

std::string ZapDomain(const std::vector<Role>& admit);
bool DomainAdmits(std::string_view domain, Role role);

std::string FormatUserId(const AllowedPeer& peer);
struct UserId {
  Role role;
  std::string_view name, public_key;  // point into the text given
};
std::optional<UserId> ParseUserId(std::string_view text);

class ZapHandler {
 public:
  // Binds the ZAP endpoint before it returns, so no socket can be accepted past it.
  // Without an allow file only those are admitted whom SetLearned names.
  static StatusOr<std::unique_ptr<ZapHandler>> Start(zmq::context_t& context,
                                                     std::string allow_file, ZapCounters* counters);
  // The context must have been shut down: that is what wakes the thread.
  ~ZapHandler();
  Status list_status() const;

  // Whom to admit beside the file's: its names and keys win. Takes the place of the earlier ones.
  // Any thread.
  void SetLearned(std::vector<AllowedPeer> peers);

  // Who is admitted: the last list that could be read, whom we learned of, and who is invited (by
  // the file beside the list), by public key; and its number, which grows with each change. A list
  // that somebody broke while editing it admits nobody new and cuts nobody off. A peer whose key
  // was renewed stands under the one before too. Any thread.
  using Peers = absl::flat_hash_map<std::string, AllowedPeer>;
  std::shared_ptr<const Peers> peers() const;
  uint64_t peers_version() const;

 private:
  class Impl;
  explicit ZapHandler(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace allot::transport
