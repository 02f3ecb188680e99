// A discovery as `allot-agent --discover` prints it.
#pragma once

#include <string>

#include "agent/devices/cpu/machine.h"
#include "agent/devices/vendor.h"

namespace allot::agent {

// One JSON object with a version. Its platform, cpu, mem_total_bytes, devices, groups and ignored
// have the shape of tests/machines/*/expected.json: what is unknown is null, telemetry that nobody
// measures is absent. `name` is the catalogue name, `model` the product in words. Each device also
// has `sources`, from fact to source, `source` (detected or configured), `isolation` (what a host
// that filters device files gives), `parent`, `power_max_watts`, and `emulated`, `features`,
// `uuid`.
std::string DiscoveryJson(const Discovery& discovery, const CpuMachine& machine);

// For people: the machine, a line for each device, and below it the source of every fact.
std::string DiscoveryText(const Discovery& discovery, const CpuMachine& machine);

}  // namespace allot::agent
