// One whole cluster in virtual time: the three shipped cores, and around them a network, a disk,
// machines, processes, people and faults, all drawn from one seed.
//
// Single-threaded. Two worlds of one seed do the same, byte for byte.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/rng.h"
#include "simulator/checkers/acknowledged.h"
#include "simulator/checkers/black_hole.h"
#include "simulator/checkers/findings.h"
#include "simulator/checkers/job_ledger.h"
#include "simulator/checkers/lease_ledger.h"
#include "simulator/checkers/power_ledger.h"
#include "simulator/checkers/process_ledger.h"
#include "simulator/checkers/promptness.h"
#include "simulator/checkers/request_ledger.h"
#include "simulator/checkers/silence.h"
#include "simulator/faults.h"
#include "simulator/loop.h"
#include "simulator/network.h"

namespace allot::simulator {

class GatewayHost;
class NodeHost;
class SchedulerHost;
class Workload;

struct WorldOptions {
  uint64_t seed = 1;
  uint64_t events = 2'000;  // core steps before the faults heal
  FaultSet faults = FaultSet::All();
  bool hash = false;  // of everything the cores said, for determinism tests
  std::function<void(const std::string&)> trace;  // one line a step, if set
};

struct WorldResult {
  std::string finding;  // empty: all well
  uint64_t steps = 0;   // of all cores
  uint64_t hash = 0;
  uint64_t jobs = 0, spawned = 0, requests = 0, scheduler_lives = 0;
  uint64_t black_holes = 0;  // found out
  Duration healed_after{}, finished_after{};  // virtual; the second counts from the first
  FaultCounts faults{};
};

class World {
 public:
  explicit World(const WorldOptions& options);
  ~World();
  WorldResult Run();

  // ---- for the hosts ----------------------------------------------------------------------
  const uint64_t seed;
  Loop loop;
  Rng rng;
  Findings findings;
  Faults faults;
  Network network;
  JobLedger job_ledger{findings};
  LeaseLedger lease_ledger{findings};
  PowerLedger power_ledger{findings};
  ProcessLedger process_ledger{findings};
  RequestLedger request_ledger{findings};
  Acknowledged acknowledged{findings};
  Silence silence{findings};
  BlackHole black_hole{findings};
  Promptness promptness{findings};
  // The journal is this one again, whatever those that read it have read beyond it.
  void PutBack(const std::vector<scheduler::Record>& journal,
               const scheduler::ClusterState& state);
  // Some jobs of this world have at_most_one.
  bool leases = false;
  std::unique_ptr<SchedulerHost> scheduler;
  std::vector<std::unique_ptr<NodeHost>> nodes;
  std::unique_ptr<GatewayHost> gateway;

  Time now() const { return loop.now(); }
  // Uniform in [low, high).
  Duration Between(Duration low, Duration high);
  // A core was stepped; text() says what happened and is called only if somebody listens.
  template <class Text>
  void Stepped(std::string_view who, Text text) {
    ++steps_;
    if (listening_) Say(who, text());
  }
  void Say(std::string_view who, const std::string& text);
  bool listening() const { return listening_; }
  uint64_t steps() const { return steps_; }
  uint64_t events_planned() const { return options_.events; }

 private:
  void PlanFaults();
  void StrikeOnce();
  void OpenBlackHole(NodeHost& node);
  Time QuarantinedUntil() const;
  void Heal();
  bool Settled() const;
  void CheckEnd();

  const WorldOptions options_;
  bool listening_;
  uint64_t steps_ = 0, hash_ = 0xcbf29ce484222325;
  std::unique_ptr<Workload> workload_;
};

}  // namespace allot::simulator
