// Machines and work drawn from the seed.
#pragma once

#include <vector>

#include "common/base/rng.h"
#include "common/model/deployment.h"
#include "common/model/job.h"
#include "common/model/node.h"
#include "common/model/policy.h"

namespace allot::simulator {

NodeInfo MakeNode(Rng& rng, uint32_t index);
// `kinds`: its command is one of several, else all do the same.
// leases: some have at_most_one.
JobSpec MakeJob(Rng& rng, uint64_t number, bool kinds, bool leases);
DeploymentSpec MakeDeployment(Rng& rng, uint64_t number);
Policy MakePolicy(Rng& rng);

// What counts under power caps, worked out apart from the scheduler: one device of the model on the
// node, and a share of its processors.
MilliWatt DrawsAtMost(const PriceBook& prices, const NodeInfo& node, const Device& device);
MilliWatt ShareDrawsAtMost(const PriceBook& prices, const NodeInfo& node, MilliCpu share);
std::optional<MilliWatt> CapOfNode(const PowerCaps& caps, const std::string& name);
std::optional<MilliWatt> CapOfRack(const PowerCaps& caps, const std::string& name);

// Could the job run under the policy's power caps if the cluster were empty? Worked out apart from
// the scheduler, for gangs of equal tasks on one of their alternatives.
bool FitsEmptyCluster(const JobSpec& spec, const std::vector<const NodeInfo*>& nodes,
                      const Policy& policy = {});
// Does it end by itself (or by its time limit) within a minute of running?
bool EndsByItself(const JobSpec& spec);

}  // namespace allot::simulator
