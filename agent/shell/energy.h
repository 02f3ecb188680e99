// What the devices of a process drew while it had them. Pure: times and readings come as arguments.
//
// A device with an energy counter is measured by differences of that; else its power is summed up
// over time. Either is known at readings only, so of a life the part between its first and its last
// reading is measured, and the rest is taken to be like it. If that part is less than half of the
// life, the rest is more than a minute at either end, or a device was not measured throughout or is
// shared with other leases, there is no answer: an energy is right or absent.
//
// Counters bridge a restart of the agent: what was first read is kept by the caller (TakeSaves) and
// given back (Resume). Power does not: nobody measured it in between.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/core/events.h"

namespace allot::agent {

class EnergyMeter {
 public:
  // Those that a process can have for itself and that are in this machine; others are unmeasured.
  void SetDevices(const std::vector<Device>& devices);

  // A process has these devices from `at` on. One without devices is not metered.
  void Begin(const ProcessId& id, const std::vector<std::string>& devices, Time at);
  // The same for one that an earlier agent has begun; `saved` is what TakeSaves gave then.
  void Resume(const ProcessId& id, const std::vector<std::string>& devices, Time at,
              std::string_view saved);

  // One device was read. Readings of a device come in order; one that is older counts for nothing.
  void Read(Time at, const DeviceTelemetry& values);

  // The process has ended; it is forgotten.
  std::optional<MilliJoule> End(const ProcessId& id, Time started, Time finished);

  // Of a process that runs: joules since they were last taken, once all its devices are measured.
  double TakeJoules(const ProcessId& id);

  // What has to be kept for a restart, of processes that are measured by counters: id and text.
  // Each once.
  std::vector<std::pair<ProcessId, std::string>> TakeSaves();

 private:
  // A device as one ever growing sum. A break ends what can be compared: a counter that went back,
  // a gap in power, a change from one to the other, a device that was gone.
  struct Account {
    Time at;
    double joules = 0;
    std::optional<double> counter, power;
    uint64_t stretch = 0;  // of what can be compared; another number after each break
  };
  struct Share {  // of one process in one device
    bool measured = false;
    Time first_at, last_at;
    double first = 0, last = 0;
    uint64_t stretch = 0;
    std::optional<double> first_counter;
    std::optional<std::pair<Time, double>> saved;  // by an earlier agent, not used yet
    bool broken = false;
  };
  struct Process {
    Time began;
    std::map<std::string, Share> shares;
    double untold = 0;
    bool saved = false;
  };
  static void Follow(const Account& account, Process* process, Share* share);

  std::map<std::string, bool> measurable_;
  std::map<std::string, Account> accounts_;
  std::map<ProcessId, Process> processes_;
  uint64_t stretches_ = 0;  // so far, of all devices: one that goes and comes back starts anew
};

}  // namespace allot::agent
