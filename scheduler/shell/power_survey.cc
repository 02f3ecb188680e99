#include "scheduler/shell/power_survey.h"

#include <algorithm>
#include <string_view>

#include "absl/container/flat_hash_map.h"

namespace allot::scheduler {

void PowerSums::Add(const PowerSums& o) {
  nodes += o.nodes;
  devices += o.devices;
  unknown += o.unknown;
  measured += o.measured;
  watts += o.watts;
}

PowerSurvey::PowerSurvey(const Core& core) {
  const PriceBook& prices = core.state().policy()->prices;
  const PowerBook& book = core.power();
  // Tens of thousands of devices, a few dozen models: the book is asked once for each.
  absl::flat_hash_map<std::string_view, bool> by_row;  // looked up only
  const auto named_by_row = [&](const std::string& model) {
    const auto [it, fresh] = by_row.try_emplace(model, false);
    if (fresh) it->second = PowerOf(prices, Device{.model = model}).has_value();
    return it->second;
  };
  nodes.resize(core.state().nodes().size());
  for (const NodeState& node : core.state().nodes()) {
    if (!node.alive) continue;
    const uint32_t row = node.id.value() - 1;
    PowerSums& sums = nodes[row];
    sums.nodes = 1;
    for (const Device& device : node.info->devices) {
      ++sums.devices;
      sums.unknown +=
          device.endpoint.empty() && !device.power_max && !named_by_row(device.model) ? 1 : 0;
    }
    if (const NodeSoftState* soft = core.SoftState(node.id); soft != nullptr) {
      for (const DeviceTelemetry& sample : soft->telemetry) {
        if (!sample.power_watts) continue;
        ++sums.measured;
        sums.watts += *sample.power_watts;
      }
    }
    cluster.Add(sums);
    const PowerBook::RackId rack = book.rack_of(row);
    if (rack >= racks.size()) racks.resize(rack + 1);
    racks[rack].Add(sums);
  }
  racks.resize(std::max<size_t>(racks.size(), book.racks().size() + 1));
}

}  // namespace allot::scheduler
