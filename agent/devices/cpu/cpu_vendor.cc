#include "agent/devices/cpu/cpu_vendor.h"

#include <algorithm>
#include <map>
#include <optional>
#include <sstream>

#include "agent/devices/cpu/machine.h"
#include "agent/devices/host/parse.h"
#include "fmt/format.h"

namespace allot::agent {
namespace {

std::string FirstLine(const Host& host, const std::string& path) {
  const Reading<std::string> line = host.Line(path);
  return line ? *line : "";
}

std::optional<double> Number(const Host& host, const std::string& path) {
  const Reading<int64_t> value = host.Int(path);
  return value ? std::optional<double>(static_cast<double>(*value)) : std::nullopt;
}

struct Ticks {
  uint64_t busy = 0, total = 0;
};

// Clock ticks of every hardware thread, from /proc/stat.
std::map<uint32_t, Ticks> ReadTicks(const Host& host) {
  std::map<uint32_t, Ticks> ticks;
  std::istringstream in(host.Read("/proc/stat").value_or(""));
  for (std::string line; std::getline(in, line);) {
    unsigned thread = 0;
    unsigned long long user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, soft = 0,
                       steal = 0;
    if (sscanf(line.c_str(), "cpu%u %llu %llu %llu %llu %llu %llu %llu %llu", &thread, &user, &nice,
               &system, &idle, &wait, &irq, &soft, &steal) < 5)
      continue;
    const uint64_t busy = user + nice + system + irq + soft;
    ticks[thread] = {busy, busy + idle + wait + steal};
  }
  return ticks;
}

// Total energy of package i in joules, where the kernel lets us read it (it wants root).
std::optional<double> ReadEnergy(const Host& host, size_t package) {
  const auto micro =
      Number(host, fmt::format("/sys/class/powercap/intel-rapl:{}/energy_uj", package));
  if (!micro) return std::nullopt;
  return *micro / 1e6;
}

// coretemp has a labelled sensor per package; k10temp is one device per package, in order.
std::vector<double> ReadTemperatures(const Host& host, size_t packages) {
  std::map<size_t, double> found;
  size_t next_amd = 0;
  for (const std::string& entry : host.List("/sys/class/hwmon")) {
    const std::string folder = "/sys/class/hwmon/" + entry;
    const std::string name = FirstLine(host, folder + "/name");
    if (name == "k10temp" || name == "zenpower") {
      if (const auto milli = Number(host, folder + "/temp1_input"))
        found[next_amd++] = *milli / 1000;
    } else if (name == "coretemp") {
      unsigned package = 0;
      if (sscanf(FirstLine(host, folder + "/temp1_label").c_str(), "Package id %u", &package) != 1)
        continue;
      if (const auto milli = Number(host, folder + "/temp1_input")) found[package] = *milli / 1000;
    }
  }
  // All or none: a sensor that cannot be told apart belongs to nobody.
  std::vector<double> temperatures;
  for (const auto& [package, celsius] : found) temperatures.push_back(celsius);
  if (temperatures.size() != packages) temperatures.clear();
  return temperatures;
}

std::optional<Bytes> ReadMemoryInUse(const Host& host) {
  std::istringstream in(host.Read("/proc/meminfo").value_or(""));
  std::optional<Bytes> total, available;
  for (std::string line; std::getline(in, line) && !(total && available);) {
    long long kib = 0;
    if (sscanf(line.c_str(), "MemTotal: %lld kB", &kib) == 1) total = kib * kKiB;
    if (sscanf(line.c_str(), "MemAvailable: %lld kB", &kib) == 1) available = kib * kKiB;
  }
  if (!total || !available) return std::nullopt;
  Bytes used = *total - *available;
  for (const uint32_t node : NumaNodesOfDevices(host)) {
    const std::string text =
        host.Read(fmt::format("/sys/devices/system/node/node{}/meminfo", node)).value_or("");
    const auto field = FindField(text, fmt::format("Node {} MemUsed", node), ':');
    long long kib = 0;
    if (field && sscanf(std::string(*field).c_str(), "%lld kB", &kib) == 1)
      used = std::max<Bytes>(0, used - kib * kKiB);
  }
  return used;
}

}  // namespace

Discovery CpuVendor::Discover(const Snapshot&) {
  const CpuFacts facts = ReadCpuFacts(sources_);
  packages_ = facts.packages;
  before_.resize(packages_.size());
  Discovery discovery;
  discovery.devices = MakeCpuDevices(facts);
  if (discovery.devices.empty())
    discovery.warnings.push_back(
        "no processor was found: neither hwloc nor /proc/cpuinfo tells of one");
  return discovery;
}

std::vector<DeviceTelemetry> CpuVendor::Sample() {
  const auto now = std::chrono::steady_clock::now();
  const Host& host = *sources_.host;
  const std::map<uint32_t, Ticks> ticks = ReadTicks(host);
  const std::vector<double> temperatures = ReadTemperatures(host, packages_.size());
  std::vector<DeviceTelemetry> samples;
  for (size_t i = 0; i < packages_.size(); ++i) {
    DeviceTelemetry sample;
    sample.id = fmt::format("cpu{}", i);
    Before current{.at = now, .valid = true};
    for (const uint32_t thread : packages_[i].threads) {
      const auto it = ticks.find(thread);
      if (it == ticks.end()) continue;
      current.busy += it->second.busy;
      current.total += it->second.total;
    }
    Before& before = before_[i];
    if (before.valid && current.total > before.total && current.busy >= before.busy)
      sample.utilization_ratio =
          std::min(1.0, static_cast<double>(current.busy - before.busy) /
                            static_cast<double>(current.total - before.total));
    if (const auto joules = ReadEnergy(host, i)) {
      current.joules = *joules;
      current.energy_valid = true;
      sample.energy_joules = joules;
      const double seconds = std::chrono::duration<double>(now - before.at).count();
      // The counter wraps every few minutes to hours; that one sample has no power.
      if (before.energy_valid && *joules >= before.joules && seconds > 0)
        sample.power_watts = (*joules - before.joules) / seconds;
    }
    if (!temperatures.empty()) sample.temperature_celsius = temperatures[i];
    if (packages_.size() == 1) sample.memory_used = ReadMemoryInUse(host);
    before = current;
    samples.push_back(std::move(sample));
  }
  return samples;
}

}  // namespace allot::agent
