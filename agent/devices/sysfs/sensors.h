// Where a driver's measurements are, found once, and reading them.
#pragma once

#include <optional>
#include <string>

#include "agent/devices/vendor.h"

namespace allot::agent {

// Paths of files; empty where the machine has none. Units as the kernel's hwmon has them:
// microwatts, millidegrees, microjoules, percent, bytes.
struct Sensors {
  std::string power_uw, temp_mc, mem_temp_mc, energy_uj, busy_pct, memory_used, memory_total;
  // What the driver calls too much: critical and highest wanted temperatures, the power limit.
  std::string temp_crit_mc, mem_temp_crit_mc, temp_max_mc, mem_temp_max_mc, power_limit_uw;
  std::string power_status;  // AWS: "POWER_STATUS_VALID,time,min,max,average" in percent of maximum

  bool Any() const;
};

// The first hwmon folder of a device that has power, temperature or energy. Temperatures are told
// apart by their label (junction, mem, pkg, vram, asic_temp), never by their number; one without a
// label counts only if it is the first.
Sensors FindSensors(const Host& host, const std::string& device_path);

// A value that a vendor's library or tool has measured: absent if no device has such a one.
std::optional<double> Plausible(double value, double low, double high);

// Values that no device has (below absolute zero, megawatts, 130 %) are left out.
Readings ReadSensors(const Host& host, const Sensors& sensors);
// How many degrees chip or memory, whichever is worse, is above its critical temperature or its
// maximum (below it: negative). Absent where nothing has one.
std::optional<double> ReadOverCritical(const Host& host, const Sensors& sensors);
std::optional<double> ReadOverMaximum(const Host& host, const Sensors& sensors);
// Absent where there is none, and where the limit is off (0).
std::optional<MilliWatt> ReadPowerLimit(const Host& host, const Sensors& sensors);
std::optional<Bytes> ReadMemoryUsed(const Host& host, const Sensors& sensors);

}  // namespace allot::agent
