// What the sessions of a server share: budgets, by where connections come from and in all, and
// whose turn it is. The loop's thread.
#pragma once

#include <array>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>

#include "common/base/token_bucket.h"
#include "common/http/overload.h"
#include "common/http/server.h"
#include "common/http/tls_door.h"
#include "common/http/turns.h"

namespace allot::http {

using Clock = std::chrono::steady_clock;

class Session;

// One address, or all of an IPv6 /64.
struct Origin {
  size_t connections = 0;
  size_t heads = 0, bodies = 0;  // bytes of ServerState's
  Turns::Group turns;
};

struct ServerState : std::enable_shared_from_this<ServerState> {
  ServerState(boost::asio::io_context& l, Server::Options o, Handler h);
  const std::string& Date();  // of now, formatted once a second

  // May a request be handled at once? Else it waits for its turn: requests take no more than half
  // of the loop in a row, or a few at a time between whatever else there is to do.
  bool MayServe(Clock::time_point now);
  // That it took so long.
  void Served(Turns::Member& member, Clock::time_point from);
  void WaitForTurn(Turns::Member& member);

  // Bytes of heads are over their bound: the oldest of the origin that has most gives way.
  void PushOutHeads();
  // The body, not all here yet, that of the origin that has most grew least lately; null: none.
  Session* SlowestBody() const;

  void Count(Turned why) { ++turned[static_cast<size_t>(why)]; }
  bool Busy() const { return answers_bytes > options.answers_bytes_max / 2; }

  boost::asio::io_context& loop;
  const Server::Options options;
  const Handler handler;
  std::vector<char> scratch;  // every read lands here first, so idle connections own no buffer
  std::string head;           // and every head is built here
  std::unordered_map<Session*, std::shared_ptr<Session>> sessions;
  size_t heads_bytes = 0;    // received and not yet a request: parts of heads, and what was sent ahead
  size_t bodies_bytes = 0;   // of requests, heads with them, that are not answered yet
  size_t answers_bytes = 0;  // written and not yet taken
  std::map<boost::asio::ip::address, Origin> origins;  // by AddressGroup
  Turns turns;
  std::array<uint64_t, kTurnedKinds> turned{};
  bool closed = false;
  Overload overload;
  std::unique_ptr<TlsIdentity> tls;  // null: in the clear
  TlsDoor door;

 private:
  const Origin* Largest(size_t Origin::*bytes) const;
  void PostTurn();
  void NextTurn();

  std::string date_;
  int64_t date_second_ = -1;
  TokenBucket at_once_;  // nanoseconds
  int64_t in_turn_ = 0;  // nanoseconds
  bool turn_posted_ = false;
};

}  // namespace allot::http
