#include "scheduler/core/demand.h"

namespace allot::scheduler {

bool MeansProcessor(const DeviceRequest& request) {
  if (request.kind) return *request.kind == DeviceKind::kCpu;
  return !request.model.empty();
}

void Resolve(const DeviceClasses& classes, Demand& demand) {
  if (demand.classes_seen == classes.size()) return;
  demand.classes_seen = classes.size();
  demand.options.clear();

  if (demand.devices.empty()) {  // Processor share only, of whatever processor.
    DemandOption& option = demand.options.emplace_back();
    for (ClassId c = 0; c < classes.size(); ++c) {
      if (classes.Get(c).cpu()) option.classes.push_back(c);
    }
    if (option.classes.empty()) demand.options.clear();
    return;
  }
  for (uint32_t i = 0; i < demand.devices.size(); ++i) {
    const DeviceRequest& request = demand.devices[i];
    DemandOption accelerators{i, std::max(request.count, 1U), request.worth, request.joined, {}};
    DemandOption processors{i, 0, request.worth, false, {}};
    for (ClassId c = 0; c < classes.size(); ++c) {
      const DeviceClass& device_class = classes.Get(c);
      if (!Matches(request, device_class.sample)) continue;
      if (!device_class.cpu()) {
        accelerators.classes.push_back(c);
      } else if (MeansProcessor(request)) {
        processors.classes.push_back(c);
      }
    }
    if (!accelerators.classes.empty()) demand.options.push_back(std::move(accelerators));
    if (!processors.classes.empty()) demand.options.push_back(std::move(processors));
  }
}

}  // namespace allot::scheduler
