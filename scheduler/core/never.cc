#include "scheduler/core/never.h"

#include <algorithm>
#include <set>

#include "common/base/near_word.h"
#include "fmt/ranges.h"

namespace allot::scheduler {
namespace {

constexpr size_t kModelsTold = 5;

bool Possible(const Ledger& ledger, const Demand& demand, auto change) {
  Demand other = demand.Asked();
  change(other);
  if (other.Same(demand)) return false;
  Resolve(ledger.classes(), other);
  return ledger.index().EverPossible(other);
}

// The most that one node has of it, of the nodes that have what else is asked for.
template <class Amount, class Total>
Amount Most(const Ledger& ledger, const Demand& demand, Total total) {
  Amount most = 0;
  for (uint32_t i = 0; i < ledger.index().node_count(); ++i) {
    const PlacementIndex::Row& row = ledger.index().row(i);
    const bool would_do =
        std::any_of(demand.options.begin(), demand.options.end(), [&](const DemandOption& option) {
          return std::any_of(option.classes.begin(), option.classes.end(), [&](ClassId c) {
            return option.count == 0 ? row.cpu_class == c : row.Find(c) != nullptr;
          });
        });
    if (would_do) most = std::max(most, total(row));
  }
  return most;
}

std::string Cores(MilliCpu cpus) {
  return cpus % 1000 == 0 ? fmt::format("{}", cpus / 1000)
                          : fmt::format("{}", static_cast<double>(cpus) / 1000);
}

// Names of models that no device here has, with what there is.
std::string UnknownModels(const Ledger& ledger, const Demand& demand) {
  std::set<std::string> models;
  for (ClassId c = 0; c < ledger.classes().size(); ++c) {
    const Device& device = ledger.classes().Get(c).sample;
    if (device.kind != DeviceKind::kCpu) models.insert(device.model);
  }
  const std::vector<std::string> known(models.begin(), models.end());
  std::string out;
  for (const DeviceRequest& request : demand.devices) {
    if (request.model.empty()) continue;
    Demand alone{1, {.cpus = 0, .memory = 0}, {request}};
    alone.devices[0].count = 1;
    alone.devices[0].min_memory.reset();
    alone.devices[0].isolation.reset();
    alone.devices[0].joined = false;
    Resolve(ledger.classes(), alone);
    if (std::any_of(alone.options.begin(), alone.options.end(),
                    [](const DemandOption& option) { return !option.classes.empty(); }))
      continue;
    std::string plain = request.model;
    std::erase_if(plain, [](char c) { return c == '*' || c == '?'; });
    const std::string near = NearWord(plain, known);
    out +=
        fmt::format("{}no device here was ever a \"{}\"", out.empty() ? "" : "; ", request.model);
    if (!near.empty()) out += fmt::format(", did you mean \"{}\"?", near);
  }
  if (out.empty()) return "";
  if (known.empty()) return out + "; no node has accelerators";
  std::string there;
  for (size_t i = 0; i < std::min(known.size(), kModelsTold); ++i)
    there += (i == 0 ? "" : ", ") + known[i];
  return fmt::format("{}; there are {}{}", out, there,
                     known.size() > kModelsTold ? " and others (`allot devices`)" : "");
}

// Of vendors that nobody here is of, with those there are.
std::string UnknownVendors(const Ledger& ledger, const Demand& demand) {
  std::set<std::string> vendors;
  for (ClassId c = 0; c < ledger.classes().size(); ++c)
    vendors.insert(ledger.classes().Get(c).sample.vendor);
  const std::vector<std::string> known(vendors.begin(), vendors.end());
  std::string out;
  for (const DeviceRequest& request : demand.devices) {
    if (request.vendor.empty() || vendors.contains(request.vendor)) continue;
    const std::string near = NearWord(request.vendor, known);
    out += fmt::format("{}no device here was ever of the vendor \"{}\"", out.empty() ? "" : "; ",
                       request.vendor);
    if (!near.empty()) out += fmt::format(", did you mean \"{}\"?", near);
  }
  if (out.empty()) return "";
  return fmt::format("{}; there are {}", out, fmt::join(known, ", "));
}

// Of kinds that no node ever had.
std::string UnknownKinds(const Ledger& ledger, const Demand& demand) {
  std::set<DeviceKind> kinds;
  for (ClassId c = 0; c < ledger.classes().size(); ++c)
    kinds.insert(ledger.classes().Get(c).sample.kind);
  std::string out;
  for (const DeviceRequest& request : demand.devices)
    if (request.kind && !kinds.contains(*request.kind))
      out += fmt::format("{}no node here ever had a device of kind {}", out.empty() ? "" : "; ",
                         ToString(*request.kind));
  return out;
}

}  // namespace

std::string WhatToAsk(const Ledger& ledger, const Demand& demand) {
  const auto possible = [&](auto change) {
    return Possible(ledger, demand, [&](Demand& other) {
      for (DeviceRequest& request : other.devices) change(request);
    });
  };
  if (Possible(ledger, demand, [](Demand& other) { other.leases = false; }))
    return "no node that would do can keep a task to one live attempt: their agents are of a build "
           "that knows no leases of tasks; update them, or leave out at_most_one";
  if (Possible(ledger, demand, [](Demand& other) { other.scratch = 0; }))
    return fmt::format(
        "no node that would do lets a task have {} of scratch (isolation.scratch_max of agents): "
        "ask for less, or have that raised",
        FormatBytes(demand.scratch));
  if (possible([](DeviceRequest& r) { r.isolation.reset(); }))
    return "devices that would do are there, but none isolates as much as asked";
  if (possible([](DeviceRequest& r) { r.joined = false; }))
    return "enough devices are there, but not joined in one fabric";
  if (possible([](DeviceRequest& r) { r.count = 1; }))
    return "ask for fewer devices per task, or for a number that their runtime takes together";
  const bool cpus = Possible(ledger, demand, [](Demand& other) { other.resources.cpus = 0; });
  const bool memory = Possible(ledger, demand, [](Demand& other) { other.resources.memory = 0; });
  if (cpus)
    return fmt::format(
        "ask for fewer than {} processors per task: the most that a node with such devices has is "
        "{}",
        Cores(demand.resources.cpus),
        Cores(Most<MilliCpu>(ledger, demand, [](const auto& row) { return row.cpus_total; })));
  if (memory)
    return fmt::format(
        "ask for less than {} of memory per task: the most that a node with such devices has is {}",
        FormatBytes(demand.resources.memory),
        FormatBytes(Most<Bytes>(ledger, demand, [](const auto& row) { return row.memory_total; })));
  if (possible([](DeviceRequest& r) { r.min_memory.reset(); }))
    return "devices of that kind are there, but none has so much memory (min_memory)";
  for (const auto unknown : {UnknownKinds, UnknownVendors, UnknownModels})
    if (std::string what = unknown(ledger, demand); !what.empty()) return what;
  return "ask for less per task, or for devices that `allot devices` lists";
}

}  // namespace allot::scheduler
