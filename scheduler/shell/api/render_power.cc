#include "scheduler/shell/api/render.h"
#include "scheduler/shell/power_survey.h"

namespace allot::scheduler {
namespace {

double Watts(MilliWatt power) { return static_cast<double>(power) / 1e3; }

void RenderLine(const PowerLine& line, const PowerSums& sums, JsonWriter& json) {
  json.Field("leased_watts", Watts(line.leased));
  if (line.cap) json.Field("cap_watts", Watts(*line.cap));
  if (sums.measured > 0) json.Field("measured_watts", sums.watts);
  json.Field("devices", sums.devices).Field("devices_measured", sums.measured);
  json.Field("devices_unknown", sums.unknown);
}

}  // namespace

void RenderPower(const Core& core, JsonWriter& json) {
  const PowerBook& book = core.power();
  const PowerSurvey survey(core);
  json.Key("cluster").Object([&] {
    json.Field("nodes", survey.cluster.nodes);
    RenderLine(book.cluster(), survey.cluster, json);
  });
  json.Key("racks").Array([&] {
    for (const auto& [name, id] : book.racks()) {
      if (book.nodes_of(id).empty()) continue;  // All its nodes have moved.
      json.Object([&, &name = name, id = id] {
        json.Field("name", name).Field("nodes", survey.racks[id].nodes);
        RenderLine(book.rack(id), survey.racks[id], json);
      });
    }
  });
  json.Key("nodes").Array([&] {
    for (const NodeState& node : core.state().nodes()) {
      const uint32_t row = node.id.value() - 1;
      json.Object([&] {
        json.Field("name", node.info->name).Field("alive", node.alive);
        if (const PowerBook::RackId rack = book.rack_of(row); rack != PowerBook::kNoRack)
          json.Field("rack", book.rack_name(rack));
        RenderLine(book.node(row), survey.nodes[row], json);
      });
    }
  });
}

}  // namespace allot::scheduler
