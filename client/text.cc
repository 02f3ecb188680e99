#include "client/text.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "common/base/units.h"
#include "fmt/format.h"

namespace allot::client {

std::string Seconds(std::optional<double> seconds) {
  if (!seconds) return "-";
  // Finer than a tenth of a second matters only below a second.
  const double unit = *seconds < 1 ? 1e-3 : *seconds < 60 ? 0.1 : 1;
  const double rounded = std::round(*seconds / unit) * unit;
  return FormatDuration(Duration(std::llround(rounded * 1e6)));
}

std::string Money(std::optional<double> usd) {
  if (!usd) return "-";
  const double size = std::abs(*usd);
  if (size == 0) return "$0";
  if (size >= 1) return fmt::format("${:.2f}", *usd);
  if (size >= 0.01) return fmt::format("${:.4f}", *usd);
  // Three digits that mean something.
  const int decimals = static_cast<int>(std::ceil(-std::log10(size))) + 2;
  std::string text = fmt::format("${:.{}f}", *usd, std::min(decimals, 12));
  text.erase(text.find_last_not_of('0') + 1);
  return text;
}

std::string PerHour(std::optional<double> usd) {
  return usd ? fmt::format("${:.2f}/h", *usd) : "-";
}

namespace {

// Three digits, and a prefix that keeps them before the point.
std::string Prefixed(double value, std::string_view unit) {
  constexpr std::pair<double, std::string_view> kPrefixes[] = {
      {1e9, "G"}, {1e6, "M"}, {1e3, "k"}, {1, ""}};
  for (const auto& [size, prefix] : kPrefixes) {
    // What would round up to a thousand takes the next prefix.
    if (std::abs(value) >= size * 0.9995)
      return fmt::format("{:.3g}{}{}", value / size, prefix, unit);
  }
  return fmt::format("{:.3g}{}", value, unit);
}

}  // namespace

std::string Energy(std::optional<double> joules) { return joules ? Prefixed(*joules, "J") : "-"; }
std::string Power(std::optional<double> watts) { return watts ? Prefixed(*watts, "W") : "-"; }

std::string Memory(std::optional<int64_t> bytes) { return bytes ? FormatBytes(*bytes) : "-"; }

std::string Ratio(std::optional<double> ratio) {
  return ratio ? fmt::format("{:.0f}%", *ratio * 100) : "-";
}

std::string Number(std::optional<double> number) {
  return number ? fmt::format("{:g}", *number) : "-";
}

std::string Millis(std::optional<double> seconds) {
  return seconds ? fmt::format("{:.1f}ms", *seconds * 1e3) : "-";
}

std::string Emulated(bool emulated) { return emulated ? "emulated" : ""; }

std::string Devices(const std::vector<DeviceRef>& devices) {
  std::map<std::string, int> counts;
  for (const DeviceRef& d : devices) ++counts[d.model];
  std::string out;
  for (const auto& [model, count] : counts) {
    if (!out.empty()) out += ", ";
    out += count == 1 ? model : fmt::format("{}×{}", count, model);
  }
  return out;
}

std::string LeastIsolation(const std::vector<DeviceRef>& devices) {
  for (const char* level : {"shared", "none", "memory", "hard"})
    if (std::any_of(devices.begin(), devices.end(),
                    [level](const DeviceRef& d) { return d.isolation == level; }))
      return level;
  return "";
}

bool AnyEmulated(const std::vector<DeviceRef>& devices) {
  return std::any_of(devices.begin(), devices.end(), [](const DeviceRef& d) { return d.emulated; });
}

std::string Shell(const std::vector<std::string>& argv) {
  std::string out;
  for (const std::string& word : argv) {
    if (!out.empty()) out += ' ';
    const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [](unsigned char c) {
      return std::isalnum(c) ||
             (c != 0 &&
              std::string_view("_-./=:,+@%").find(static_cast<char>(c)) != std::string_view::npos);
    });
    if (plain) {
      out += word;
      continue;
    }
    out += '\'';
    for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    out += '\'';
  }
  return out;
}

}  // namespace allot::client
