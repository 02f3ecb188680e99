// Quantities with their unit in the type: time, money, bytes, processor share.
//
// Time is microseconds since the Unix epoch, handed to the cores as an argument
// and never read by them; the shells keep it from running backwards. Money is
// whole micro-dollars, so sums are exact and the same on every machine.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <string>

namespace allot {

using Duration = std::chrono::microseconds;
struct SchedulerClock {  // A name for the time base only; it cannot be read.
  using rep = Duration::rep;
  using period = Duration::period;
  using duration = Duration;
  using time_point = std::chrono::time_point<SchedulerClock, Duration>;
};
using Time = SchedulerClock::time_point;
using namespace std::chrono_literals;

constexpr Time FromMicros(int64_t micros) { return Time(Duration(micros)); }
constexpr int64_t ToMicros(Time t) { return t.time_since_epoch().count(); }

// Micro-dollars. Saturation is not needed: 2^63 micro-dollars are nine trillion dollars.
struct Cost {
  int64_t micros = 0;
  constexpr auto operator<=>(const Cost&) const = default;
  constexpr Cost operator+(Cost o) const { return {micros + o.micros}; }
  constexpr Cost operator-(Cost o) const { return {micros - o.micros}; }
  constexpr Cost& operator+=(Cost o) { micros += o.micros; return *this; }
  static constexpr Cost FromDollars(double usd) {
    return {static_cast<int64_t>(usd * 1e6 + (usd < 0 ? -0.5 : 0.5))};
  }
  constexpr double dollars() const { return static_cast<double>(micros) / 1e6; }
};

// Micro-dollars per hour of something; CostOf rounds to the nearest micro-dollar.
struct PriceRate {
  int64_t micros_per_hour = 0;
  constexpr auto operator<=>(const PriceRate&) const = default;
  constexpr PriceRate operator+(PriceRate o) const { return {micros_per_hour + o.micros_per_hour}; }
  constexpr double dollars_per_hour() const { return static_cast<double>(micros_per_hour) / 1e6; }
};
constexpr Cost CostOf(PriceRate rate, Duration time) {
  constexpr int64_t kHour = 3'600'000'000;
  const auto product = static_cast<__int128>(rate.micros_per_hour) * time.count();
  return {static_cast<int64_t>((product + kHour / 2) / kHour)};
}

using Bytes = int64_t;
inline constexpr Bytes kKiB = 1024, kMiB = 1024 * kKiB, kGiB = 1024 * kMiB;

// Thousandths of a processor core.
using MilliCpu = int64_t;

// Power and energy are whole milliwatts and millijoules, so that sums of caps are exact.
using MilliWatt = int64_t;
using MilliJoule = int64_t;
constexpr MilliJoule EnergyOf(MilliWatt power, Duration time) {
  constexpr int64_t kSecond = 1'000'000;
  const auto product = static_cast<__int128>(power) * time.count();
  return static_cast<int64_t>((product + kSecond / 2) / kSecond);
}

// The most that is taken anywhere: what config accepts, links carry and the journal reads back.
// One place for all of them, because a record that was accepted and cannot be read again would keep
// the scheduler from starting. Beyond these, sums of times and durations could overflow: the years
// 317 and 5138.
inline constexpr Duration kDurationMax{10'000'000'000'000'000};
inline constexpr Time kTimeMax = FromMicros(100'000'000'000'000'000);
inline constexpr Bytes kBytesMax = Bytes{1} << 60;
inline constexpr MilliCpu kMilliCpusMax = 1'000'000'000;
inline constexpr MilliWatt kMilliWattsMax = 1'000'000'000'000;  // a gigawatt

std::string FormatDuration(Duration d);  // "1.5s", "250ms", "3m20s", "2h"
std::string FormatBytes(Bytes b);        // "512MiB", "1.5GiB"
std::string FormatCost(Cost c);          // "$0.001234"
std::string FormatPower(MilliWatt p);    // "350W", "12.5W", "1.2kW", "20MW"

}  // namespace allot
