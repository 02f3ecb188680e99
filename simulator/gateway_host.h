// A gateway's shell in the virtual world: links to the nodes, clients, crash, restart.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/router/core.h"
#include "simulator/network.h"
#include "simulator/world.h"

namespace allot::simulator {

class GatewayHost {
 public:
  explicit GatewayHost(World& world);

  bool alive() const { return core_ != nullptr; }
  void Boot();
  void Crash();
  void Routes(const std::shared_ptr<const RouteTable>& table);
  void Arrive(const std::string& model, std::optional<Duration> deadline, int32_t priority,
              bool stream);
  // The agent of a node has dialled. Its answers carry the link they came over: those of a link
  // that broke meanwhile never arrive.
  void NodeDialled(uint32_t node);
  void BreakLink(uint32_t node);
  bool linked(uint32_t node) const { return node < links_.size() && links_[node].up; }

  void FirstByte(uint32_t node, uint64_t link, RequestId id);
  void Completed(uint32_t node, uint64_t link, RequestId id, int32_t http_status);
  void Failed(uint32_t node, uint64_t link, RequestId id, bool started);

 private:
  struct Link {
    bool up = false;
    bool believed = false;  // what the router was told last
    uint64_t generation = 0;
  };
  bool Current(uint32_t node, uint64_t link) const {
    return alive() && links_[node].up && links_[node].generation == link;
  }
  void Step(const router::Event& event);
  void Perform(const router::Command& command);
  void PlanTick();
  void Hello();

  World& world_;
  std::unique_ptr<router::Core> core_;
  std::vector<Link> links_;
  std::map<RequestId, uint32_t> forwarded_;  // live requests and the node that has them
  uint64_t life_ = 0, tick_ = 0, last_request_ = 0;
  std::optional<Time> tick_at_;
  Wire to_scheduler_;
};

}  // namespace allot::simulator
