// A node is lost for its silence and for nothing else: not because the scheduler did not listen.
#pragma once

#include <map>
#include <string>

#include "scheduler/core/events.h"
#include "simulator/checkers/findings.h"

namespace allot::simulator {

class Silence {
 public:
  explicit Silence(Findings& findings) : findings_(findings) {}
  // A message of the node's present epoch has come to the scheduler's socket, read or not.
  void Arrived(const std::string& node, Epoch epoch, Time at) { last_[node] = {epoch, at}; }
  // Epochs will be counted again.
  void PutBack() { last_.clear(); }
  void Lost(const std::string& node, const scheduler::NodeLost& record, Duration lease) {
    const auto it = last_.find(node);
    if (it == last_.end() || it->second.epoch.value() + 1 != record.epoch.value()) return;
    if (record.at - it->second.at >= lease) return;
    findings_.Add("silence", "{} was lost, though it was heard {} ago and a lease is {}", node,
                  FormatDuration(record.at - it->second.at), FormatDuration(lease));
  }

 private:
  struct Arrival {
    Epoch epoch;
    Time at;
  };
  Findings& findings_;
  std::map<std::string, Arrival> last_;
};

}  // namespace allot::simulator
