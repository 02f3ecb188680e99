// Who may do what to what: the one place where that is decided, for the scheduler's API and for a
// gateway's. Pure; any thread.
//
// A principal has a role, and may be bound to a tenant. Bound, it sees what is its tenant's and what
// is the whole cluster's, changes what is its tenant's, and nothing else is there for it: what it may
// not see is answered like what does not exist.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/auth/tokens.h"

namespace allot::auth {

enum class Kind : uint8_t {
  kJob,         // with its tasks, logs and explanations
  kDeployment,  // with its replicas and their logs
  kRequest,     // for an answer of a model
  kModel,       // that there is one: names to ask for
  kNode,        // with its devices
  kPolicy,
  kShare,    // a tenant's, of a queue
  kCluster,  // what everyone may know of the whole: its name, gateways, power
  kMetrics,  // numbers of all tenants
  kTargets,  // where they are: what a Prometheus scrapes
  kStore,    // what the scheduler keeps: backups
  kKeys,     // of programs: which there are, and that they are renewed
};
std::string_view ToString(Kind kind);  // "job", "deployment", …

enum class Action : uint8_t {
  kSee,         // reads, listings, waits, logs, explanations
  kChange,      // submits, cancels, deploys, deletes, drains, sets
  kPrioritize,  // of a request: before others of that deployment's queue
};
std::string_view ToString(Action action);  // "see", "change", "prioritize"

struct Resource {
  Kind kind = Kind::kCluster;
  std::string_view tenant = {};  // whose it is; empty: the cluster's
  std::string_view name = {};    // for people: "job-17", "deployment chat"; empty: all of its kind
  std::string_view deployment = {};  // its name, where it is one or belongs to one
};

// What a token must be for, to do anything with such a thing.
Area AreaOf(Kind kind);
// The least role that may do that at all; none: nobody may.
std::optional<Role> RoleFor(Kind kind, Action action);

// OK; PermissionDenied, naming what it would take; or NotFound, where the principal may not even know
// that it is there, in the words in which whatever is not there is told.
Status Decide(const Principal& principal, Action action, const Resource& resource);

// Whether it stands in a listing for that principal.
bool Sees(const Principal& principal, const Resource& resource);

}  // namespace allot::auth
