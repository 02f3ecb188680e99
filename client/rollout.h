// Whether a deployment has become what was deployed, and what is missing. Pure.
//
// Only replicas of the generation that was deployed count as ready: those of an earlier one still
// serve while it fails, and say nothing about it.
#pragma once

#include <cstdint>
#include <string>

#include "client/views.h"
#include "common/base/status.h"

namespace allot::client {

struct Rollout {
  bool reached = false;
  std::string news;  // a line for people; of what is missing unless reached
};

// `answer`: what the API says of the deployment now. Not OK where it never will be reached: it was
// undeployed (FailedPrecondition), another generation was deployed (the same), or the API refuses.
// An API that is away for a while is no such thing: not reached, and no news.
StatusOr<Rollout> RolloutOf(const StatusOr<DeploymentView>& answer, int64_t generation);

// "ready", "starting", "updating" or "stopping", of a view: as the API says, or by the same rule
// where it is of the build before and says nothing.
std::string StateOf(const DeploymentView& deployment);

}  // namespace allot::client
