#include "scheduler/core/device_classes.h"

namespace allot::scheduler {

ClassId DeviceClasses::Intern(const Device& device) {
  // Cores tell processors apart because a price row names a whole processor.
  const int64_t cores = device.kind == DeviceKind::kCpu ? device.cores : 0;
  const Key key{
      device.kind,  device.vendor,           device.model,       device.memory.value_or(-1),
      cores,        device.emulated,         device.part_millis, device.isolation,
      device.price, !device.endpoint.empty()};
  const auto [it, added] = by_key_.try_emplace(key, size());
  if (added) {
    DeviceClass& added_class = classes_.emplace_back();
    added_class.sample.kind = device.kind;
    added_class.sample.vendor = device.vendor;
    added_class.sample.model = device.model;
    added_class.sample.memory = device.memory;
    added_class.sample.cores = cores;
    added_class.sample.emulated = device.emulated;
    added_class.sample.part_millis = device.part_millis;
    added_class.sample.isolation = device.isolation;
    added_class.sample.price = device.price;
    added_class.sample.endpoint = device.endpoint;
    Price(added_class);
  }
  return it->second;
}

// A sample says nothing of what it draws, so only a row of the book can.
void DeviceClasses::Price(DeviceClass& c) const {
  c.price = PriceOf(book_, c.sample, hours_);
  c.power = PowerOf(book_, c.sample);
}

void DeviceClasses::SetPrices(const PriceBook& book, Time now) {
  book_ = book;
  hours_ = HoursAt(book_, now);
  shares_.clear();
  for (DeviceClass& c : classes_) Price(c);
}

PriceRate DeviceClasses::PriceOfShare(ClassId cpu_class, MilliCpu share) const {
  const auto [it, added] = shares_.try_emplace({cpu_class, share});
  if (added) it->second = PriceOfCpuShare(book_, classes_[cpu_class].sample, share, hours_);
  return it->second;
}

}  // namespace allot::scheduler
