#include "common/auth/authorizer.h"

#include "common/base/check.h"

namespace allot::auth {
namespace {

// For whom, beside the role, the row is.
enum class For : uint8_t {
  kAll,      // whatever tenant the principal is bound to
  kOwner,    // bound to a tenant: of what is that tenant's only, and the rest is hidden
  kCluster,  // bound to none: it is about everybody
};

struct Rule {
  Kind kind;
  Action action;
  Role role;
  For whom;
};

// What has no row nobody may.
constexpr Rule kRules[] = {
    {Kind::kJob, Action::kSee, Role::kViewer, For::kOwner},
    {Kind::kJob, Action::kChange, Role::kUser, For::kOwner},
    {Kind::kDeployment, Action::kSee, Role::kViewer, For::kOwner},
    {Kind::kDeployment, Action::kChange, Role::kUser, For::kOwner},
    // Models serve everybody; whose queue it is says who goes first in it.
    {Kind::kRequest, Action::kSee, Role::kViewer, For::kOwner},
    {Kind::kRequest, Action::kChange, Role::kUser, For::kAll},
    {Kind::kRequest, Action::kPrioritize, Role::kUser, For::kOwner},
    {Kind::kNode, Action::kSee, Role::kViewer, For::kAll},
    {Kind::kNode, Action::kChange, Role::kAdmin, For::kCluster},
    {Kind::kPolicy, Action::kSee, Role::kViewer, For::kAll},
    {Kind::kPolicy, Action::kChange, Role::kAdmin, For::kCluster},
    {Kind::kCluster, Action::kSee, Role::kViewer, For::kAll},
    {Kind::kMetrics, Action::kSee, Role::kViewer, For::kCluster},
    {Kind::kStore, Action::kSee, Role::kAdmin, For::kCluster},
    {Kind::kStore, Action::kChange, Role::kAdmin, For::kCluster},
};

std::string NameOf(const Resource& resource) {
  return std::string(resource.name.empty() ? ToString(resource.kind) : resource.name);
}

}  // namespace

std::string_view ToString(Kind kind) {
  switch (kind) {
    case Kind::kJob:
      return "job";
    case Kind::kDeployment:
      return "deployment";
    case Kind::kRequest:
      return "request";
    case Kind::kNode:
      return "node";
    case Kind::kPolicy:
      return "policy";
    case Kind::kCluster:
      return "cluster";
    case Kind::kMetrics:
      return "metrics";
    case Kind::kStore:
      return "store";
  }
  return "unknown";
}

std::string_view ToString(Action action) {
  switch (action) {
    case Action::kSee:
      return "see";
    case Action::kChange:
      return "change";
    case Action::kPrioritize:
      return "prioritize";
  }
  return "unknown";
}

Status Decide(const Principal& principal, Action action, const Resource& resource) {
  const std::string& bound = principal.tenant;
  for (const Rule& rule : kRules) {
    if (rule.kind != resource.kind || rule.action != action) continue;
    const bool others = !bound.empty() && !resource.tenant.empty() && bound != resource.tenant;
    // Hidden before anything else is said: which role it would take is known only of what is seen.
    if (rule.whom == For::kOwner && others && action != Action::kPrioritize)
      return NotFound("there is no {}", NameOf(resource));
    RETURN_IF_ERROR(Require(principal, rule.role));
    if (rule.whom == For::kOwner && others)
      return PermissionDenied("{} is for tenant {}; the token \"{}\" is bound to tenant {}",
                              NameOf(resource), resource.tenant, principal.name, bound);
    if (rule.whom == For::kCluster && !bound.empty())
      return PermissionDenied(
          "{} is about all tenants; the token \"{}\" is bound to tenant {}, and this needs one that "
          "is bound to none",
          NameOf(resource), principal.name, bound);
    return absl::OkStatus();
  }
  return PermissionDenied("nobody may {} a {}", ToString(action), ToString(resource.kind));
}

bool Sees(const Principal& principal, const Resource& resource) {
  return Decide(principal, Action::kSee, resource).ok();
}

}  // namespace allot::auth
