#include "scheduler/shell/api/api.h"
#include "scheduler/shell/api/render.h"

namespace allot::scheduler::api {
namespace {

void SetDrain(Services& services, Call& call, bool drain) {
  const std::string name(call.arg());
  if (services.pipeline.core().state().FindNode(name) == nullptr) {
    return Refuse(call, NotFound("there is no node \"{}\"; `allot nodes` lists them", name));
  }
  Decide(
      services, call,
      [&services, name](const Reply&) {
        return JsonResponse(200, [&](JsonWriter& json) {
          const Core& core = services.pipeline.core();
          json.Key("node");
          RenderNode(core, services.pipeline.Now(), *core.state().FindNode(name), json);
        });
      },
      NodeDrainRequested{.node = name, .drain = drain});
}

}  // namespace

void ListNodes(Services& services, Call& call) {
  AnswerJson(services, call, [&](JsonWriter& json) {
    const Core& core = services.pipeline.core();
    json.Key("nodes").Array([&] {
      for (const NodeState& node : core.state().nodes()) {
        RenderNode(core, services.pipeline.Now(), node, json);
      }
    });
  });
}

void ListDevices(Services& services, Call& call) {
  AnswerJson(services, call, [&](JsonWriter& json) {
    const Core& core = services.pipeline.core();
    json.Key("devices").Array([&] {
      for (const NodeState& node : core.state().nodes()) RenderDevices(core, node, json);
    });
  });
}

void DrainNode(Services& services, Call& call) { SetDrain(services, call, true); }
void UndrainNode(Services& services, Call& call) { SetDrain(services, call, false); }

}  // namespace allot::scheduler::api
