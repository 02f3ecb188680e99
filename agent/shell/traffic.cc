#include "agent/shell/traffic.h"

#include <set>
#include <utility>

#include <boost/asio/post.hpp>

namespace allot::agent {
namespace {

// A stream has a piece every few milliseconds; that it flows is news once a second.
constexpr auto kFlowEvery = std::chrono::seconds(1);

}  // namespace

struct TrafficMeter::Request::State : std::enable_shared_from_this<State> {
  struct Count {
    uint32_t in_flight = 0;
    bool flowed = false;
    std::chrono::steady_clock::time_point flow_told;
  };
  State(boost::asio::io_context& l, Tell t) : loop(l), tell(std::move(t)) {}

  // What changes within one turn of the loop is told once.
  void TellSoon(ReplicaId id) {
    const bool posted = !due.empty();
    due.insert(id);
    if (posted) return;
    boost::asio::post(loop, [weak = weak_from_this()] {
      const auto self = weak.lock();
      if (self == nullptr) return;
      for (const ReplicaId replica : std::exchange(self->due, {})) self->TellNow(replica);
    });
  }
  void TellNow(ReplicaId id) {
    const auto it = counts.find(id);
    if (it == counts.end()) return;
    const ReplicaTraffic traffic{id, it->second.in_flight, std::exchange(it->second.flowed, false)};
    // That a request came is other news than that its answer flows, and must not keep that back.
    if (traffic.flowed) it->second.flow_told = std::chrono::steady_clock::now();
    if (traffic.in_flight == 0) counts.erase(it);
    tell(traffic);
  }

  boost::asio::io_context& loop;
  const Tell tell;
  std::map<ReplicaId, Count> counts;
  std::set<ReplicaId> due;
};

TrafficMeter::TrafficMeter(boost::asio::io_context& loop, Tell tell)
    : state_(std::make_shared<Request::State>(loop, std::move(tell))) {}
TrafficMeter::~TrafficMeter() = default;

TrafficMeter::Request TrafficMeter::Begin(ReplicaId id) {
  Request request;
  request.meter_ = state_;
  request.id_ = id;
  if (++state_->counts[id].in_flight == 1) state_->TellSoon(id);
  return request;
}

TrafficMeter::Request& TrafficMeter::Request::operator=(Request&& other) noexcept {
  std::swap(meter_, other.meter_);
  std::swap(id_, other.id_);
  return *this;
}

TrafficMeter::Request::~Request() {
  const auto state = meter_.lock();
  if (state == nullptr) return;
  if (--state->counts[id_].in_flight == 0) state->TellSoon(id_);
}

void TrafficMeter::Request::Flowed() {
  const auto state = meter_.lock();
  if (state == nullptr) return;
  State::Count& count = state->counts[id_];
  count.flowed = true;
  if (std::chrono::steady_clock::now() - count.flow_told >= kFlowEvery) state->TellSoon(id_);
}

}  // namespace allot::agent
