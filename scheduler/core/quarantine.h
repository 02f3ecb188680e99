// Devices and nodes that are taken out of service and given back: for failing jobs, by the rule in
// evidence.h, or by an operator's word.
//
// Quarantines are facts (DeviceQuarantined, DeviceOnProbation, DeviceCleared); what leads to them
// is soft. Work that runs on a quarantined device goes on. When its time is up the device is on
// probation: it takes work again, a node one job at a time, and the first one decides. It fails at
// once: out again for twice as long, up to a day. It goes well, or lives for as long as failures
// count: cleared. An operator's word lasts until another one; see DeviceServiceRequested.
//
// Evidence: exits that are the task's own, while its gang runs. Not: what was stopped, whatever the
// reason; what was lost with its node or told when the node registered anew, for it may have ended
// with the node; no-op tasks, which use nothing. Within a gang only the rank that failed first.
// What a node says was its own fault is held against the node, by the same rule: a job that no node
// can start is itself the reason.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "scheduler/core/evidence.h"
#include "scheduler/core/ledger.h"

namespace allot::scheduler {

class QuarantineMachine {
 public:
  static constexpr Duration kLongest = std::chrono::hours(24);
  static constexpr size_t kPlacesMax = 250'000;  // remembered; then all begins anew
  // Of what ended we know only when its report has come through; a node that cannot speak for so
  // long registers anew. Until then silence does not mean that a task lives.
  static constexpr Duration kToldWithin = std::chrono::seconds(10);

  explicit QuarantineMachine(Ledger& ledger) : ledger_(ledger) {}

  void Request(const DeviceServiceRequested& event, Effects& out);
  // An operator takes the node in: its own quarantine ends, those of its devices do not.
  void TakeIn(NodeId node, Effects& out);

  // ---- what happens to tasks; each after the record of it --------------------------------------
  void Started(const JobState& job, uint32_t rank);
  // `own`: by itself, not because it was told to stop.
  void Exited(const JobState& job, uint32_t rank, bool own, Effects& out);
  void Abandoned(const JobState& job, uint32_t rank);
  // Its node is heard and does not say that it has the task: held against the node alone.
  void Unanswered(const JobState& job, uint32_t rank, Effects& out);
  void JobEnded(JobId job) { evidence_.Forget(job); }
  void ReplicaReady(const ReplicaState& replica, Effects& out);
  // While a node registers, what it tells of tasks is no evidence.
  void Registering(bool is) { registering_ = is; }

  void NodeChanged(NodeId node);  // its list of devices, perhaps
  void PolicyChanged();
  void Rebuild();  // at Restarted
  // Probations that are due, and tasks that have lived long enough.
  void Run(Effects& out);
  std::optional<Time> NextDue() const;

 private:
  using End = std::tuple<Time, NodeId, std::string>;
  bool On() const { return ledger_.state().policy()->quarantine.failures > 0; }
  std::optional<TaskRun> RunOf(const JobState& job, uint32_t rank);
  const std::vector<PlaceId>& PlacesOf(const NodeState& node);
  const Quarantine* Held(PlaceId place) const;

  Time SurvivesAt(const TaskState& task) const;
  void Unwatch(const JobState& job, uint32_t rank);
  void Failed(const TaskRun& run, Effects& out);
  void WentWell(const TaskRun& run, Effects& out);
  void Judge(PlaceId place, const TaskRun& run, Effects& out);
  void TakeOut(PlaceId place, uint32_t strikes, std::string why, Effects& out);
  void TakeOutNodeOf(NodeId node, Effects& out);
  void Clear(PlaceId place, Effects& out);
  void TakeBack(PlaceId place, Effects& out);
  // Another place of its kind that is in service, free or not?
  bool HasAlternative(PlaceId place) const;
  void KnobsChanged();
  void Forget();  // all but when quarantines end
  void Point(NodeId node);  // tells the index whom to avoid
  void Watch(const Quarantine& quarantine, NodeId node, const std::string& device);

  Ledger& ledger_;
  Evidence evidence_;
  struct NodePlaces {
    NodeInfoPtr info;
    std::vector<PlaceId> devices;  // by position
    PlaceId whole = 0;
  };
  std::vector<NodePlaces> nodes_;
  std::set<End> ends_;                          // of quarantines that end by themselves
  std::set<std::pair<Time, TaskKey>> survive_;  // on suspect places or on probation, and until when
  std::set<NodeId> by_devices_;  // nodes that are out because too many of their devices are
  bool registering_ = false;
};

}  // namespace allot::scheduler
