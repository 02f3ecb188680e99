// A real cluster for one test: scheduler with its gateway, agents, the `allot` command.
//
// Nothing here waits for a time: Until() looks again and again until something holds, with a
// deadline that only a broken program reaches.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "client/api.h"
#include "client/local/cluster.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace allot::testing {

struct CommandResult {
  int code = -1;
  std::string out, err;
};

// Runs a program to its end. `environment` is added to ours; "NAME=" with nothing unsets it.
CommandResult RunProgram(const std::string& program, const std::vector<std::string>& args,
                         const std::vector<std::string>& environment, const std::string& folder);
std::string Program(const std::string& name);  // of this build

inline constexpr std::chrono::seconds kDeadline{120};

// True as soon as `holds` is; false at the deadline.
bool Until(const std::function<bool()>& holds);

class ClusterTest : public ::testing::Test {
 protected:
  ClusterTest();
  ~ClusterTest() override;

  // Starts everything; fails the test if it does not come up.
  void Up(std::vector<client::local::AgentSpec> agents = {}, const std::string& policy = "");
  // `allot ARGS…` against this cluster, in its folder.
  CommandResult Allot(const std::vector<std::string>& args) const;
  // As Allot, but the command must succeed; returns what it printed, without the last newline.
  std::string Ok(const std::vector<std::string>& args) const;

  // Deploys this text; returns once the gateway answers completions of `model`. Ready is the
  // scheduler's word: the gateway must know it too, and be linked to the nodes.
  void Deploy(const std::string& deployment, const std::string& model);

  client::Api& api();
  client::JobView Job(const std::string& id);
  // Until every task runs; its view then.
  client::JobView AwaitRunning(const std::string& id);
  const client::local::Addresses& addresses() const { return addresses_; }
  // Of the cluster's owner, with which api() and Allot() ask too.
  const std::string& token() const { return token_; }
  std::string gateway_url() const { return "http://" + addresses_.gateway_http; }

  void KillScheduler();  // -9, and gone
  void StartScheduler();
  void KillAgent(const std::string& name);
  void StartAgent(const std::string& name);  // and registered

  const std::string& folder() const { return folder_; }
  std::string Write(const std::string& name, const std::string& text) const;
  std::string Read(const std::string& name) const;
  client::local::Cluster& cluster() { return *cluster_; }

 private:
  void Kill(const std::string& state_dir);

  std::string folder_;
  std::unique_ptr<client::local::Cluster> cluster_;
  client::local::Addresses addresses_;
  std::string token_;
  std::unique_ptr<client::Api> api_;
};

}  // namespace allot::testing
