// The scheduler's own key pairs: the one in force, the one that is to follow it while it is being
// made known, and the one before while it still serves (ADR 26).
//
// They stand beside each other as KEYFILE, KEYFILE.next and KEYFILE.old, so that a scheduler that
// is restarted in the middle goes on where it was. KEYFILE says when the one before it ends to
// serve, which is also how a later start knows that peers may hold another key. One thread.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/units.h"
#include "common/transport/keys.h"

namespace allot::scheduler {

class HeadKeys {
 public:
  // Errors of transport::LoadKeyFile.
  static StatusOr<HeadKeys> Load(const std::string& key_file, Time now);
  // Without a file: nothing can be renewed.
  HeadKeys(transport::KeyPair keys = {}) : current_(std::move(keys)) {}

  const transport::KeyPair& current() const { return current_; }
  const std::optional<transport::KeyPair>& next() const { return next_; }
  const std::optional<transport::KeyPair>& old() const { return old_; }
  Time old_until() const { return old_until_; }
  // Whether peers may hold other keys than the one in force: then they are told.
  bool renewed() const { return next_.has_value() || old_until_ != Time(); }
  // Those that prove us, the one that is to stay last.
  std::vector<std::string> public_keys() const;

  // Makes the next one, if there is none yet.
  Status Begin();
  // The next one is in force, the one before serves until `until`.
  Status Switch(Time until);
  // True, and it is gone: the time of the old one is over.
  bool DropOld(Time now, std::string* public_key);

 private:
  std::string file_;
  transport::KeyPair current_;
  std::optional<transport::KeyPair> next_, old_;
  Time old_until_{};
};

}  // namespace allot::scheduler
