#include "common/model/policy.h"

#include <algorithm>
#include <cmath>

namespace allot {
namespace {

constexpr Duration kHour = std::chrono::hours(1);
constexpr int64_t kHoursADay = 24;

// Whole hours since the epoch by the book's clock; also before it.
int64_t HoursSinceEpoch(const PriceBook& book, Time at) {
  const Duration local = at.time_since_epoch() + std::chrono::minutes(book.utc_offset_minutes);
  const int64_t hours = local / kHour;
  return local < kHour * hours ? hours - 1 : hours;
}

const PriceHours* HoursOf(const PriceBook& book, int64_t since_epoch) {
  const auto hour = static_cast<uint32_t>((since_epoch % kHoursADay + kHoursADay) % kHoursADay);
  for (const PriceHours& hours : book.hours) {
    const bool holds = hours.from < hours.to ? hours.from <= hour && hour < hours.to
                                             : hours.from <= hour || hour < hours.to;
    if (holds) return &hours;
  }
  return nullptr;
}

const PriceRow* RowOf(const PriceBook& book, const Device& device) {
  const auto row = std::find_if(book.rows.begin(), book.rows.end(), [&device](const PriceRow& r) {
    return GlobMatch(r.model, device.model);
  });
  return row == book.rows.end() ? nullptr : &*row;
}

PriceRate RateOf(const PriceBook& book, const PriceRow* row, const Device& device) {
  if (row != nullptr) return row->rate;
  switch (device.kind) {
    case DeviceKind::kGpu:
      return book.other_gpu;
    case DeviceKind::kAsic:
      return book.other_asic;
    case DeviceKind::kCpu:
      break;
  }
  return {book.other_cpu_core.micros_per_hour * std::max<int64_t>(device.cores, 1)};
}

int64_t DivideRounded(__int128 numerator, int64_t denominator) {
  return static_cast<int64_t>((numerator + denominator / 2) / denominator);
}

// A row's rate is taken as it stands, times the factor of the hour. Only a row that names watts has
// energy added, at the hour's price: rented hours include their power, and those who own the
// machines write what they draw.
PriceRate PriceOfWhole(const PriceBook& book, const Device& device, const PriceHours* hours) {
  const PriceRow* row = RowOf(book, device);
  PriceRate rate = RateOf(book, row, device);
  if (hours != nullptr && hours->factor != 1.0)
    rate.micros_per_hour = std::llround(static_cast<double>(rate.micros_per_hour) * hours->factor);
  if (row == nullptr || !row->watts) return rate;
  int64_t per_kwh = book.energy_micros_per_kwh;
  if (hours != nullptr) per_kwh = hours->energy_micros_per_kwh.value_or(per_kwh);
  const double energy = *row->watts / 1000.0 * static_cast<double>(per_kwh);
  return rate + PriceRate{std::llround(energy)};
}

}  // namespace

const PriceHours* HoursAt(const PriceBook& book, Time at) {
  return book.hours.empty() ? nullptr : HoursOf(book, HoursSinceEpoch(book, at));
}

std::optional<Time> HoursEnd(const PriceBook& book, Time at) {
  if (book.hours.empty()) return std::nullopt;
  const int64_t first = HoursSinceEpoch(book, at);
  for (int64_t hour = first + 1; hour < first + kHoursADay; ++hour) {
    if (HoursOf(book, hour) != HoursOf(book, first))
      return Time(kHour * hour - std::chrono::minutes(book.utc_offset_minutes));
  }
  return std::nullopt;  // The same all day.
}

// A device that has a price of its own (a contract's) has it whatever the book says, at any hour.
PriceRate PriceOf(const PriceBook& book, const Device& device, const PriceHours* hours) {
  if (device.price) return *device.price;
  const PriceRate whole = PriceOfWhole(book, device, hours);
  if (device.part_millis >= 1000) return whole;
  return {DivideRounded(static_cast<__int128>(whole.micros_per_hour) * device.part_millis, 1000)};
}

PriceRate PriceOfCpuShare(const PriceBook& book, const Device& device, MilliCpu share,
                          const PriceHours* hours) {
  const int64_t whole = std::max<int64_t>(device.cores, 1) * 1000;
  const auto price = static_cast<__int128>(PriceOf(book, device, hours).micros_per_hour);
  return {DivideRounded(price * share, whole)};
}

std::optional<MilliWatt> PowerOf(const PriceBook& book, const Device& device) {
  if (!device.endpoint.empty()) return 0;
  const PriceRow* row = RowOf(book, device);
  if (row != nullptr && row->watts) return std::llround(*row->watts * device.part_millis);
  return device.power_max;
}

}  // namespace allot
