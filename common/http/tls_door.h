// Handshakes of TLS that are under way: how many, whose, how many a second, and who goes when there
// are too many. Pure: time comes in, and what is pushed out is told, not done.
//
// A stranger can have as many handshakes as the rate lets him, and holds as many places as an
// address may have; whoever comes from elsewhere pushes out one of his before anyone else's.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <optional>

#include <boost/asio/ip/address.hpp>

#include "common/base/token_bucket.h"

namespace allot::http {

class TlsDoor {
 public:
  struct Options {
    size_t handshakes_max = 0, of_address_max = 0;
    TokenBucket rate;  // of each address
  };
  using Address = boost::asio::ip::address;
  using Who = void*;

  explicit TlsDoor(Options options) : options_(std::move(options)) {}

  // Somebody comes; who has to go for it, if anybody: the oldest of its own address where that has
  // as many as it may, else of the address that has most.
  std::optional<Who> Enter(Who who, const Address& from);
  void Leave(Who who, const Address& from);  // done, or gone
  // Whether its handshake may begin now.
  bool Begin(const Address& from, Duration now);
  // One of that address was let in: its handshake was no stranger's.
  void LetIn(const Address& from);
  size_t under_way() const { return order_.size(); }

 private:
  struct Place {
    Who who;
    Address from;
  };
  struct Of {
    explicit Of(const TokenBucket& rate) : rate(rate) {}
    size_t under_way = 0;
    TokenBucket rate;
  };
  Of& At(const Address& from);
  void Forget(Duration now);

  const Options options_;
  std::list<Place> order_;  // the oldest first
  std::map<Address, Of> addresses_;
  size_t forget_at_ =
      4096;  // so many addresses: those that have nobody here and all of their burst go
};

}  // namespace allot::http
