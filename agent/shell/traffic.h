// Requests in flight by replica, over all links to gateways, told to the core: whether a replica
// may be ended, and whether one that fails its health checks still answers, hangs on it.
//
// Loop thread only; `tell` is called from the loop, never from inside a call.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>

#include <boost/asio/io_context.hpp>

#include "agent/core/events.h"

namespace allot::agent {

class TrafficMeter {
 public:
  using Tell = std::function<void(const ReplicaTraffic&)>;
  TrafficMeter(boost::asio::io_context& loop, Tell tell);
  ~TrafficMeter();

  // One request at a replica, for as long as it lives. May outlive the meter.
  class Request {
   public:
    Request() = default;
    Request(Request&& other) noexcept = default;
    Request& operator=(Request&& other) noexcept;
    ~Request();
    void Flowed();  // bytes of its answer have come

   private:
    friend class TrafficMeter;
    struct State;
    std::weak_ptr<State> meter_;
    ReplicaId id_;
  };
  Request Begin(ReplicaId id);

 private:
  std::shared_ptr<Request::State> state_;
};

}  // namespace allot::agent
