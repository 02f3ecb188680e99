// Whether the node can start anything, looked at before it fails something: its disks, its state
// folder, its supervisor, whether it can keep people apart. What it finds goes into
// NodeInfo::unfit. Loop thread only.
//
// A disk can refuse to be written to for reasons that no look at it tells (a quota, an error of the
// device). So where something of the agent's could not be made, it is tried whether anything can be
// written there; if not, the node is unfit until it can.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "agent/runtime/disk.h"
#include "agent/runtime/state_folder.h"

namespace allot::agent {

class Fitness {
 public:
  // `folder` outlives it. `supervisor`: path of allot-supervisor. `refusal`: why people cannot be
  // kept apart as they must be (separation.h); empty: nothing to say.
  Fitness(StateFolder& folder, std::string supervisor, Bytes disk_free_min,
          std::function<std::string()> refusal);

  // Looks; true if the answer is another one than before.
  bool Look();
  // Something could not be made for a process: the next look tries to write.
  void Doubt() { doubted_ = true; }
  const std::vector<std::string>& unfit() const { return unfit_; }  // why it cannot; empty: it can
  // How much must be free where the logs are; more than there is only while it is short of room.
  bool short_of_room() const { return short_of_room_; }
  Bytes room_wanted() const { return room_wanted_; }

 private:
  StateFolder& folder_;
  const std::string supervisor_, logs_;
  const std::function<std::string()> refusal_;
  DiskWatch state_disk_, log_disk_;
  bool short_of_room_ = false, doubted_ = false;
  Bytes room_wanted_ = 0;
  std::vector<std::string> unfit_;
};

}  // namespace allot::agent
