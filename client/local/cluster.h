// A whole cluster on this machine: `allot local up`, `status`, `down`. Also what the integration
// tests and the quickstart stand on.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "client/local/addresses.h"
#include "client/local/layout.h"
#include "common/base/status.h"
#include "common/base/units.h"

namespace allot::client::local {

struct UpOptions {
  std::vector<AgentSpec> agents;  // empty: those of the last time, else DefaultAgents()
  std::string policy;             // file or ready-made name; empty: cheapest-within-slo
  Duration timeout = std::chrono::seconds(60);
  // Looked at before each step and while waiting, at least once a second, and at once after a
  // signal; true ends Up with Cancelled.
  std::function<bool()> interrupted = [] { return false; };
};

class Cluster {
 public:
  using Progress = std::function<void(const std::string&)>;
  Cluster(std::string folder, Progress progress);

  const Layout& layout() const { return layout_; }
  StatusOr<std::string> Token() const;  // of its owner, for API and gateway
  // Keys and configs with the default ports, nothing started.
  Status Configure(const UpOptions& options);
  // Everything started and every agent registered. On a failure, or if interrupted, nothing is left
  // running.
  StatusOr<Addresses> Up(const UpOptions& options);
  // Every process stopped, tasks and model servers too; files stay. How many there were.
  int Down();

  // One program of a cluster that is up; for tests and repairs.
  StatusOr<Addresses> StartScheduler(Duration timeout);
  StatusOr<pid_t> StartAgent(const std::string& name);
  // Until every named node is registered and alive; fails early if an agent's process has ended.
  struct Node {
    std::string name;
    pid_t agent = 0;
  };
  Status AwaitNodes(const std::vector<Node>& nodes, Duration timeout);

 private:
  StatusOr<std::vector<AgentSpec>> Choose(const UpOptions& options) const;
  Status UpUnguarded(const UpOptions& options);
  Status Prepare(const UpOptions& options, std::vector<AgentSpec>* agents);

  Layout layout_;
  Progress progress_;
  std::function<bool()> interrupted_ = [] { return false; };  // of the Up under way
};

}  // namespace allot::client::local
