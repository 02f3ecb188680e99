// Devices and nodes that are taken out of service and given back.
//
// An operator's word lasts until another one; see DeviceServiceRequested.
#pragma once

#include "scheduler/core/ledger.h"

namespace allot::scheduler {

class QuarantineMachine {
 public:
  explicit QuarantineMachine(Ledger& ledger) : ledger_(ledger) {}

  void Request(const DeviceServiceRequested& event, Effects& out);

 private:
  Ledger& ledger_;
};

}  // namespace allot::scheduler
