#include <utility>

#include "common/proto/config.pb.h"
#include "scheduler/shell/api/api.h"
#include "scheduler/shell/api/render.h"
#include "scheduler/shell/policy_check.h"

namespace allot::scheduler::api {
namespace {

StatusOr<Policy> PolicyOf(const Call& call) {
  config::Policy body;
  RETURN_IF_ERROR(BindBody(call.request, &body));
  return CheckedPolicy(body);
}

void Render(const Policy& policy, JsonWriter& json) {
  json.Key("policy").Object([&] { RenderPolicy(policy, json); });
  json.Field("yaml", PolicyYaml(policy));
}

}  // namespace

void GetPolicy(Services& services, Call& call) {
  AnswerJson(services, call,
             [&](JsonWriter& json) { Render(*services.pipeline.core().state().policy(), json); });
}

void PutPolicy(Services& services, Call& call) {
  StatusOr<Policy> policy = PolicyOf(call);
  if (!policy.ok()) return Refuse(call, policy.status());
  PolicyApplied event{.policy = std::make_shared<const Policy>(*std::move(policy))};
  Decide(
      services, call,
      [&services](const Reply&) {
        return JsonResponse(200, [&](JsonWriter& json) {
          Render(*services.pipeline.core().state().policy(), json);
        });
      },
      std::move(event));
}

void CheckPolicy(Services&, Call& call) {
  const StatusOr<Policy> policy = PolicyOf(call);
  if (!policy.ok()) return Refuse(call, policy.status());
  call.responder->Send(JsonResponse(200, [](JsonWriter& json) { json.Field("ok", true); }));
}

}  // namespace allot::scheduler::api
