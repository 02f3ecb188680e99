#include "agent/shell/energy.h"

#include <algorithm>
#include <cmath>

#include "agent/devices/host/parse.h"

namespace allot::agent {
namespace {

// Power between two readings is taken to run straight from one to the other; over more than this
// it is not known.
constexpr Duration kGapMax = std::chrono::minutes(1);
constexpr double kJoulesMax = 1e13;

double Seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

}  // namespace

void EnergyMeter::SetDevices(const std::vector<Device>& devices) {
  measurable_.clear();
  for (const Device& device : devices)
    measurable_[device.id] = device.kind != DeviceKind::kCpu && !device.emulated &&
                             device.parent.empty() && device.endpoint.empty();
  std::erase_if(accounts_, [&](const auto& entry) { return !measurable_.contains(entry.first); });
}

void EnergyMeter::Begin(const ProcessId& id, const std::vector<std::string>& devices, Time at) {
  if (devices.empty()) return;
  Process& process = processes_[id];
  process = {.began = at};
  for (const std::string& device : devices) {
    const auto it = measurable_.find(device);
    process.shares[device].broken = it == measurable_.end() || !it->second;
  }
}

void EnergyMeter::Resume(const ProcessId& id, const std::vector<std::string>& devices, Time at,
                         std::string_view saved) {
  Begin(id, devices, at);
  const auto it = processes_.find(id);
  if (it == processes_.end()) return;
  it->second.saved = true;
  std::map<std::string, std::pair<Time, double>> first;
  for (const std::string_view line : CompleteLines(saved)) {
    const std::vector<std::string_view> cells = Split(line, '\t');
    if (cells.size() != 3) continue;
    const auto micros = ParseInt(cells[1]), millijoules = ParseInt(cells[2]);
    if (micros && millijoules && *micros >= 0 && *millijoules >= 0)
      first[std::string(cells[0])] = {FromMicros(*micros), static_cast<double>(*millijoules) / 1e3};
  }
  for (auto& [device, share] : it->second.shares) {
    const auto known = first.find(device);
    if (known == first.end()) {
      share.broken = true;  // Nobody knows what it drew before.
    } else {
      share.saved = known->second;
    }
  }
}

void EnergyMeter::Follow(const Account& account, Process* process, Share* share) {
  if (share->broken) return;
  if (!share->measured) {
    share->measured = true;
    share->first_at = share->last_at = account.at;
    share->first = share->last = account.joules;
    share->first_counter = account.counter;
    share->stretch = account.stretch;
    if (share->saved) {
      const auto [at, counter] = *std::exchange(share->saved, std::nullopt);
      // Only the counter itself bridges the time without an agent.
      if (!account.counter || *account.counter < counter || at > account.at) {
        share->broken = true;
        return;
      }
      share->first_at = at;
      share->first = account.joules - (*account.counter - counter);
    }
    return;
  }
  if (share->stretch != account.stretch) {
    share->broken = true;
    return;
  }
  process->untold += account.joules - share->last;
  share->last = account.joules;
  share->last_at = account.at;
}

void EnergyMeter::Read(Time at, const DeviceTelemetry& values) {
  const auto sane = [](std::optional<double> value) {
    return value && std::isfinite(*value) && *value >= 0 && *value <= kJoulesMax ? value
                                                                                 : std::nullopt;
  };
  const std::optional<double> counter = sane(values.energy_joules);
  const std::optional<double> power = counter ? std::nullopt : sane(values.power_watts);
  if (!counter && !power) return;
  const auto measurable = measurable_.find(values.id);
  if (measurable == measurable_.end() || !measurable->second) return;

  auto [it, fresh] = accounts_.try_emplace(values.id);
  Account& account = it->second;
  if (fresh) {
    account.stretch = ++stretches_;
  } else {
    if (at <= account.at) return;
    if (counter && account.counter && *counter >= *account.counter) {
      account.joules += *counter - *account.counter;
    } else if (power && account.power && at - account.at <= kGapMax) {
      account.joules += (*power + *account.power) / 2 * Seconds(at - account.at);
    } else {
      account.stretch = ++stretches_;
    }
  }
  account.at = at;
  account.counter = counter;
  account.power = power;
  for (auto& [id, process] : processes_) {
    if (at < process.began) continue;  // read before it began, told after
    const auto share = process.shares.find(values.id);
    if (share != process.shares.end()) Follow(account, &process, &share->second);
  }
}

std::optional<MilliJoule> EnergyMeter::End(const ProcessId& id, Time started, Time finished) {
  const auto node = processes_.extract(id);
  if (node.empty()) return std::nullopt;
  const double life = Seconds(finished - started);
  double joules = 0;
  for (const auto& [device, share] : node.mapped().shares) {
    if (share.broken || !share.measured) return std::nullopt;
    const double measured = Seconds(share.last_at - share.first_at);
    if (measured <= 0 || measured * 2 < life) return std::nullopt;
    if (share.first_at - started > kGapMax || finished - share.last_at > kGapMax)
      return std::nullopt;
    joules += (share.last - share.first) * std::max(life, 0.0) / measured;
  }
  if (!std::isfinite(joules) || joules < 0 || joules > kJoulesMax) return std::nullopt;
  return static_cast<MilliJoule>(std::llround(joules * 1e3));
}

double EnergyMeter::TakeJoules(const ProcessId& id) {
  const auto it = processes_.find(id);
  if (it == processes_.end()) return 0;
  for (const auto& [device, share] : it->second.shares)
    if (share.broken || !share.measured) return 0;
  return std::exchange(it->second.untold, 0);
}

std::vector<std::pair<ProcessId, std::string>> EnergyMeter::TakeSaves() {
  std::vector<std::pair<ProcessId, std::string>> saves;
  for (auto& [id, process] : processes_) {
    if (process.saved) continue;
    std::string text;
    bool whole = true;
    for (const auto& [device, share] : process.shares) {
      whole &= share.measured && !share.broken && share.first_counter.has_value();
      if (!whole) break;
      text += fmt::format("{}\t{}\t{}\n", device, ToMicros(share.first_at),
                          static_cast<int64_t>(*share.first_counter * 1e3));
    }
    if (!whole) continue;
    process.saved = true;
    saves.emplace_back(id, std::move(text));
  }
  return saves;
}

}  // namespace allot::agent
