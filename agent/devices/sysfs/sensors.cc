#include "agent/devices/sysfs/sensors.h"

#include <algorithm>

namespace allot::agent {
namespace {

constexpr int kSensorsMax = 16;  // temp1 … temp16

std::optional<double> Scaled(const Host& host, const std::string& path, double unit, double low,
                             double high) {
  if (path.empty()) return std::nullopt;
  const Reading<int64_t> value = host.Int(path);
  if (!value) return std::nullopt;
  return Plausible(static_cast<double>(*value) / unit, low, high);
}

// "temp2_input" → "temp2_crit", if there is one.
std::string LimitOf(const Host& host, const std::string& input, const char* limit) {
  if (input.empty()) return "";
  const std::string file = input.substr(0, input.rfind('_')) + limit;
  return host.Read(file) ? file : "";
}

// The worse of two sensors.
std::optional<double> Over(const Host& host,
                           const std::pair<const std::string&, const std::string&> (&pairs)[2]) {
  std::optional<double> over;
  for (const auto& [input, limit] : pairs) {
    const auto now = Scaled(host, input, 1e3, -100, 250);
    const auto most = Scaled(host, limit, 1e3, 30, 200);
    if (now && most) over = std::max(over.value_or(-1e3), *now - *most);
  }
  return over;
}

void FindTemperatures(const Host& host, const std::string& folder, Sensors* sensors) {
  std::string edge, unlabelled;
  for (int i = 1; i <= kSensorsMax; ++i) {
    const std::string input = fmt::format("{}/temp{}_input", folder, i);
    if (!host.Read(input)) continue;
    const Reading<std::string> label = host.Line(fmt::format("{}/temp{}_label", folder, i));
    if (!label) {
      if (i == 1 && !label.garbage()) unlabelled = input;
      continue;
    }
    if (*label == "junction" || *label == "asic_temp" || *label == "pkg" || *label == "package")
      sensors->temp_mc = input;
    if (*label == "mem" || *label == "vram" || *label == "hbm") sensors->mem_temp_mc = input;
    if (*label == "edge") edge = input;
  }
  if (sensors->temp_mc.empty()) sensors->temp_mc = edge.empty() ? unlabelled : edge;
  sensors->temp_crit_mc = LimitOf(host, sensors->temp_mc, "_crit");
  sensors->mem_temp_crit_mc = LimitOf(host, sensors->mem_temp_mc, "_crit");
  sensors->temp_max_mc = LimitOf(host, sensors->temp_mc, "_max");
  sensors->mem_temp_max_mc = LimitOf(host, sensors->mem_temp_mc, "_max");
}

}  // namespace

std::optional<double> Plausible(double value, double low, double high) {
  if (!(value >= low && value <= high)) return std::nullopt;  // Nor is what is no number.
  return value;
}

bool Sensors::Any() const {
  return !(power_uw.empty() && temp_mc.empty() && mem_temp_mc.empty() && energy_uj.empty() &&
           busy_pct.empty() && memory_used.empty() && power_status.empty());
}

Sensors FindSensors(const Host& host, const std::string& device_path) {
  Sensors sensors;
  for (const std::string& name : host.List(device_path + "/hwmon")) {
    const std::string folder = device_path + "/hwmon/" + name;
    // i915 has one for the card ("i915") and one for each of its tiles ("i915_gt0").
    const Reading<std::string> chip = host.Line(folder + "/name");
    if (chip && chip->find("_gt") != std::string::npos) continue;
    FindTemperatures(host, folder, &sensors);
    // What flows now is preferred to a driver's own average.
    for (const char* file : {"/power1_input", "/power1_average"})
      if (sensors.power_uw.empty() && host.Read(folder + file)) sensors.power_uw = folder + file;
    for (const char* file : {"/power1_cap", "/power1_max"})
      if (sensors.power_limit_uw.empty() && host.Read(folder + file))
        sensors.power_limit_uw = folder + file;
    // xe: the first is of the card, the second of the package; some cards have only that.
    for (const char* file : {"/energy1_input", "/energy2_input"})
      if (sensors.energy_uj.empty() && host.Read(folder + file)) sensors.energy_uj = folder + file;
    if (sensors.Any()) break;
  }
  return sensors;
}

Readings ReadSensors(const Host& host, const Sensors& sensors) {
  Readings readings;
  readings.power_w = Scaled(host, sensors.power_uw, 1e6, 0, 1e5);
  readings.temp_c = Scaled(host, sensors.temp_mc, 1e3, -100, 250);
  readings.mem_temp_c = Scaled(host, sensors.mem_temp_mc, 1e3, -100, 250);
  readings.energy_j = Scaled(host, sensors.energy_uj, 1e6, 0, 1e13);
  readings.util_pct = Scaled(host, sensors.busy_pct, 1, 0, 100);
  if (!sensors.power_status.empty()) {
    const Reading<std::string> line = host.Line(sensors.power_status);
    const auto cells = line ? Split(*line, ',') : std::vector<std::string_view>{};
    if (cells.size() == 5 && cells[0] == "POWER_STATUS_VALID")
      if (const auto percent = ParseDecimal(cells[4]); percent && *percent >= 0 && *percent <= 1000)
        readings.power_pct_of_max = percent;
  }
  return readings;
}

std::optional<double> ReadOverCritical(const Host& host, const Sensors& sensors) {
  return Over(host, {{sensors.temp_mc, sensors.temp_crit_mc},
                     {sensors.mem_temp_mc, sensors.mem_temp_crit_mc}});
}

std::optional<double> ReadOverMaximum(const Host& host, const Sensors& sensors) {
  return Over(host, {{sensors.temp_mc, sensors.temp_max_mc},
                     {sensors.mem_temp_mc, sensors.mem_temp_max_mc}});
}

std::optional<MilliWatt> ReadPowerLimit(const Host& host, const Sensors& sensors) {
  const auto watts = Scaled(host, sensors.power_limit_uw, 1e6, 1, 1e5);
  if (!watts) return std::nullopt;
  return static_cast<MilliWatt>(*watts * 1e3 + 0.5);
}

std::optional<Bytes> ReadMemoryUsed(const Host& host, const Sensors& sensors) {
  if (sensors.memory_used.empty()) return std::nullopt;
  const Reading<int64_t> used = host.Int(sensors.memory_used);
  if (!used || *used < 0) return std::nullopt;
  const Reading<int64_t> total = host.Int(sensors.memory_total);
  if (total && *used > *total) return std::nullopt;
  return *used;
}

}  // namespace allot::agent
