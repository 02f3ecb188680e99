// The routing table for gateways, rebuilt for the deployments that changed.
#pragma once

#include <memory>
#include <optional>

#include "scheduler/core/ledger.h"

namespace allot::scheduler {

class RouteKeeper {
 public:
  explicit RouteKeeper(const Ledger& ledger) : ledger_(ledger) {}

  // Sends the table if what gateways see of it changed since the last one.
  void Publish(Ledger& ledger, Effects& out);
  std::shared_ptr<const RouteTable> table() const { return table_; }
  // When a change that was put off is due.
  std::optional<Time> NextDue() const;

 private:
  std::optional<RouteDeployment> Build(const std::string& name) const;
  std::shared_ptr<RouteTable> Head() const;

  const Ledger& ledger_;
  std::map<std::string, RouteDeployment> deployments_;
  std::shared_ptr<const RouteTable> table_ = std::make_shared<const RouteTable>();
  uint32_t replicas_ = 0;  // in the table
  Time sent_;
  bool waiting_ = false;
};

}  // namespace allot::scheduler
