// Commands to agents, repeated until the state says they have had their effect.
//
// Level-triggered: an item names what may have to be said (start this task, stop that one); whether
// it still has to be is read from the state each time it is due, so nothing is ever taken out of
// the line. Since every repeat waits equally long, the line is in order of time by itself. An item
// is bound to an epoch: registration drops the old ones and NodeMachine pushes what is then due.
#pragma once

#include <deque>
#include <optional>

#include "scheduler/core/ledger.h"

namespace allot::scheduler {

class Delivery {
 public:
  enum class Kind : uint8_t {
    kStartTask,
    kStopTask,
    kStopStrayTask,
    kStartReplica,
    kStopReplica,
    kStopStrayReplica,
  };

  explicit Delivery(Ledger& ledger) : ledger_(ledger) {}

  // To be said in this step if it is true of the state, and again until it is not.
  void Push(Kind kind, NodeId node, const TaskKey& task);
  void Push(Kind kind, NodeId node, ReplicaId replica);

  // Says what is due, up to a budget; true if more is due now.
  bool Run(Effects& out);
  std::optional<Time> NextDue() const;

 private:
  struct Item {
    Kind kind = Kind::kStartTask;
    NodeId node;
    Epoch epoch;
    TaskKey task;
    ReplicaId replica;
  };
  struct Later {
    Time due;
    Item item;
  };
  // Says it if it still has to be said; the cost in about the time of one small command, 0 if not.
  uint32_t Say(const Item& item, Effects& out);
  std::optional<SchedulerMessage> MessageFor(const Item& item, const NodeState& node,
                                             uint32_t& cost) const;
  TaskLaunch LaunchOf(const JobState& job, uint32_t rank, const NodeState& node) const;
  ReplicaLaunch LaunchOf(const ReplicaState& replica, const NodeState& node) const;

  Ledger& ledger_;
  std::deque<Item> fresh_;
  std::deque<Later> later_;
};

}  // namespace allot::scheduler
