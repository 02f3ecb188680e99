// The link to the scheduler: hello each second, the route table in, dialled anew when it breaks,
// falls silent, or turns out to lose large messages (common/transport/path_proof.h). Without a
// scheduler the last table goes on. One thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/asio/timer.h"
#include "common/base/rng.h"
#include "common/model/messages.h"
#include "common/transport/endpoints.h"
#include "common/transport/link.h"
#include "common/transport/path_proof.h"
#include "common/transport/renewed_keys.h"
#include "gateway/clock.h"

namespace allot::gateway {

class SchedulerLink {
 public:
  struct Options {
    std::vector<std::string> endpoints;   // each dial goes to the next (transport/endpoints.h)
    transport::ClientLink::Options link;  // its endpoint is filled in
    Duration hello_every = std::chrono::seconds(1);
    Duration silence_max = std::chrono::seconds(10);
    transport::PathProof::Patience path_patience = {};
    transport::RenewedKeys* renewed = nullptr;  // in place of the link's keys; outlives this
    std::function<Status(const transport::KeyPair& next)> prepare = nullptr;
    std::function<void(const transport::KeyPair& now)> on_renewed = nullptr;
  };
  // `hello` is asked each time, as it tells which routes we have.
  using Hello = std::function<wire::GatewayHello()>;
  using Routes = std::function<void(std::shared_ptr<const RouteTable>)>;
  using Lists = std::function<void(const wire::Admission&)>;

  SchedulerLink(transport::Context& context, boost::asio::io_context& loop,
                const GatewayClock& clock, Options options, Hello hello, Routes routes,
                Lists lists);
  ~SchedulerLink();

  // tcp://IP:PORT that was dialled last; empty before the first dial.
  const std::string& dialled() const { return options_.link.endpoint; }
  bool connected() const { return connected_; }
  uint64_t reconnects() const { return reconnects_; }
  uint64_t dropped_garbage() const { return dropped_garbage_; }

 private:
  void Dial();
  void Connect();
  void Redial(const std::string& why);
  void Tick();
  void Connected();
  // Says hello unless the path is still to be proven; false: it was given up.
  bool GoOn();
  void SayHello();
  void Send(wire::Envelope envelope);
  void Renewed(const transport::KeyPair& now);
  void Receive(const transport::ClientLink::Incoming& in);

  transport::Context& context_;
  boost::asio::io_context& loop_;
  const GatewayClock& clock_;
  Options options_;
  transport::Endpoints endpoints_;
  Hello hello_;
  Routes routes_;
  Lists lists_;
  Rng rng_;  // jitter, nonces
  transport::PathProof proof_;
  std::unique_ptr<transport::ClientLink> link_;
  std::optional<transport::Renewal> renewal_;
  uint64_t attempts_ = 0;  // dials since the last that led to something
  bool by_next_ = false;   // this one is made by the key that is to be taken
  bool connected_ = false;
  bool was_connected_ = false;
  Time heard_;
  uint64_t store_ = 0;  // incarnation of the store of the scheduler that was heard last
  uint64_t sequence_ = 0, term_ = 0, reconnects_ = 0, dropped_garbage_ = 0;
  std::chrono::milliseconds backoff_;
  Timer timer_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);  // for what is posted
};

}  // namespace allot::gateway
