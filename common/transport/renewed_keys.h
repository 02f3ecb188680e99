// What a program has renewed of the keys that its config names: its own, and the scheduler's (ADR
// 26). It stands in a file of its state_dir (0600), as programs do not write configs, and counts
// for as long as the config names what it replaces: whoever puts another key there is obeyed.
//
// A new key of one's own is on disk before anybody hears of it, and stays beside the old one until
// the scheduler has said that it took it; if that word is lost, dialling tries both. One thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/proto/wire.pb.h"
#include "common/transport/keys.h"

namespace allot::transport {

// How long the connections of a key that was replaced go on, and a server's may still be dialled:
// until every stream of the day has ended, and who was away has heard of it.
inline constexpr Duration kRetiredKeysServe = std::chrono::hours(24);

class RenewedKeys {
 public:
  // `file` need not exist; empty: there is no place for one, and nothing can be renewed.
  static StatusOr<std::unique_ptr<RenewedKeys>> Load(std::string file, KeyPair configured,
                                                     std::string scheduler_key);

  const KeyPair& own() const { return own_; }
  // Of the scheduler; never empty.
  const std::vector<std::string>& scheduler_keys() const { return scheduler_keys_; }

  // Makes a new pair and returns its public key; the same one until it is taken.
  StatusOr<std::string> MakeNext();
  // It is the own one from now on.
  Status TakeNext();
  Status SetSchedulerKeys(std::vector<std::string> keys);

  // By which keys the `attempt`th dial in a row that has led to nothing is made.
  struct Dial {
    KeyPair own;
    std::string scheduler;
    bool is_next = false;  // the own key is the one that is to be taken
  };
  Dial DialBy(uint64_t attempt) const;

 private:
  RenewedKeys(std::string file, KeyPair configured, std::string scheduler_key);
  Status Save() const;

  const std::string file_;
  const KeyPair configured_;
  const std::string configured_scheduler_;
  KeyPair own_;
  std::optional<KeyPair> next_;
  std::vector<std::string> scheduler_keys_;
};

// The part of a link to the scheduler that is about keys, the same in every peer.
class Renewal {
 public:
  struct Handlers {
    std::function<void(wire::Message)> say;
    // Our own key is another; who it was before, and is still admitted for what is connected.
    std::function<void(const KeyPair& now)> renewed;
    // Before it is told to anybody: whoever serves by it begins. May be null.
    std::function<Status(const KeyPair& next)> prepare = nullptr;
  };
  Renewal(RenewedKeys& keys, Handlers handlers) : keys_(keys), handlers_(std::move(handlers)) {}

  // False: the message is about something else.
  bool Take(const wire::Message& message);

 private:
  void Renew(const wire::RenewKey& order);

  RenewedKeys& keys_;
  const Handlers handlers_;
};

}  // namespace allot::transport
