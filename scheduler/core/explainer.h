// Why a job or a replica waits, and what would change that: computed on demand, from the state as
// it is now, by looking at every node. Not for the hot path.
#pragma once

#include <vector>

#include "scheduler/core/explain.h"
#include "scheduler/core/ledger.h"
#include "scheduler/core/planner.h"

namespace allot::scheduler {

class Explainer {
 public:
  Explainer(const Ledger& ledger, const Planner& planner) : ledger_(ledger), planner_(planner) {}

  StatusOr<JobExplanation> Explain(Time now, JobId job) const;
  StatusOr<std::vector<ReplicaWait>> ExplainDeployment(const std::string& name,
                                                       WaitDetail detail) const;

 private:
  // How near a node is to running a task, from far to near; the nearest obstacle is the one told.
  enum class Obstacle : uint8_t {
    kNoDevice,
    kIsolation,  // devices that would do if they isolated more
    kNoFabric,   // enough of them, but never so many together
    kNoLeases,   // its agent does not end tasks whose lease is not renewed
    kScratch,    // it lets no task have so much scratch
    kLost,
    kDraining,
    kUnfit,  // it says that it can start nothing now
    kQuarantined,
    kUnhealthy,
    kDevicesQuarantined,
    kBusy,
    kScattered,  // enough are free, but not together
    kCpus,
    kMemory,
    kPriceCap,
    kPower,
    kNone,
  };
  struct NodeVerdict {
    Obstacle obstacle = Obstacle::kNoDevice;
    // Of the nearest way, if there is one.
    uint32_t node = 0;   // row
    uint64_t tasks = 0;  // that fit now
    uint64_t room = 0;   // that would, were there no caps on power
    const DemandOption* option = nullptr;
    ClassId device_class = 0;
    PriceRate price;
    MilliWatt power = 0;  // of one task, at most
    Cost score;
  };
  struct Survey {
    Demand any_isolation;  // what is asked, without what it asks of isolation
    std::vector<NodeVerdict> nodes;
    uint64_t tasks = 0;  // that fit now, over all nodes
    std::vector<Reason> reasons;
    // Of what caps on power refuse: what would change it, and whether they are all that refuses.
    std::vector<std::string> remedies;
    bool roomy = false;
  };

  NodeVerdict Judge(const Demand& demand, uint32_t node, std::optional<PriceRate> cap) const;
  // The verdict on a node that has no device for it, if one that isolates less would do.
  NodeVerdict JudgeIsolation(const Demand& any_isolation, uint32_t node) const;
  std::string NotTogether(const Demand& demand, Obstacle obstacle) const;
  void JoinRemedies(const Survey& survey, JobExplanation& out) const;
  // What caps on power refuse of it: reasons and remedies, and the tasks that fit within them.
  void LookAtPower(const Demand& demand, Survey& survey) const;
  Survey Look(const Demand& demand, std::optional<PriceRate> cap) const;
  void Remedies(Time now, const Demand& demand, const Survey& survey, JobExplanation& out) const;
  // What is out of service and would do, and how it comes back.
  void QuarantineRemedies(Time now, const Survey& survey, JobExplanation& out) const;
  JobExplanation::Candidate CandidateOf(const Demand& demand, const NodeVerdict& verdict) const;
  void ExplainPending(Time now, const JobState& job, JobExplanation& out) const;
  void ExplainPlaced(const JobState& job, JobExplanation& out) const;
  void ExplainPause(Time now, const JobState& job, JobExplanation& out) const;
  // Tasks that fit on devices of one kind: of one vendor and alternative.
  uint64_t MostOfOneKind(const Demand& demand) const;
  void WarnOfCopies(const JobState& job, JobExplanation& out) const;
  // Of nodes that the other tasks of a gang may not reach.
  void WarnOfTranslators(const JobState& job, JobExplanation& out) const;

  const Ledger& ledger_;
  const Planner& planner_;
};

}  // namespace allot::scheduler
