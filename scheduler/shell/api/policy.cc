#include <utility>

#include "common/proto/config.pb.h"
#include "scheduler/shell/api/api.h"
#include "scheduler/shell/api/render.h"
#include "scheduler/shell/policy_check.h"

namespace allot::scheduler::api {
namespace {

void Render(const Policy& policy, JsonWriter& json) {
  json.Key("policy").Object([&] { RenderPolicy(policy, json); });
  json.Field("yaml", PolicyYaml(policy));
}

}  // namespace

void GetPolicy(Services& services, Call& call) {
  AnswerJson(services, call,
             [&](JsonWriter& json) { Render(*services.pipeline.core().state().policy(), json); });
}

Status ReadPolicy(Call& call) {
  config::Policy body;
  RETURN_IF_ERROR(BindBody(call.request, &body));
  ASSIGN_OR_RETURN(Policy policy, CheckedPolicy(body));
  PolicyApplied event{.policy = std::make_shared<const Policy>(std::move(policy))};
  RETURN_IF_ERROR(CheckStorable(event));
  call.asked = std::move(event.policy);
  return absl::OkStatus();
}

void PutPolicy(Services& services, Call& call) {
  if (Status may = auth::Decide(call.principal, auth::Action::kChange, {auth::Kind::kPolicy});
      !may.ok())
    return Refuse(call, may);
  PolicyApplied event{.policy = std::get<std::shared_ptr<const Policy>>(std::move(call.asked))};
  Decide(
      services, call,
      [&services](const Reply&) {
        return JsonResponse(200, [&](JsonWriter& json) {
          Render(*services.pipeline.core().state().policy(), json);
        });
      },
      std::move(event));
}

// Read already, and so checked.
void CheckPolicy(Services&, Call& call) {
  call.responder->Send(JsonResponse(200, [](JsonWriter& json) { json.Field("ok", true); }));
}

}  // namespace allot::scheduler::api
