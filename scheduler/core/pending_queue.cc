#include "scheduler/core/pending_queue.h"

#include <algorithm>

#include "absl/hash/hash.h"
#include "common/base/check.h"

namespace allot::scheduler {

size_t PendingQueue::DemandHash::operator()(const Demand* d) const {
  size_t hash = absl::HashOf(d->tasks, d->resources.cpus, d->resources.memory, d->devices.size(),
                             d->leases, d->scratch);
  for (const DeviceRequest& r : d->devices) {
    hash = absl::HashOf(hash, r.kind ? 1 + static_cast<int>(*r.kind) : 0, r.vendor, r.model,
                        r.count, r.min_memory.value_or(0), r.worth,
                        r.isolation ? 1 + static_cast<int>(*r.isolation) : 0, r.joined);
  }
  return hash;
}

void PendingQueue::Rank(TenantId id) {
  Tenant& tenant = tenants_[id];
  const int64_t rank =
      policy_->RankTenant({tenant.name, tenant.used_micros_per_hour, tenant.share});
  if (ranked_ && rank != tenant.rank && by_rank_.erase({tenant.rank, id}) > 0)
    by_rank_.insert({rank, id});
  if (rank != tenant.rank && tenant.lines > 0) ++standings_;
  tenant.rank = rank;
}

void PendingQueue::SetPolicy(const policies::QueuePolicy* policy, const QueueKnobs& knobs) {
  policy_ = policy;
  shares_ = knobs.shares;
  by_priority_ = policy->UsesPriority();
  ranked_ = policy->RanksTenants();
  ready_ = 0;
  orders_.assign(ranked_ ? tenants_.size() : 1, Order{});
  by_rank_.clear();
  for (TenantId id = 0; id < tenants_.size(); ++id) {
    const auto share = shares_.find(tenants_[id].name);
    tenants_[id].share = share == shares_.end() ? 1.0 : share->second;
    Rank(id);
  }
  for (LineId id = 0; id < lines_.size(); ++id) {
    if (!lines_[id]->empty()) Enlist(id);
  }
}

TenantId PendingQueue::InternTenant(const std::string& name) {
  const auto [it, added] = tenant_ids_.try_emplace(name, static_cast<TenantId>(tenants_.size()));
  if (!added) return it->second;
  if (tenants_unused_.empty()) {
    tenants_.emplace_back();
  } else {
    it->second = tenants_unused_.back();
    tenants_unused_.pop_back();
  }
  const TenantId id = it->second;
  Tenant& tenant = tenants_[id];
  tenant.name = name;
  if (const auto share = shares_.find(name); share != shares_.end()) tenant.share = share->second;
  Rank(id);
  if (ranked_ && orders_.size() < tenants_.size()) orders_.resize(tenants_.size());
  return id;
}

void PendingQueue::ForgetIfIdle(TenantId id) {
  Tenant& tenant = tenants_[id];
  if (tenant.lines > 0 || tenant.used_micros_per_hour != 0) return;
  tenant_ids_.erase(tenant.name);
  tenant = Tenant{};
  if (ranked_) orders_[id] = Order{};
  tenants_unused_.push_back(id);
}

ShapeId PendingQueue::InternShape(const JobSpec& spec) {
  const Demand demand = Demand::Of(spec);
  if (const auto it = shape_ids_.find(&demand); it != shape_ids_.end()) return it->second;
  ShapeId id = static_cast<ShapeId>(shapes_.size());
  if (!shapes_unused_.empty()) {
    id = shapes_unused_.back();
    shapes_unused_.pop_back();
    *shapes_[id] = Shape{};
  } else {
    shapes_.push_back(std::make_unique<Shape>());
  }
  shapes_[id]->demand = demand;
  shape_ids_[&shapes_[id]->demand] = id;
  Open(id);
  return id;
}

LineId PendingQueue::MakeLine(TenantId tenant, int32_t priority, ShapeId shape) {
  LineId id = static_cast<LineId>(lines_.size());
  if (!lines_unused_.empty()) {
    id = lines_unused_.back();
    lines_unused_.pop_back();
  } else {
    lines_.push_back(std::make_unique<Line>());
  }
  lines_[id]->tenant = tenant;
  lines_[id]->priority = priority;
  lines_[id]->shape = shape;
  shapes_[shape]->lines.push_back(id);
  ++tenants_[tenant].lines;
  return id;
}

PendingQueue::LineKey PendingQueue::KeyOf(LineId id) const {
  const Line& line = *lines_[id];
  return {by_priority_ ? -int64_t{line.priority} : 0, line.first(), id};
}

void PendingQueue::Enlist(LineId id) {
  const Line& line = *lines_[id];
  Order& order = OrderOf(line.tenant);
  const LineKey key = KeyOf(id);
  if (order.lines.empty()) by_rank_.insert(RankedOrder(line.tenant));
  order.lines.insert(key);
  if (!IsReady(line)) return;
  ++ready_;
  if (key < order.cursor) order.cursor = key;
}

void PendingQueue::Delist(LineId id) {
  const Line& line = *lines_[id];
  Order& order = OrderOf(line.tenant);
  order.lines.erase(KeyOf(id));
  if (order.lines.empty()) by_rank_.erase(RankedOrder(line.tenant));
  ready_ -= IsReady(line) ? 1 : 0;
}

void PendingQueue::Open(ShapeId id) {
  shapes_[id]->open_position = static_cast<uint32_t>(open_shapes_.size());
  open_shapes_.push_back(id);
}

void PendingQueue::Close(ShapeId id) {
  const uint32_t position = shapes_[id]->open_position;
  open_shapes_[position] = open_shapes_.back();
  shapes_[open_shapes_[position]]->open_position = position;
  open_shapes_.pop_back();
}

void PendingQueue::Add(const JobState& job) {
  const TenantId tenant = InternTenant(job.spec->tenant);
  const ShapeId shape = InternShape(*job.spec);
  const auto [it, added] = line_ids_.try_emplace({tenant, job.spec->priority, shape}, 0);
  if (added) it->second = MakeLine(tenant, job.spec->priority, shape);
  const LineId id = it->second;
  Line& line = *lines_[id];
  ++size_;
  if (!added && job.id > line.first()) {  // The common case: not the head, so no order changes.
    if (job.id > line.jobs.back()) {
      line.jobs.push_back(job.id);
    } else {
      line.jobs.insert(std::lower_bound(line.jobs.begin() + static_cast<std::ptrdiff_t>(line.head),
                                        line.jobs.end(), job.id),
                       job.id);
    }
    return;
  }
  if (!added) {
    Delist(id);
    by_age_.erase({line.first(), id});
    if (line.held) ++standings_;
  }
  if (line.head > 0) {
    line.jobs[--line.head] = job.id;
  } else {
    line.jobs.insert(line.jobs.begin(), job.id);
  }
  by_age_.insert({job.id, id});
  Enlist(id);
}

void PendingQueue::Remove(const JobState& job) {
  const std::optional<LineId> found = LineOf(job);
  CHECK(found);
  const LineId id = *found;
  Line& line = *lines_[id];
  const auto begin = line.jobs.begin() + static_cast<std::ptrdiff_t>(line.head);
  const auto it = std::lower_bound(begin, line.jobs.end(), job.id);
  CHECK(it != line.jobs.end() && *it == job.id);
  --size_;
  if (it != begin) {
    line.jobs.erase(it);
    return;
  }
  Delist(id);
  by_age_.erase({line.first(), id});
  ++line.head;
  if (line.empty()) return DropLine(id);
  if (line.head > 1024 && line.head * 2 > line.jobs.size()) {
    line.jobs.erase(line.jobs.begin(), line.jobs.begin() + static_cast<std::ptrdiff_t>(line.head));
    line.head = 0;
  }
  by_age_.insert({line.first(), id});
  Enlist(id);
}

void PendingQueue::DropLine(LineId id) {
  Line& line = *lines_[id];
  if (line.held) held_.erase(std::find(held_.begin(), held_.end(), id));
  line_ids_.erase({line.tenant, line.priority, line.shape});
  Shape& shape = *shapes_[line.shape];
  shape.lines.erase(std::find(shape.lines.begin(), shape.lines.end(), id));
  if (shape.lines.empty()) {
    if (!shape.blocked) Close(line.shape);
    shape_ids_.erase(&shape.demand);
    shapes_unused_.push_back(line.shape);
  }
  const TenantId tenant = line.tenant;
  line = Line{};
  lines_unused_.push_back(id);
  --tenants_[tenant].lines;
  ForgetIfIdle(tenant);
}

void PendingQueue::AddUsage(const std::string& tenant, int64_t micros_per_hour) {
  const TenantId id = InternTenant(tenant);
  tenants_[id].used_micros_per_hour += micros_per_hour;
  Rank(id);
  ForgetIfIdle(id);
}

std::optional<LineId> PendingQueue::Next(uint64_t& work) const {
  if (ready_ == 0) return std::nullopt;
  // Few ready lines among many: look at those. Many: the first in order is soon met.
  if (uint64_t{ready_} * ready_ < lines_.size()) return NextOfOpenShapes(work);
  std::optional<LineKey> best;
  int64_t best_rank = 0;
  for (const auto& [rank, order] : by_rank_) {
    if (best && rank > best_rank) break;  // Tenants of equal rank are merged.
    ++work;
    if (const auto first = FirstReady(orders_[order], best, work)) {
      best = first;
      best_rank = rank;
    }
  }
  return best->line;
}

std::optional<PendingQueue::LineKey> PendingQueue::FirstReady(const Order& order,
                                                              const std::optional<LineKey>& bound,
                                                              uint64_t& work) const {
  const bool fresh = order.round == round_;
  auto it = fresh ? order.lines.lower_bound(order.cursor) : order.lines.begin();
  order.round = round_;
  for (; it != order.lines.end(); ++it) {
    ++work;
    order.cursor = *it;
    if (bound && *bound < *it) return std::nullopt;
    if (IsReady(*lines_[it->line])) return *it;
  }
  return std::nullopt;
}

LineId PendingQueue::NextOfOpenShapes(uint64_t& work) const {
  std::optional<LineKey> best;
  int64_t best_rank = 0;
  for (const ShapeId shape : open_shapes_) {
    for (const LineId id : shapes_[shape]->lines) {
      ++work;
      const Line& line = *lines_[id];
      if (line.held) continue;
      const int64_t rank = ranked_ ? tenants_[line.tenant].rank : 0;
      const LineKey key = KeyOf(id);
      if (best && (rank != best_rank ? rank > best_rank : *best < key)) continue;
      best = key;
      best_rank = rank;
    }
  }
  return best->line;
}

uint32_t PendingQueue::ReadyLines(const Shape& shape) const {
  auto ready = static_cast<uint32_t>(shape.lines.size());
  if (held_.empty()) return ready;
  for (const LineId line : shape.lines) ready -= lines_[line]->held ? 1 : 0;
  return ready;
}

void PendingQueue::Block(ShapeId id) {
  Shape& shape = *shapes_[id];
  if (shape.blocked) return;
  ready_ -= ReadyLines(shape);
  shape.blocked = true;
  Close(id);
}

void PendingQueue::Unblock(ShapeId id) {
  Shape& shape = *shapes_[id];
  if (!shape.blocked) return;
  ready_ += ReadyLines(shape);
  shape.blocked = false;
  ++round_;
  Open(id);
}

void PendingQueue::Hold(LineId id, const std::vector<bool>& kept) {
  Line& line = *lines_[id];
  CHECK(!line.held);
  ready_ -= IsReady(line) ? 1 : 0;
  line.held = true;
  line.kept = kept;
  held_.push_back(id);
}

void PendingQueue::ReleaseHeld() {
  ReleaseHeldIf([](const Line&) { return true; });
}

bool PendingQueue::ReleaseHeldIf(absl::FunctionRef<bool(const Line&)> freed) {
  const size_t released = std::erase_if(held_, [&](LineId id) {
    Line& line = *lines_[id];
    if (!freed(line)) return false;
    line.held = false;
    line.kept.clear();
    ready_ += IsReady(line) ? 1 : 0;
    return true;
  });
  if (released > 0) ++round_;
  return released > 0;
}

std::optional<LineId> PendingQueue::LineOf(const JobState& job) const {
  const auto tenant = tenant_ids_.find(job.spec->tenant);
  const Demand demand = Demand::Of(*job.spec);
  const auto shape = shape_ids_.find(&demand);
  if (tenant == tenant_ids_.end() || shape == shape_ids_.end()) return std::nullopt;
  const auto line = line_ids_.find({tenant->second, job.spec->priority, shape->second});
  return line == line_ids_.end() ? std::nullopt : std::optional(line->second);
}

const Line* PendingQueue::FindLineOf(const JobState& job) const {
  const std::optional<LineId> id = LineOf(job);
  return id ? lines_[*id].get() : nullptr;
}

std::vector<ShapeId> PendingQueue::BlockedShapes() const {
  std::vector<ShapeId> blocked;
  for (ShapeId id = 0; id < shapes_.size(); ++id) {
    if (shapes_[id]->blocked && !shapes_[id]->lines.empty()) blocked.push_back(id);
  }
  return blocked;
}

uint64_t PendingQueue::JobsAhead(const JobState& job) const {
  const Line* own = FindLineOf(job);
  if (own == nullptr) return 0;
  uint64_t ahead = 0;
  for (const auto& line : lines_) {
    if (line->empty()) continue;
    const auto begin = line->jobs.begin() + static_cast<std::ptrdiff_t>(line->head);
    const int64_t rank = tenants_[line->tenant].rank, own_rank = tenants_[own->tenant].rank;
    const int64_t priority = by_priority_ ? line->priority : 0;
    const int64_t own_priority = by_priority_ ? own->priority : 0;
    if (rank != own_rank ? rank < own_rank : priority > own_priority) {
      ahead += line->size();
    } else if (rank == own_rank && priority == own_priority) {
      ahead += static_cast<uint64_t>(std::lower_bound(begin, line->jobs.end(), job.id) - begin);
    }
  }
  return ahead;
}

}  // namespace allot::scheduler
