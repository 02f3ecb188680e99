// A device, or a node, that fails each task within a second is found out before it takes more jobs
// than the policy allows.
//
// Reads the durable records as an outsider would. Promises: once `failures` different jobs that
// were placed there since it turned bad have failed there, nothing is placed on it before it has
// been quarantined; and no place is quarantined for failing jobs on which fewer jobs have failed.
//
// The first is promised only as far as anybody could know: work of the kind goes well somewhere
// else and fails nowhere else, the scheduler remembers (it did not restart meanwhile), and what an
// agent tells while it registers is no evidence. Asked only where all work is of one kind.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "scheduler/core/events.h"
#include "simulator/checkers/findings.h"

namespace allot::simulator {

class BlackHole {
 public:
  static constexpr int32_t kCode = 66;  // with which tasks in a black hole end, and no others

  explicit BlackHole(Findings& findings) : findings_(findings) {}
  void Opened(const std::string& node, const std::string& device, Time at);
  void Closed() { open_ = false; }
  bool open() const { return open_; }
  void Kept(const scheduler::Record& record);
  // The journal is this one again. What was in evidence is forgotten; a hole stays open.
  void PutBack(const std::vector<scheduler::Record>& journal);
  uint64_t found_out() const { return found_out_; }

 private:
  static constexpr std::string_view kName = "black hole";
  // Where a task runs: devices by id, none for processors.
  struct Spot {
    NodeId node;
    std::vector<std::string> devices;
    auto operator<=>(const Spot&) const = default;
  };
  struct Job {
    scheduler::JobSpecPtr spec;
    Time placed;
    bool stopping = false;
    std::vector<Spot> spots;    // by rank
    std::vector<Time> started;  // by rank
  };
  struct Said {
    Time placed;
    bool failed = false;
  };

  bool In(const Spot& spot) const;
  bool Elsewhere() const;
  bool NoDeviceExplains() const;
  void Forget();
  void MayHaveFailed(JobId id, const Spot& spot);
  void Failed(JobId id, const Job& job, const Spot& spot, int32_t code);
  void Well(const Job& job, const Spot& spot);
  void On(const scheduler::TermBegun&) { Forget(); }
  void On(const scheduler::PolicySet& r);
  void On(const scheduler::NodeRegistered& r);
  void On(const scheduler::DeviceQuarantined& r);
  void On(const scheduler::DeviceOnProbation& r);
  void On(const scheduler::DeviceCleared& r);
  void On(const scheduler::JobAccepted& r);
  void On(const scheduler::JobPlaced& r);
  void On(const scheduler::TaskStarted& r);
  void On(const scheduler::JobStopping& r) { jobs_[r.job].stopping = true; }
  void On(const scheduler::TaskExited& r);
  void On(const scheduler::JobFinished& r) { jobs_.erase(r.job); }
  template <class R>
  void On(const R&) {}

  Findings& findings_;
  bool open_ = false;
  std::string node_name_, device_;
  Time since_;
  struct Eaten {
    JobId job;
    Time placed;
    std::vector<std::string> devices;
  };
  std::vector<Eaten> eaten_;  // the last ones, as many as it takes
  bool due_ = false;          // it has to be quarantined now
  using Kind = std::pair<std::string, std::vector<std::string>>;  // whose, and what
  std::optional<Kind> kind_;                                     // of the first job
  bool one_kind_ = true;
  uint64_t found_out_ = 0;
  QuarantineKnobs knobs_;
  std::map<NodeId, scheduler::NodeInfoPtr> nodes_;
  std::map<NodeId, Time> registered_;
  std::map<JobId, Job> jobs_;
  std::map<Spot, Said> said_;
  std::map<JobId, std::set<Spot>> failed_at_;
  std::map<std::pair<NodeId, std::string>, std::set<JobId>> failed_;  // by place
};

}  // namespace allot::simulator
