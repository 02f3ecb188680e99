#include "common/base/utc.h"

#include <chrono>

#include <fmt/format.h>

namespace allot {
namespace {

// The digits at the front of `text`, `count` of them, which are taken off it.
std::optional<unsigned> Digits(std::string_view* text, size_t count) {
  if (text->size() < count) return std::nullopt;
  unsigned value = 0;
  for (const char c : text->substr(0, count)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  text->remove_prefix(count);
  return value;
}

bool Skip(std::string_view* text, char c) {
  if (!text->starts_with(c)) return false;
  text->remove_prefix(1);
  return true;
}

}  // namespace

std::string FormatUtc(Time time) {
  const std::chrono::sys_seconds seconds(
      std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()));
  const auto day = std::chrono::floor<std::chrono::days>(seconds);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(seconds - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", int(date.year()),
                     unsigned(date.month()), unsigned(date.day()), clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count());
}

std::optional<Time> ParseUtc(std::string_view text) {
  const auto year = Digits(&text, 4);
  if (!year || !Skip(&text, '-')) return std::nullopt;
  const auto month = Digits(&text, 2);
  if (!month || !Skip(&text, '-')) return std::nullopt;
  const auto day = Digits(&text, 2);
  if (!day) return std::nullopt;
  const std::chrono::year_month_day date(std::chrono::year(static_cast<int>(*year)),
                                         std::chrono::month(*month), std::chrono::day(*day));
  if (!date.ok()) return std::nullopt;
  Duration time = std::chrono::sys_days(date).time_since_epoch();
  if (!text.empty()) {
    if (!Skip(&text, 'T')) return std::nullopt;
    const auto hour = Digits(&text, 2);
    if (!hour || *hour > 23 || !Skip(&text, ':')) return std::nullopt;
    const auto minute = Digits(&text, 2);
    if (!minute || *minute > 59 || !Skip(&text, ':')) return std::nullopt;
    const auto second = Digits(&text, 2);
    if (!second || *second > 59 || text != "Z") return std::nullopt;
    time +=
        std::chrono::hours(*hour) + std::chrono::minutes(*minute) + std::chrono::seconds(*second);
  }
  return Time(time);
}

}  // namespace allot
