// What jobs say about the places they run on: soft statistics, bounded, lost at a restart.
//
// A place is a device, or a node as a whole. A job that fails soon after its start accuses the
// devices it leased and the node; a place is guilty when as many different jobs in a row accuse it
// as the policy says, and work of the same kind goes well elsewhere. What takes an accusation back:
//   a run on the place, placed no earlier, that goes well;
//   the same job failing at once where the place was not part of it: then it is the job's fault.
// Several attempts of one job at one place are one accusation.
//
// "Elsewhere" is counted by places, not by jobs: a place that fails at once has time for many more
// of them than one where a job is still running. Kinds are who submitted it and what it runs.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "common/base/ids.h"
#include "common/base/units.h"

namespace allot::scheduler {

using PlaceId = uint32_t;

// One task as evidence.
struct TaskRun {
  JobId job;
  uint64_t kind = 0, user = 0;  // hashes of names: only told apart
  Time placed;
  NodeId node;
  PlaceId whole = 0;             // the node
  std::vector<PlaceId> devices;  // rising; none: processors only
};

// How the kinds of work that accuse a place do elsewhere, by places.
struct Elsewhere {
  uint32_t well = 0;      // the last run there went well
  uint32_t outlived = 0;  // one there was placed no later than what failed here, and still runs
  uint32_t failing = 0;
  bool known() const { return well + outlived + failing > 0; }
  bool better() const { return well + outlived >= failing; }
};

class Evidence {
 public:
  static constexpr size_t kKindsKept = 1'024, kPlacesOfAKindKept = 32;

  struct Accuser {
    JobId job;
    uint64_t kind = 0, user = 0;
    Time placed, failed;
    std::vector<PlaceId> parts;  // devices of the run, or what all its failed runs had in common
  };

  void Clear();
  // `device` empty: the node.
  PlaceId Place(NodeId node, const std::string& device);
  size_t size() const { return places_.size(); }
  // How many a node has.
  void SetAccelerators(PlaceId whole, uint32_t count) { places_[whole].accelerators = count; }
  NodeId node(PlaceId place) const { return places_[place].node; }
  const std::string& device(PlaceId place) const { return places_[place].device; }
  bool whole(PlaceId place) const { return places_[place].device.empty(); }

  void Began(const TaskRun& run);
  // It ended, but not by itself: that says nothing.
  void Ended(const TaskRun& run);
  // These return places of which something was taken back.
  std::vector<PlaceId> Well(const TaskRun& run);
  // At most the last `failures` accusers of a place are kept.
  std::vector<PlaceId> Failed(const TaskRun& run, Time now, uint32_t failures);
  // The policy counts so many from now on, and what is kept beyond them would count as well. Returns
  // places of which something was dropped; where a verdict stands, what it stands on is kept.
  std::vector<PlaceId> KeepLast(uint32_t failures);
  // It will never run again.
  void Forget(JobId job) { jobs_.erase(job); }

  const std::vector<Accuser>& accusers(PlaceId place) const { return places_[place].accusers; }
  // Accused by something that no other place explains: others are better placed elsewhere first.
  bool Suspect(PlaceId place) const;
  uint32_t Suspicion(PlaceId place) const {  // by how many jobs
    return static_cast<uint32_t>(places_[place].accusers.size());
  }
  Elsewhere CountElsewhere(PlaceId place) const;
  // `alternative`: is there another place where its work could have gone? Asked only where nobody
  // knows how the work does elsewhere: then a verdict is a trial, for the next job goes there.
  bool Guilty(PlaceId place, uint32_t failures,
              const std::function<bool(PlaceId)>& alternative) const;
  // Would this failed run be held against a place on probation?
  bool Believable(PlaceId place, const TaskRun& run) const;

  // A verdict stands on the accusers that the place has, at least `needed` (> 0) of them. As long
  // as none of their kind of work has gone well elsewhere it is a trial.
  void Convict(PlaceId place, uint32_t needed);
  bool Convicted(PlaceId place) const { return places_[place].needed > 0; }
  std::vector<PlaceId> ConvictedBy(uint64_t kind) const;
  // Too few accusers are left; or, on trial, their kind of work turned out to fail elsewhere too.
  bool Refuted(PlaceId place) const;
  // Forgets all that was said against it.
  void Acquit(PlaceId place);

 private:
  enum class Outcome : uint8_t { kUnknown, kWell, kFailed };
  struct PlaceState {
    NodeId node;
    std::string device;
    uint32_t accelerators = 0;      // of a node
    std::vector<Accuser> accusers;  // oldest first
    uint32_t needed = 0;            // of a conviction; then also:
    bool trial = false;
    std::vector<uint64_t> kinds;
  };
  // The latest of a kind's runs on one set of devices, or on one node's processors.
  struct Entry {
    NodeId node;
    PlaceId whole = 0;
    std::vector<PlaceId> devices;
    Outcome outcome = Outcome::kUnknown;  // of the last one that ended by itself
    Time placed;                          // that one
    JobId running;                        // invalid: none
    Time running_placed;
  };
  struct Kind {
    std::list<Entry> entries;  // the least recently changed first
    std::list<uint64_t>::iterator turn;
  };
  struct Job {
    std::vector<PlaceId> devices;  // common to all its failed runs
    PlaceId whole = 0;
    bool one_node = true;
  };

  Kind& KindOf(uint64_t kind);
  Entry& EntryOf(const TaskRun& run);
  void Note(const TaskRun& run, Outcome outcome);
  void Accuse(PlaceId place, const TaskRun& run, const std::vector<PlaceId>& parts, Time now,
              uint32_t failures);
  bool Retract(PlaceId place, JobId job);
  bool NoDeviceExplains(PlaceId place) const;
  Elsewhere Count(PlaceId place, const std::vector<uint64_t>& kinds, Time since) const;
  std::vector<uint64_t> KindsOf(PlaceId place) const;

  std::vector<PlaceState> places_;
  absl::flat_hash_map<std::pair<uint32_t, std::string>, PlaceId> place_ids_;
  absl::flat_hash_map<uint64_t, Kind> kinds_;  // looked up only
  std::list<uint64_t> turns_;                  // the least recently used kind first
  absl::flat_hash_map<JobId, Job> jobs_;       // that failed and may run again
  std::map<uint64_t, std::set<PlaceId>> convicted_by_;
};

}  // namespace allot::scheduler
