// The scheduler's shell in the virtual world: journal with group commit, sockets, crash, restart.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/core/core.h"
#include "simulator/disk.h"
#include "simulator/network.h"
#include "simulator/world.h"

namespace allot::simulator {

class SchedulerHost {
 public:
  using Answer = std::function<void(const scheduler::Reply&)>;

  SchedulerHost(World& world, scheduler::CoreOptions options);

  bool alive() const { return core_ != nullptr; }
  void Boot();
  void Crash();                        // and boots again a little later
  void CrashSoon(bool while_syncing);  // else between the commands of a batch that is durable
  // Like SIGSTOP and SIGCONT: everything that comes waits, in order. At least two heartbeats long,
  // and `more`: what is shorter than that no lease can tell from a timer that is late.
  void Pause(Duration more);
  void Resume();
  bool paused() const { return paused_; }
  // A person asks; `answer` is called when the Reply leaves, never if the scheduler dies before.
  // `make` gets the token to put into the event. False if nobody listens.
  bool Ask(const std::function<scheduler::Event(scheduler::ReplyToken)>& make, Answer answer);
  // What arrives over the network. `connection` is the agent's.
  void AgentSays(uint32_t node, uint64_t connection, Incarnation incarnation,
                 const AgentMessage& message);
  void GatewaySays(Incarnation incarnation, Term routes_term, uint64_t routes_version);

  const scheduler::Core& core() const { return *core_; }
  const Disk& disk() const { return disk_; }
  bool quiet() const { return waiting_.empty() && !syncing_; }  // everything it did is durable
  uint64_t lives() const { return life_; }

 private:
  struct Batch {
    std::vector<scheduler::Record> records;
    std::vector<scheduler::Command> commands;
    bool empty() const { return records.empty() && commands.empty(); }
  };
  // Does it now, or when the pause is over if this life lasts until then.
  void WhenRunning(std::function<void()> action);
  void Handle(uint32_t node, Incarnation incarnation, const AgentMessage& message);
  void Step(const scheduler::Event& event);
  void Keep(scheduler::Effects& effects);
  void StartSync();
  void Synced();
  void MakeDurable(const std::vector<scheduler::Record>& records);
  void PutBackStore();
  void Perform(const scheduler::Command& command);
  void PlanTick();
  void SendToAgent(const std::string& name, std::optional<SchedulerMessage> message);
  void SendRoutes();

  World& world_;
  const scheduler::CoreOptions options_;
  std::unique_ptr<scheduler::Core> core_;
  Disk disk_;
  Batch waiting_;  // since the sync that is under way began
  std::optional<Batch> syncing_;
  bool crash_in_sync_ = false, crash_after_sync_ = false;
  uint64_t life_ = 0;  // what was begun in an earlier life does not come true
  uint64_t put_backs_ = 0;
  bool paused_ = false;
  uint64_t pauses_ = 0;
  std::deque<std::function<void()>> unread_;  // what came during the pause
  uint64_t tick_ = 0;                         // the tick that counts
  std::optional<Time> tick_at_;
  std::map<std::string, std::pair<uint32_t, uint64_t>> peers_;  // name → node, connection
  std::map<scheduler::ReplyToken, Answer> answers_;
  scheduler::ReplyToken last_token_ = 0;
  std::shared_ptr<const RouteTable> routes_;  // as sent last
  std::vector<Wire> to_nodes_;
  Wire to_gateway_;
  scheduler::Effects effects_;
  uint64_t heard_ = 0;
};

}  // namespace allot::simulator
