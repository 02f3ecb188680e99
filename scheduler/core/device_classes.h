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
  // Kind, vendor, model, memory, cores, emulated, part_millis, isolation and price are those of all.
  Device sample;
  PriceRate price;  // of one whole device
  bool cpu() const { return sample.kind == DeviceKind::kCpu; }
};

class DeviceClasses {
 public:
  ClassId Intern(const Device& device);
  uint32_t size() const { return static_cast<uint32_t>(classes_.size()); }
  const DeviceClass& Get(ClassId id) const { return classes_[id]; }

  // Forgets all prices and takes them from `book` from now on.
  void SetPrices(const PriceBook& book);
  // Of `share` of a processor of this class.
  PriceRate PriceOfShare(ClassId cpu_class, MilliCpu share) const;

 private:
  using Key = std::tuple<DeviceKind, std::string, std::string, Bytes, int64_t, bool, int32_t,
                         Isolation, std::optional<PriceRate>>;
  std::vector<DeviceClass> classes_;
  std::map<Key, ClassId> by_key_;
  PriceBook book_;
  // Looked up only, never iterated.
  mutable absl::flat_hash_map<std::pair<ClassId, MilliCpu>, PriceRate> shares_;
};

}  // namespace allot::scheduler
