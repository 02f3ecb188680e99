// Device classes: everything a request or a price can tell apart, interned to small numbers.
//
// Ten thousand nodes have a handful of classes, so globs and price rows are matched once per
// class and never once per node. Classes are only ever added.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "common/model/device.h"
#include "common/model/policy.h"

namespace allot::scheduler {

using ClassId = uint32_t;

struct DeviceClass {
  // Kind, vendor, model, memory, cores, emulated, part_millis, isolation and price are those of
  // all; an endpoint's class has only such, and the endpoint of one.
  Device sample;
  PriceRate price;  // of one whole device
  std::optional<MilliWatt> power;  // of one, by a price row that names watts; else each its own
  bool cpu() const { return sample.kind == DeviceKind::kCpu; }
};

class DeviceClasses {
 public:
  ClassId Intern(const Device& device);
  uint32_t size() const { return static_cast<uint32_t>(classes_.size()); }
  const DeviceClass& Get(ClassId id) const { return classes_[id]; }

  // Forgets all prices and takes them from `book`, as they are at that hour, from now on.
  void SetPrices(const PriceBook& book, Time now);
  // Of `share` of a processor of this class.
  PriceRate PriceOfShare(ClassId cpu_class, MilliCpu share) const;

 private:
  using Key = std::tuple<DeviceKind, std::string, std::string, Bytes, int64_t, bool, int32_t,
                         Isolation, std::optional<PriceRate>, bool>;
  void Price(DeviceClass& c) const;

  std::vector<DeviceClass> classes_;
  std::map<Key, ClassId> by_key_;
  PriceBook book_;
  const PriceHours* hours_ = nullptr;  // of book_
  // Looked up only, never iterated.
  mutable absl::flat_hash_map<std::pair<ClassId, MilliCpu>, PriceRate> shares_;
};

}  // namespace allot::scheduler
