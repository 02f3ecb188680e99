#include "common/model/policy.h"

#include <algorithm>
#include <cmath>

namespace allot {
namespace {

int64_t DivideRounded(__int128 numerator, int64_t denominator) {
  return static_cast<int64_t>((numerator + denominator / 2) / denominator);
}

// A row's rate is taken as it stands. Only a row that names watts has energy added: rented hours
// include their power, and those who own the machines write what they draw.
PriceRate PriceOfWhole(const PriceBook& book, const Device& device) {
  for (const PriceRow& row : book.rows) {
    if (!GlobMatch(row.model, device.model)) continue;
    if (!row.watts) return row.rate;
    const double energy = *row.watts / 1000.0 * static_cast<double>(book.energy_micros_per_kwh);
    return row.rate + PriceRate{std::llround(energy)};
  }
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

}  // namespace

// A device that has a price of its own (a contract's) has it whatever the book says.
PriceRate PriceOf(const PriceBook& book, const Device& device) {
  if (device.price) return *device.price;
  const PriceRate whole = PriceOfWhole(book, device);
  if (device.part_millis >= 1000) return whole;
  return {DivideRounded(static_cast<__int128>(whole.micros_per_hour) * device.part_millis, 1000)};
}

PriceRate PriceOfCpuShare(const PriceBook& book, const Device& device, MilliCpu share) {
  const int64_t whole = std::max<int64_t>(device.cores, 1) * 1000;
  const auto price = static_cast<__int128>(PriceOf(book, device).micros_per_hour);
  return {DivideRounded(price * share, whole)};
}

}  // namespace allot
