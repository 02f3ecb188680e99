#include "common/auth/authorizer.h"

#include <algorithm>

#include "common/base/check.h"
#include "common/model/device.h"

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
    {Kind::kModel, Action::kSee, Role::kViewer, For::kAll},
    {Kind::kNode, Action::kSee, Role::kViewer, For::kAll},
    {Kind::kNode, Action::kChange, Role::kAdmin, For::kCluster},
    {Kind::kPolicy, Action::kSee, Role::kViewer, For::kAll},
    {Kind::kPolicy, Action::kChange, Role::kAdmin, For::kCluster},
    {Kind::kShare, Action::kSee, Role::kViewer, For::kOwner},
    {Kind::kCluster, Action::kSee, Role::kViewer, For::kAll},
    {Kind::kMetrics, Action::kSee, Role::kViewer, For::kCluster},
    {Kind::kTargets, Action::kSee, Role::kViewer, For::kAll},
    {Kind::kStore, Action::kSee, Role::kAdmin, For::kCluster},
    {Kind::kStore, Action::kChange, Role::kAdmin, For::kCluster},
    {Kind::kKeys, Action::kSee, Role::kAdmin, For::kCluster},
    {Kind::kKeys, Action::kChange, Role::kAdmin, For::kCluster},
};

std::string NameOf(const Resource& resource) {
  return std::string(resource.name.empty() ? ToString(resource.kind) : resource.name);
}

const Rule* FindRule(Kind kind, Action action) {
  const auto found = std::find_if(
      std::begin(kRules), std::end(kRules),
      [&](const Rule& rule) { return rule.kind == kind && rule.action == action; });
  return found == std::end(kRules) ? nullptr : found;
}

// "models and jobs"
std::string Words(const std::vector<Area>& areas) {
  std::string text;
  for (const Area area : areas) {
    if (!text.empty()) text += area == areas.back() ? " and " : ", ";
    text += ToString(area);
  }
  return text;
}

Status CheckArea(const Principal& principal, Area needed) {
  const std::vector<Area>& only = principal.scope.only;
  if (only.empty() || std::find(only.begin(), only.end(), needed) != only.end())
    return absl::OkStatus();
  return PermissionDenied("token \"{}\" is for {} only; this needs one that is for {}",
                          principal.name, Words(only), ToString(needed));
}

bool IsThere(const Principal& principal, std::string_view deployment) {
  const std::vector<std::string>& globs = principal.scope.deployments;
  return deployment.empty() || globs.empty() ||
         std::any_of(globs.begin(), globs.end(),
                     [&](const std::string& glob) { return GlobMatch(glob, deployment); });
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
    case Kind::kModel:
      return "model";
    case Kind::kNode:
      return "node";
    case Kind::kPolicy:
      return "policy";
    case Kind::kShare:
      return "share";
    case Kind::kCluster:
      return "cluster";
    case Kind::kMetrics:
      return "metrics";
    case Kind::kTargets:
      return "targets";
    case Kind::kStore:
      return "store";
    case Kind::kKeys:
      return "keys";
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

Area AreaOf(Kind kind) {
  switch (kind) {
    case Kind::kJob:
      return Area::kJobs;
    case Kind::kDeployment:
      return Area::kDeployments;
    case Kind::kRequest:
    case Kind::kModel:
      return Area::kModels;
    case Kind::kMetrics:
    case Kind::kTargets:
      return Area::kMetrics;
    case Kind::kNode:
    case Kind::kPolicy:
    case Kind::kShare:
    case Kind::kCluster:
    case Kind::kStore:
    case Kind::kKeys:
      return Area::kCluster;
  }
  return Area::kCluster;
}

std::optional<Role> RoleFor(Kind kind, Action action) {
  const Rule* const rule = FindRule(kind, action);
  return rule == nullptr ? std::nullopt : std::optional(rule->role);
}

namespace {

bool IsOthers(const Principal& principal, const Resource& resource) {
  return !principal.tenant.empty() && !resource.tenant.empty() &&
         principal.tenant != resource.tenant;
}

bool IsHidden(const Principal& principal, const Rule& rule, const Resource& resource) {
  return !IsThere(principal, resource.deployment) ||
         (rule.whom == For::kOwner && rule.action != Action::kPrioritize &&
          IsOthers(principal, resource));
}

}  // namespace

Status Decide(const Principal& principal, Action action, const Resource& resource) {
  const std::string& bound = principal.tenant;
  const Rule* const rule = FindRule(resource.kind, action);
  if (rule == nullptr)
    return PermissionDenied("nobody may {} a {}", ToString(action), ToString(resource.kind));
  RETURN_IF_ERROR(CheckArea(principal, AreaOf(resource.kind)));
  // Hidden before anything else is said: which role it would take is known only of what is seen.
  if (IsHidden(principal, *rule, resource))
    return NotFound("there is no {}", NameOf(resource));
  RETURN_IF_ERROR(Require(principal, rule->role));
  if (rule->whom == For::kOwner && IsOthers(principal, resource))
    return PermissionDenied("{} is for tenant {}; the token \"{}\" is bound to tenant {}",
                            NameOf(resource), resource.tenant, principal.name, bound);
  if (rule->whom == For::kCluster && !bound.empty())
    return PermissionDenied(
        "{} is about all tenants; the token \"{}\" is bound to tenant {}, and this needs one that "
        "is bound to none",
        NameOf(resource), principal.name, bound);
  return absl::OkStatus();
}

bool Sees(const Principal& principal, const Resource& resource) {
  // Of long listings most is hidden, and the words for that would be most of the work.
  const Rule* const rule = FindRule(resource.kind, Action::kSee);
  return rule != nullptr && !IsHidden(principal, *rule, resource) &&
         Decide(principal, Action::kSee, resource).ok();
}

}  // namespace allot::auth
