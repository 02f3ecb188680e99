#include "simulator/gateway_host.h"

#include "simulator/answers.h"
#include "simulator/describe.h"
#include "simulator/node_host.h"
#include "simulator/scheduler_host.h"

namespace allot::simulator {

GatewayHost::GatewayHost(World& world) : world_(world) {}

void GatewayHost::Boot() {
  if (alive()) return;
  ++life_;
  links_.resize(world_.nodes.size());
  router::CoreOptions options;
  options.seed = world_.rng.Next();
  core_ = std::make_unique<router::Core>(options);
  tick_at_.reset();
  for (auto& node : world_.nodes) node->GatewayBack();
  Hello();
}

void GatewayHost::Crash() {
  if (!alive()) return;
  if (world_.listening()) world_.Say("gateway", "crashes");
  core_.reset();
  forwarded_.clear();
  for (uint32_t node = 0; node < links_.size(); ++node) {
    links_[node] = {false, false, links_[node].generation + 1};
    world_.nodes[node]->LinkToGatewayBroke();
  }
  world_.request_ledger.GatewayDied();
}

void GatewayHost::Routes(const std::shared_ptr<const RouteTable>& table) {
  if (alive()) Step(router::RoutesReceived{table});
}

void GatewayHost::Arrive(const std::string& model, std::optional<Duration> deadline,
                         int32_t priority, bool stream) {
  if (!alive()) return;
  router::RequestArrived request;
  request.id = RequestId(++last_request_);
  request.model = model;
  request.priority = priority;
  request.stream = stream;
  if (deadline) request.deadline = world_.now() + *deadline;
  world_.request_ledger.Arrived(request.id);
  forwarded_[request.id] = UINT32_MAX;
  Step(request);
  if (forwarded_.contains(request.id) && world_.faults.Strikes(Fault::kClientGone, 100)) {
    world_.loop.After(world_.Between(0us, 500ms), [this, life = life_, id = request.id] {
      if (life == life_ && alive() && forwarded_.contains(id)) Step(router::ClientGone{id});
    });
  }
}

void GatewayHost::NodeDialled(uint32_t node) {
  if (!alive() || links_[node].up) return;
  links_[node].up = true;
  ++links_[node].generation;
  // A new connection of a node is also the news that its old one is gone.
  if (links_[node].believed) Step(router::NodeUnlinked{world_.nodes[node]->name()});
  links_[node].believed = true;
  Step(router::NodeLinked{world_.nodes[node]->name()});
}

void GatewayHost::BreakLink(uint32_t node) {
  if (node >= links_.size() || !links_[node].up) return;
  links_[node].up = false;
  ++links_[node].generation;
  world_.nodes[node]->LinkToGatewayBroke();
  // The gateway finds out a little later, or by three seconds of silence.
  const Duration notice = world_.rng.OneIn(2) ? world_.Between(0us, 5ms) : Duration(3s);
  world_.loop.After(notice, [this, node, life = life_, link = links_[node].generation] {
    if (life != life_ || !alive() || links_[node].generation != link) return;
    links_[node].believed = false;
    Step(router::NodeUnlinked{world_.nodes[node]->name()});
    world_.nodes[node]->GatewayBack();
  });
}

void GatewayHost::FirstByte(uint32_t node, uint64_t link, RequestId id) {
  if (Current(node, link)) Step(router::FirstByteReceived{id});
}

void GatewayHost::Completed(uint32_t node, uint64_t link, RequestId id, int32_t http_status) {
  if (!Current(node, link)) return;
  router::RequestCompleted completed{id, http_status, 16};
  completed.held = http_status >= 400;
  Step(completed);
}

void GatewayHost::Failed(uint32_t node, uint64_t link, RequestId id, bool started) {
  if (Current(node, link)) Step(router::RequestFailed{id, started, "the replica is gone"});
}

void GatewayHost::Step(const router::Event& event) {
  router::Effects effects;
  core_->Step(world_.now(), event, effects);
  world_.Stepped("gateway",
                 [&] { return DescribeStep(event, effects) + Details(*core_, effects); });
  world_.request_ledger.Stepped(effects);
  for (const router::Command& command : effects.commands) Perform(command);
  for (const router::RequestEnded& end : effects.ended) forwarded_.erase(end.id);
  PlanTick();
}

void GatewayHost::Perform(const router::Command& command) {
  const auto find = [this](const std::string& name) {
    uint32_t node = 0;
    while (node < world_.nodes.size() && world_.nodes[node]->name() != name) ++node;
    return node;
  };
  if (const auto* forward = std::get_if<router::Forward>(&command)) {
    const uint32_t node = find(forward->node);
    if (node == world_.nodes.size()) {
      world_.findings.Add("gateway", "a request was forwarded to {}, which is no node",
                          forward->node);
      return;
    }
    forwarded_[forward->id] = node;
    if (!links_[node].up) return;  // Broken, and the router will hear of it.
    world_.loop.After(world_.network.Latency(), [this, node, link = links_[node].generation,
                                                 id = forward->id, replica = forward->replica] {
      if (Current(node, link)) world_.nodes[node]->Serve(link, id, replica);
    });
  } else if (const auto* cancel = std::get_if<router::CancelForward>(&command)) {
    const uint32_t node = find(cancel->node);
    if (node == world_.nodes.size() || !links_[node].up) return;
    world_.loop.After(world_.network.Latency(),
                      [this, node, link = links_[node].generation, id = cancel->id] {
                        if (Current(node, link)) world_.nodes[node]->Cancel(id);
                      });
  }
}

void GatewayHost::PlanTick() {
  const auto wanted = core_->NextWakeup();
  if (!wanted || (tick_at_ && *tick_at_ <= *wanted)) return;
  tick_at_ = std::max(*wanted, world_.now());
  world_.loop.At(*tick_at_, [this, life = life_, tick = ++tick_] {
    if (life != life_ || tick != tick_ || !alive()) return;
    tick_at_.reset();
    Step(router::ClockTicked{});
  });
}

void GatewayHost::Hello() {
  const RouteTable& table = core_->routes();
  world_.network.Send(to_scheduler_, [this, incarnation = table.incarnation, term = table.term,
                                      version = table.version] {
    world_.scheduler->GatewaySays(incarnation, term, version);
  });
  world_.loop.After(1s, [this, life = life_] {
    if (life == life_ && alive()) Hello();
  });
}

}  // namespace allot::simulator
