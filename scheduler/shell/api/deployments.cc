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

StatusOr<DeploymentSpec> SpecOf(const Call& call) {
  config::Deployment body;
  RETURN_IF_ERROR(BindBody(call.request, &body));
  if (body.name() != call.arg()) {
    return InvalidArgument("the body's name is \"{}\", the address says \"{}\"; make them the same",
                           body.name(), call.arg());
  }
  ASSIGN_OR_RETURN(DeploymentSpec spec, config::ToDeploymentSpec(body));
  ASSIGN_OR_RETURN(spec.tenant, TenantFor(call, "deploy", body.tenant()));
  return spec;
}

// A token that is bound to a tenant leaves what others have alone.
Status CheckOwner(const Services& services, const Call& call) {
  const DeploymentState* deployment = Find(services, call.arg());
  const std::string& bound = call.principal.tenant;
  if (deployment == nullptr || bound.empty() || deployment->spec->tenant == bound) {
    return absl::OkStatus();
  }
  return PermissionDenied(
      "deployment \"{}\" belongs to tenant {}; the token of {} may work for {} only", call.arg(),
      deployment->spec->tenant, call.principal.name, bound);
}

}  // namespace

void PutDeployment(Services& services, Call& call) {
  StatusOr<DeploymentSpec> spec = SpecOf(call);
  if (!spec.ok()) return Refuse(call, spec.status());
  if (Status owner = CheckOwner(services, call); !owner.ok()) return Refuse(call, owner);
  DeploymentApplied event{.spec = std::make_shared<const DeploymentSpec>(*std::move(spec)),
                          .user = call.principal.name};
  const auto render = [&services, name = event.spec->name](const Reply&) {
    return Answer(services, name);
  };
  Decide(services, call, render, std::move(event));
}

void ListDeployments(Services& services, Call& call) {
  AnswerJson(services, call, [&](JsonWriter& json) {
    const Core& core = services.pipeline.core();
    json.Key("deployments").Array([&] {
      for (const auto& [name, deployment] : core.state().deployments()) {
        // Reasons take a look at every node for each: they are told of one deployment at a time.
        RenderDeployment(core, services.peers.cuts(), deployment, WaitDetail::kCounts, json);
      }
    });
  });
}

void GetDeployment(Services& services, Call& call) {
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
  if (Status owner = CheckOwner(services, call); !owner.ok()) return Refuse(call, owner);
  const std::string name(call.arg());
  Decide(
      services, call,
      [](const Reply&) {
        return JsonResponse(200, [](JsonWriter& json) { json.Field("ok", true); });
      },
      DeploymentDeleteRequested{.name = name});
}

}  // namespace allot::scheduler::api
