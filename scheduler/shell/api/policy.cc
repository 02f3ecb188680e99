#include <utility>

#include "common/proto/config.pb.h"
#include "scheduler/shell/api/api.h"
#include "scheduler/shell/api/render.h"
#include "scheduler/shell/policy_check.h"

namespace allot::scheduler::api {
namespace {

// Shares of a queue are their tenants'.
Policy SeenBy(const auth::Principal& asker, Policy policy) {
  std::erase_if(policy.queue.shares, [&](const auto& share) {
    return !auth::Sees(asker, {auth::Kind::kShare, share.first});
  });
  return policy;
}

void Render(const auth::Principal& asker, const Policy& whole, JsonWriter& json) {
  const Policy policy = SeenBy(asker, whole);
  json.Key("policy").Object([&] { RenderPolicy(policy, json); });
  json.Field("yaml", PolicyYaml(policy));
}

}  // namespace

void GetPolicy(Services& services, Call& call) {
  AnswerJson(services, call, [&](JsonWriter& json) {
    Render(call.principal, *services.pipeline.core().state().policy(), json);
  });
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
  PolicyApplied event{.policy = std::get<std::shared_ptr<const Policy>>(std::move(call.asked))};
  Decide(
      services, call,
      [&services, asker = call.principal](const Reply&) {
        return JsonResponse(200, [&](JsonWriter& json) {
          Render(asker, *services.pipeline.core().state().policy(), json);
        });
      },
      std::move(event));
}

// Read already, and so checked.
void CheckPolicy(Services&, Call& call) {
  call.responder->Send(JsonResponse(200, [](JsonWriter& json) { json.Field("ok", true); }));
}

}  // namespace allot::scheduler::api
