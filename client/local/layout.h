// The folder of a local cluster: who is in it, where things stand, its config files.
//
//   FOLDER/cluster.yaml      which agents (so that a second `up` needs no flags)
//   FOLDER/allow.yaml        who may connect
//   FOLDER/keys/NAME.key     one key a program
//   FOLDER/keys/owner.token  for people and clients; FOLDER/tokens.yaml has its digest
//   FOLDER/scheduler.yaml    FOLDER/scheduler/   FOLDER/checkpoints/
//   FOLDER/agents/NAME.yaml  FOLDER/nodes/NAME/
//   FOLDER/policy.yaml       the first policy; later ones are in the scheduler's store
//   FOLDER/logs/NAME.log     what each program says
//   FOLDER/down              stopped by `allot local down`
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/base/units.h"

namespace allot::client::local {

struct EmulatedDevices {
  std::string model;
  uint32_t count = 1;
};

struct AgentSpec {
  std::string name;
  bool host = false;                     // offers the machine's processors and GPUs
  std::vector<EmulatedDevices> devices;  // offers these, emulated
};

// What this machine has, and what one node of a local cluster offers of it. Emulated devices compute
// on its processors, so their nodes take one for each device, and the host offers what they leave;
// of the memory they take a quarter together. Where there are too few processors for that, every
// node offers all of them, or a task of one processor would fit nowhere: SharesProcessors() is false
// then, and people are told.
struct Machine {
  uint32_t processors = 1;
  Bytes memory = 0;
};
struct Offer {
  std::optional<uint32_t> cpus;  // nullopt: all there are
  Bytes memory = 0;
};
inline constexpr Bytes kEmulatedMemoryMin = 512 * kMiB;
Machine ThisMachine();
bool SharesProcessors(const std::vector<AgentSpec>& all, uint32_t processors);
Offer OfferOf(const AgentSpec& agent, const std::vector<AgentSpec>& all, const Machine& machine);

// "gpu=nvidia/h100-sxm-80g:2", "mixed=groq/lpu-v1:4+nvidia/l4", "host" (the machine itself).
// Models must stand in the catalogue.
StatusOr<AgentSpec> ParseAgentSpec(const std::string& text);
// The machine itself, two emulated GPUs, two emulated inference ASICs.
std::vector<AgentSpec> DefaultAgents();

class Layout {
 public:
  explicit Layout(std::string folder);  // made absolute
  const std::string& folder() const { return folder_; }
  std::string File(const std::string& relative) const { return folder_ + "/" + relative; }
  std::string SchedulerState() const { return File("scheduler"); }
  std::string NodeState(const std::string& name) const { return File("nodes/" + name); }
  std::string SchedulerConfig() const { return File("scheduler.yaml"); }
  std::string AgentConfig(const std::string& name) const {
    return File("agents/" + name + ".yaml");
  }
  std::string LogOf(const std::string& name) const { return File("logs/" + name + ".log"); }

  // Folders, keys and the allow list; what is there stays.
  Status Prepare(const std::vector<AgentSpec>& agents) const;
  // The agents of an earlier `up`; NotFound if the folder holds no cluster.
  StatusOr<std::vector<AgentSpec>> LoadAgents() const;

  // Where the scheduler listens. Port 0 lets it choose; once it has chosen, the config is written
  // again with what it chose, so that a restarted scheduler is found by its agents.
  struct Listen {
    std::string endpoint = "tcp://127.0.0.1:0", http = "127.0.0.1:0";
    std::string gateway_endpoint = "tcp://127.0.0.1:0", gateway_http = "127.0.0.1:0";
  };
  Status WriteSchedulerConfig(const Listen& listen) const;
  Status WriteAgentConfig(const AgentSpec& agent, const std::string& scheduler_endpoint) const;
  // A policy for the first start: a file or a ready-made name.
  Status WritePolicy(const std::string& file_or_name) const;

 private:
  std::string folder_;
};

}  // namespace allot::client::local
