// The agent: one thread on one asio loop that owns the core, the link to the scheduler, the links
// to gateways, the node's processes, its devices and a small HTTP server for /metrics and /healthz.
//
// Destroying it leaves tasks and model servers running under their supervisors; the next agent on
// the same state folder takes them over.
#pragma once

#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>

#include "agent/core/core.h"
#include "agent/devices/vendor.h"
#include "agent/shell/options.h"

namespace allot::agent {

class Agent {
 public:
  // Takes the state folder, finds devices and what earlier lives left, listens, dials. Blocks for
  // discovery only. FailedPrecondition: another agent has the state folder; Unavailable: the port.
  static StatusOr<std::unique_ptr<Agent>> Start(boost::asio::io_context& loop,
                                                AgentOptions options);
  ~Agent();

  const Core& core() const;
  // An operator says that devices which health rules have quarantined are well again.
  void ClearHealth();
  std::string http_address() const;  // host:port

 private:
  class Impl;
  explicit Agent(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace allot::agent
