#include <utility>

#include "common/config/convert.h"
#include "scheduler/shell/api/api.h"
#include "scheduler/shell/api/render.h"

namespace allot::scheduler::api {
namespace {

const DeploymentState* Find(const Services& services, std::string_view name) {
  const auto& deployments = services.pipeline.core().state().deployments();
  const auto it = deployments.find(std::string(name));
  return it == deployments.end() ? nullptr : &it->second;
}

http::Response Answer(const Services& services, std::string_view name) {
  const DeploymentState* deployment = Find(services, name);
  return JsonResponse(200, [&](JsonWriter& json) {
    json.Key("deployment");
    if (deployment != nullptr) {
      RenderDeployment(services.pipeline.core(), services.peers.cuts(), *deployment, WaitDetail::kReasons, json);
    } else {
      json.Object([] {});
    }
  });
}

// Names are the whole cluster's, so whoever takes one that is taken has to hear of it.
Status CheckNameIsFree(const Services& services, const Call& call) {
  const DeploymentState* deployment = Find(services, call.arg());
  const std::string& bound = call.principal.tenant;
  if (!auth::Sees(call.principal, {auth::Kind::kDeployment, "", "", call.arg()})) {
    return PermissionDenied("the token of {} is for the deployments {} only",
                            call.principal.name,
                            fmt::join(call.principal.scope.deployments, ", "));
  }
  if (deployment == nullptr || bound.empty() || deployment->spec->tenant == bound) {
    return absl::OkStatus();
  }
  return PermissionDenied(
      "the name \"{}\" is taken by a deployment of another tenant; the token of {} may work for {} "
      "only: take another name",
      call.arg(), call.principal.name, bound);
}

}  // namespace

Status ReadDeployment(Call& call) {
  config::Deployment body;
  RETURN_IF_ERROR(BindBody(call.request, &body));
  if (body.name() != call.arg()) {
    return InvalidArgument("the body's name is \"{}\", the address says \"{}\"; make them the same",
                           body.name(), call.arg());
  }
  ASSIGN_OR_RETURN(DeploymentSpec spec, config::ToDeploymentSpec(body));
  ASSIGN_OR_RETURN(spec.tenant, TenantFor(call, "deploy", body.tenant()));
  DeploymentApplied event{.spec = std::make_shared<const DeploymentSpec>(std::move(spec))};
  RETURN_IF_ERROR(CheckStorable(event));
  call.asked = std::move(event.spec);
  return absl::OkStatus();
}

void PutDeployment(Services& services, Call& call) {
  if (Status free = CheckNameIsFree(services, call); !free.ok()) return Refuse(call, free);
  DeploymentApplied event{
      .spec = std::get<std::shared_ptr<const DeploymentSpec>>(std::move(call.asked)),
      .user = call.principal.name};
  const auto render = [&services, name = event.spec->name](const Reply&) {
    return Answer(services, name);
  };
  Decide(services, call, render, std::move(event));
}

void ListDeployments(Services& services, Call& call) {
  const auto next = [&services, asker = call.principal,
                     last = std::optional<std::string>()](JsonWriter& json) mutable {
    const Core& core = services.pipeline.core();
    const auto& all = core.state().deployments();
    auto it = last ? all.upper_bound(*last) : all.begin();
    const auto seen = [&asker](const auto& one) {
      return auth::Sees(asker, {auth::Kind::kDeployment, one.second.spec->tenant, "", one.first});
    };
    while (it != all.end() && !seen(*it)) ++it;
    if (it == all.end()) return false;
    last = it->first;
    // Reasons take a look at every node for each: they are told of one deployment at a time.
    RenderDeployment(core, services.peers.cuts(), it->second, WaitDetail::kCounts, json);
    return true;
  };
  services.lists.Answer(call.responder, "deployments", next);
}

void GetDeployment(Services& services, Call& call) {
  if (Status may = MayDeployment(services, call, auth::Action::kSee, call.arg()); !may.ok())
    return Refuse(call, may);
  const DeploymentState* deployment = Find(services, call.arg());
  if (deployment == nullptr) {
    return Refuse(call, NotFound("there is no deployment \"{}\"; `allot deployments` lists them",
                                 call.arg()));
  }
  AnswerJson(services, call, [&](JsonWriter& json) {
    json.Key("deployment");
    RenderDeployment(services.pipeline.core(), services.peers.cuts(), *deployment, WaitDetail::kReasons, json);
  });
}

void DeleteDeployment(Services& services, Call& call) {
  if (Status may = MayDeployment(services, call, auth::Action::kChange, call.arg()); !may.ok())
    return Refuse(call, may);
  const std::string name(call.arg());
  Decide(
      services, call,
      [](const Reply&) {
        return JsonResponse(200, [](JsonWriter& json) { json.Field("ok", true); });
      },
      DeploymentDeleteRequested{.name = name});
}

}  // namespace allot::scheduler::api
