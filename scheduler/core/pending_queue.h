// Waiting jobs, bucketed so that a blocked shape costs one try and not one for each job.
//
// A Line holds the jobs of one tenant, priority and shape (what is asked): they are
// interchangeable, so only the oldest is ever tried. Order: rank of the tenant by the queue policy,
// priority, age. Age is the job id, so a requeued job keeps its place. Lines of blocked shapes stay
// where they are in the order and are stepped over, so that blocking and unblocking a shape costs
// next to nothing: it happens to many shapes whenever a device becomes free. Derived from
// ClusterState; kept up to date by Ledger.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "common/base/ids.h"
#include "policies/api/queue_policy.h"
#include "scheduler/core/cluster_state.h"
#include "scheduler/core/demand.h"

namespace allot::scheduler {

using ShapeId = uint32_t;
using LineId = uint32_t;
using TenantId = uint32_t;

// All lines that ask for the same.
struct Shape {
  Demand demand;
  bool blocked = false;           // found not to fit; nothing since could have changed that
  bool refused_power = false;     // when it was last blocked, a cap on power had refused something
  uint32_t open_position = 0;     // in PendingQueue::open_shapes, unless blocked
  std::vector<LineId> lines;      // non-empty ones
  uint64_t possible_version = 0;  // PlacementIndex::capacity_version `possible` was found at
  bool possible = true;           // on the open nodes, were they empty
};

struct Line {
  TenantId tenant = 0;
  int32_t priority = 0;
  ShapeId shape = 0;
  bool held = false;       // kept back for an older job until it is released
  std::vector<bool> kept;  // the classes, by ClassId, that were kept from it when it was held
  size_t head = 0;
  std::vector<JobId> jobs;  // rising from `head` on; those before it have left
  JobId first() const { return jobs[head]; }
  bool empty() const { return head == jobs.size(); }
  size_t size() const { return jobs.size() - head; }
};

class PendingQueue {
 public:
  // Forgets ranks and orders anew.
  void SetPolicy(const policies::QueuePolicy* policy, const QueueKnobs& knobs);

  void Add(const JobState& job);
  void Remove(const JobState& job);  // one that was added
  void AddUsage(const std::string& tenant, int64_t micros_per_hour);

  size_t size() const { return size_; }
  size_t tenant_count() const { return tenant_ids_.size(); }  // those that wait or run something
  // A line that is neither blocked nor held exists.
  bool AnyReady() const { return ready_ > 0; }
  // Shapes with jobs that are not blocked, in no order that may decide anything.
  const std::vector<ShapeId>& open_shapes() const { return open_shapes_; }
  // The line whose first job has the next chance. `work` grows by the lines looked at.
  std::optional<LineId> Next(uint64_t& work) const;
  // No job of the shape fits, until Unblock.
  void Block(ShapeId shape);
  void Unblock(ShapeId shape);
  // The line alone is kept back, since these classes are kept from it, until it is released.
  void Hold(LineId line, const std::vector<bool>& kept);
  void ReleaseHeld();
  // Those for which `freed` is true; returns whether there was one.
  bool ReleaseHeldIf(absl::FunctionRef<bool(const Line&)> freed);
  bool AnyHeld() const { return !held_.empty(); }
  // Grows whenever who may be held by whom could have changed: with the rank of a tenant that
  // waits, and with an older job at the head of a held line.
  uint64_t standings() const { return standings_; }

  const Line& line(LineId id) const { return *lines_[id]; }
  Shape& shape(ShapeId id) { return *shapes_[id]; }
  const Shape& shape(ShapeId id) const { return *shapes_[id]; }
  const Line* FindLineOf(const JobState& job) const;
  // In order of id.
  std::vector<ShapeId> BlockedShapes() const;
  // Lines by the age of their first job.
  const std::set<std::pair<JobId, LineId>>& by_age() const { return by_age_; }
  int64_t RankOf(TenantId tenant) const { return tenants_[tenant].rank; }
  // Jobs that go before this one: for explanations. Walks lines, not jobs.
  uint64_t JobsAhead(const JobState& job) const;

 private:
  struct LineKey {
    int64_t priority;  // negated, and 0 where the policy ignores it
    JobId first;
    LineId line;
    auto operator<=>(const LineKey&) const = default;
  };
  struct Tenant {
    std::string name;
    int64_t used_micros_per_hour = 0;
    double share = 1.0;
    int64_t rank = 0;
    uint32_t lines = 0;
  };
  // The lines of one tenant in order, or of all tenants where the policy does not rank them.
  struct Order {
    std::set<LineKey> lines;
    // No ready line comes before it, as long as nothing was unblocked or released since `round`:
    // so that blocked lines at the front are stepped over once and not at every Next.
    mutable LineKey cursor{};
    mutable uint64_t round = 0;
  };
  struct DemandHash {
    size_t operator()(const Demand* d) const;
  };
  struct DemandSame {
    bool operator()(const Demand* a, const Demand* b) const { return a->Same(*b); }
  };

  TenantId InternTenant(const std::string& name);
  // Who neither waits nor runs anything is not kept: tenants come and go, and names are free.
  void ForgetIfIdle(TenantId id);
  ShapeId InternShape(const JobSpec& spec);
  LineId MakeLine(TenantId tenant, int32_t priority, ShapeId shape);
  void DropLine(LineId id);
  std::optional<LineId> LineOf(const JobState& job) const;
  LineKey KeyOf(LineId id) const;
  Order& OrderOf(TenantId tenant) { return orders_[ranked_ ? tenant : 0]; }
  std::pair<int64_t, TenantId> RankedOrder(TenantId tenant) const {
    return ranked_ ? std::pair(tenants_[tenant].rank, tenant) : std::pair(int64_t{0}, TenantId{0});
  }
  bool IsReady(const Line& line) const { return !line.held && !shapes_[line.shape]->blocked; }
  void Enlist(LineId id);
  void Delist(LineId id);
  // The first ready line of an order from its cursor on, if it comes before `bound`.
  std::optional<LineKey> FirstReady(const Order& order, const std::optional<LineKey>& bound,
                                    uint64_t& work) const;
  LineId NextOfOpenShapes(uint64_t& work) const;
  uint32_t ReadyLines(const Shape& shape) const;
  void Open(ShapeId id);
  void Close(ShapeId id);
  void Rank(TenantId id);

  const policies::QueuePolicy* policy_ = nullptr;
  std::map<std::string, double> shares_;
  bool by_priority_ = true, ranked_ = false;
  size_t size_ = 0;
  uint32_t ready_ = 0;  // lines neither blocked nor held
  uint64_t round_ = 1;  // grows whenever lines become ready again
  uint64_t standings_ = 0;
  std::vector<ShapeId> open_shapes_;

  std::vector<Tenant> tenants_;
  std::vector<TenantId> tenants_unused_;
  absl::flat_hash_map<std::string, TenantId> tenant_ids_;
  std::vector<Order> orders_{1};                    // by tenant, or one
  std::set<std::pair<int64_t, TenantId>> by_rank_;  // (rank, order), of orders that have lines
  std::vector<std::unique_ptr<Shape>> shapes_;
  std::vector<ShapeId> shapes_unused_;
  absl::flat_hash_map<const Demand*, ShapeId, DemandHash, DemandSame> shape_ids_;
  std::vector<std::unique_ptr<Line>> lines_;
  std::vector<LineId> lines_unused_;
  absl::flat_hash_map<std::tuple<TenantId, int32_t, ShapeId>, LineId> line_ids_;
  std::set<std::pair<JobId, LineId>> by_age_;
  std::vector<LineId> held_;
};

}  // namespace allot::scheduler
