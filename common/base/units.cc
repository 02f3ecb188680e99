#include "common/base/units.h"

#include <array>
#include <cstdlib>
#include <string_view>

#include "fmt/format.h"

namespace allot {
namespace {

// Magnitude without the trap of negating the smallest number.
uint64_t Magnitude(int64_t value) {
  return value < 0 ? uint64_t{0} - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
}

// value / unit with at most `decimals` digits behind the point (cut, not rounded, so that 999.9 ms
// never reads "1000ms"), without trailing zeros.
std::string Fraction(uint64_t value, uint64_t unit, int decimals) {
  std::string text = fmt::format("{}", value / unit);
  uint64_t rest = value % unit;
  std::string digits;
  for (int i = 0; i < decimals && rest != 0; ++i) {
    rest *= 10;
    digits += static_cast<char>('0' + rest / unit);
    rest %= unit;
  }
  while (digits.ends_with('0')) digits.pop_back();
  return digits.empty() ? text : text + "." + digits;
}

}  // namespace

std::string FormatDuration(Duration d) {
  constexpr uint64_t kMs = 1000, kSecond = 1000 * kMs, kMinute = 60 * kSecond, kHour = 60 * kMinute,
                     kDay = 24 * kHour;
  const std::string sign = d.count() < 0 ? "-" : "";
  const uint64_t us = Magnitude(d.count());
  if (us == 0) return "0s";
  if (us < kMs) return fmt::format("{}{}us", sign, us);
  if (us < kSecond) return sign + Fraction(us, kMs, 3) + "ms";
  if (us < kMinute) return sign + Fraction(us, kSecond, 3) + "s";

  // Two units are enough for a reader: 3m20s, 2h, 1d6h.
  const auto pair = [&](uint64_t unit, char name, uint64_t smaller, char smaller_name) {
    const uint64_t rest = us % unit / smaller;
    return rest == 0 ? fmt::format("{}{}{}", sign, us / unit, name)
                     : fmt::format("{}{}{}{}{}", sign, us / unit, name, rest, smaller_name);
  };
  if (us < kHour) return pair(kMinute, 'm', kSecond, 's');
  if (us < kDay) return pair(kHour, 'h', kMinute, 'm');
  return pair(kDay, 'd', kHour, 'h');
}

std::string FormatBytes(Bytes b) {
  constexpr std::array<std::string_view, 6> kNames = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  const uint64_t bytes = Magnitude(b);
  size_t i = 0;
  uint64_t unit = 1;
  while (i + 1 < kNames.size() && bytes / 1024 >= unit) unit *= 1024, ++i;
  return fmt::format("{}{}{}", b < 0 ? "-" : "", Fraction(bytes, unit, 2), kNames[i]);
}

std::string FormatCost(Cost c) {
  const uint64_t micros = Magnitude(c.micros);
  std::string text =
      fmt::format("{}${}.{:06}", c.micros < 0 ? "-" : "", micros / 1'000'000, micros % 1'000'000);
  for (int i = 0; i < 4 && text.ends_with('0'); ++i) text.pop_back();  // Cents always stay.
  return text;
}

std::string FormatPower(MilliWatt p) {
  constexpr std::array<std::pair<uint64_t, std::string_view>, 4> kUnits = {
      {{1'000'000'000'000, "GW"}, {1'000'000'000, "MW"}, {1'000'000, "kW"}, {1'000, "W"}}};
  const uint64_t power = Magnitude(p);
  const std::string_view sign = p < 0 ? "-" : "";
  for (const auto& [unit, name] : kUnits)
    if (power >= unit) return fmt::format("{}{}{}", sign, Fraction(power, unit, 2), name);
  return power == 0 ? "0W" : fmt::format("{}{}mW", sign, power);
}

}  // namespace allot
