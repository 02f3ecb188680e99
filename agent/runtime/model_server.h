// What the agent needs to know of a model server: a port to give it, and whether it is healthy.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include <boost/asio/io_context.hpp>

#include "agent/core/events.h"
#include "common/http/client.h"

namespace allot::agent {

// A port that nobody listens on at 127.0.0.1 right now. Another program may take it before the
// model server does; then that one fails to start and the next start gets another port.
StatusOr<uint16_t> FreeLoopbackPort();

// One health check: a question (GET health.path of a model server) answered with 2xx in time.
// Belongs to the loop's thread. `done` is called once, from the loop, unless the prober or the
// probe is gone before.
class HealthProber {
 public:
  using Done = std::function<void(bool healthy, std::string message)>;
  explicit HealthProber(boost::asio::io_context& loop);
  ~HealthProber();
  // A probe of the same process that is still under way is given up.
  void Probe(const ProcessId& id, uint16_t port, const HealthCheck& health, Done done);
  // Of a server elsewhere: `connect` makes the client that the first probe and all later ones use.
  using Connect = std::function<std::unique_ptr<http::Client>(boost::asio::io_context&)>;
  void Probe(const ProcessId& id, const Connect& connect, http::ClientRequest question, Done done);
  void Forget(const ProcessId& id);

 private:
  struct Target;
  void Ask(const std::shared_ptr<Target>& target, http::ClientRequest question, Done done);
  boost::asio::io_context& loop_;
  std::map<ProcessId, std::shared_ptr<Target>> targets_;
};

}  // namespace allot::agent
