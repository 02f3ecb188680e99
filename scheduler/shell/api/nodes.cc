#include "scheduler/shell/api/api.h"
#include "scheduler/shell/api/render.h"

namespace allot::scheduler::api {
namespace {

// Answers with the node, and with the device if the query names one.
Waiters::RenderReply ShowNode(Services& services, const std::string& name,
                              const std::string& device, const auth::Principal& asker) {
  return [&services, name, device, asker](const Reply&) {
    return JsonResponse(200, [&](JsonWriter& json) {
      const Core& core = services.pipeline.core();
      const NodeState& node = *core.state().FindNode(name);
      json.Key("node");
      RenderNode(core, services.peers.cuts(), services.pipeline.Now(), node, json);
      const std::vector<Device>& devices = node.info->devices;
      for (size_t i = 0; i < devices.size(); ++i) {
        if (devices[i].id != device || device.empty()) continue;
        json.Key("device");
        RenderDevice(core, services.pipeline.Now(), node, i, asker, json);
      }
    });
  };
}

void SetDrain(Services& services, Call& call, bool drain) {
  const std::string name(call.arg());
  const std::string device(call.request.Query("device"));
  if (services.pipeline.core().state().FindNode(name) == nullptr) {
    return Refuse(call, NotFound("there is no node \"{}\"; `allot nodes` lists them", name));
  }
  if (device.empty()) {
    return Decide(services, call, ShowNode(services, name, "", call.principal),
                  NodeDrainRequested{.node = name, .drain = drain});
  }
  Decide(services, call, ShowNode(services, name, device, call.principal),
         DeviceServiceRequested{
             .node = name, .device = device, .in_service = !drain, .user = call.principal.name});
}

}  // namespace

void ListNodes(Services& services, Call& call) {
  services.lists.Answer(
      call.responder, "nodes", [&services, next = size_t{0}](JsonWriter& json) mutable {
        const Core& core = services.pipeline.core();
        const std::vector<NodeState>& nodes = core.state().nodes();
        if (next == nodes.size()) return false;
        RenderNode(core, services.peers.cuts(), services.pipeline.Now(), nodes[next++], json);
        return true;
      });
}

void ListDevices(Services& services, Call& call) {
  services.lists.Answer(call.responder, "devices",
                        [&services, asker = call.principal,
                         next = size_t{0}](JsonWriter& json) mutable {
                          const Core& core = services.pipeline.core();
                          const std::vector<NodeState>& nodes = core.state().nodes();
                          while (next < nodes.size() && nodes[next].info->devices.empty()) ++next;
                          if (next == nodes.size()) return false;
                          RenderDevices(core, services.pipeline.Now(), nodes[next++], asker, json);
                          return true;
                        });
}

void DrainNode(Services& services, Call& call) { SetDrain(services, call, true); }
void UndrainNode(Services& services, Call& call) { SetDrain(services, call, false); }

}  // namespace allot::scheduler::api
