// The scheduler's journal in the virtual world: batches become durable at a virtual sync, one
// at a time, each whole or not at all; a snapshot is folded from what is durable.
#pragma once

#include <optional>
#include <vector>

#include "scheduler/core/cluster_state.h"

namespace allot::simulator {

class Disk {
 public:
  // These records are safe from now on.
  void Append(const std::vector<scheduler::Record>& records) {
    for (const auto& record : records) {
      durable_.push_back(record);
      fold_.Apply(record);
    }
    batches_.push_back(durable_.size());
  }
  void TakeSnapshot() {
    snapshot_ = fold_;
    snapshot_covers_ = durable_.size();
  }
  size_t batches() const { return batches_.size(); }
  // What it was after so many batches: a copy never holds a part of one.
  void PutBack(size_t batches) {
    batches_.resize(batches);
    const size_t records = batches == 0 ? 0 : batches_.back();
    durable_.resize(records, scheduler::Record(scheduler::TermBegun{}));
    fold_ = scheduler::ClusterState();
    for (const auto& record : durable_) fold_.Apply(record);
    if (snapshot_covers_ <= records) return;
    snapshot_.reset();
    snapshot_covers_ = 0;
  }
  const std::vector<scheduler::Record>& records() const { return durable_; }
  // Every durable record folded, as a snapshot worker does it: apart from the core.
  const scheduler::ClusterState& fold() const { return fold_; }
  const std::optional<scheduler::ClusterState>& snapshot() const { return snapshot_; }
  size_t snapshot_covers() const { return snapshot_covers_; }

 private:
  std::vector<scheduler::Record> durable_;
  std::vector<size_t> batches_;  // how many records there were at the end of each
  scheduler::ClusterState fold_;
  std::optional<scheduler::ClusterState> snapshot_;
  size_t snapshot_covers_ = 0;
};

}  // namespace allot::simulator
