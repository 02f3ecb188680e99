#include "scheduler/core/demand.h"

#include <map>
#include <string_view>

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
    // Tasks of a gang talk to one another, and vendors' runtimes do not: one option for each
    // vendor.
    std::map<std::string_view, DemandOption> accelerators;
    DemandOption processors{i, 0, request.worth, false, {}};
    for (ClassId c = 0; c < classes.size(); ++c) {
      const DeviceClass& device_class = classes.Get(c);
      if (!Matches(request, device_class.sample)) continue;
      if (!device_class.cpu()) {
        const std::string_view vendor =
            demand.tasks > 1 ? std::string_view(device_class.sample.vendor) : std::string_view();
        accelerators
            .try_emplace(
                vendor,
                DemandOption{i, std::max(request.count, 1U), request.worth, request.joined, {}})
            .first->second.classes.push_back(c);
      } else if (MeansProcessor(request)) {
        processors.classes.push_back(c);
      }
    }
    for (auto& [vendor, option] : accelerators) demand.options.push_back(std::move(option));
    if (!processors.classes.empty()) demand.options.push_back(std::move(processors));
  }
}

}  // namespace allot::scheduler
