#include <algorithm>
#include <array>
#include <limits>
#include <optional>

#include "common/base/printable.h"
#include "common/base/units.h"
#include "common/config/bind.h"

namespace allot::config {
namespace {

struct UnitName {
  std::string_view name;
  int64_t factor;
};

// A decimal number at the front of `text`, times 10^-decimals; `text` moves behind it.
struct Decimal {
  __int128 digits = 0;
  int64_t scale = 1;  // digits / scale is the number
};
bool TakeDecimal(std::string_view* text, Decimal* out) {
  size_t i = 0;
  int whole = 0, behind = 0;
  bool point = false;
  for (; i < text->size(); ++i) {
    const char c = (*text)[i];
    if (c == '.' && !point) {
      point = true;
    } else if (c >= '0' && c <= '9') {
      ++(point ? behind : whole);
      if (point && behind > 6) continue;  // A millionth of a unit is as fine as it gets.
      if (whole > 16) return false;       // So that no product passes 2^127.
      out->digits = out->digits * 10 + (c - '0');
      if (point) out->scale *= 10;
    } else {
      break;
    }
  }
  if (whole == 0 || (point && behind == 0)) return false;
  text->remove_prefix(i);
  return true;
}

// digits / scale * factor, if it is `most` or less; what is below one unit is cut.
bool Multiply(const Decimal& number, int64_t factor, int64_t most, int64_t* out) {
  const __int128 product = number.digits * factor / number.scale;
  if (product > most) return false;
  *out = static_cast<int64_t>(product);
  return true;
}

template <size_t N>
const UnitName* FindUnit(const std::array<UnitName, N>& units, std::string_view name) {
  for (const UnitName& unit : units) {
    if (unit.name == name) return &unit;
  }
  return nullptr;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// "1:30:00", "2-12:00:00", "3-12": hours, minutes and seconds as batch systems write them, days
// before a dash. Two parts alone are minutes and seconds to some and hours and minutes to others,
// so they are left to whoever reads the error. Empty: not of this form.
std::optional<int64_t> ClockSeconds(std::string_view text) {
  const size_t dash = text.find('-');
  const bool days = dash != std::string_view::npos;
  const size_t colons = static_cast<size_t>(std::count(text.begin(), text.end(), ':'));
  if (days ? colons > 2 : colons != 2) return std::nullopt;
  constexpr int64_t kWeights[] = {86400, 3600, 60, 1}, kMost[] = {9'999'999'999, 23, 59, 59};
  int64_t seconds = 0;
  size_t part = days ? 0 : 1, start = 0;
  for (const size_t first = part; start <= text.size(); ++part) {
    const size_t end = std::min(text.find_first_of("-:", start), text.size());
    const std::string_view digits = text.substr(start, end - start);
    const bool leads = part == first;
    if (end < text.size() && text[end] != (part == 0 ? '-' : ':')) return std::nullopt;
    if (digits.empty() || digits.size() > (leads ? 10u : 2u) ||
        !std::all_of(digits.begin(), digits.end(), IsDigit))
      return std::nullopt;
    int64_t value = 0;
    for (const char c : digits) value = value * 10 + (c - '0');
    if (!leads && value > kMost[part]) return std::nullopt;
    seconds += value * kWeights[part];
    start = end + 1;
  }
  return seconds;
}

}  // namespace

StatusOr<int64_t> ParseDurationMicros(std::string_view text) {
  static constexpr std::array<UnitName, 8> kUnits = {{{"us", 1},
                                                      {"\xC2\xB5s", 1},
                                                      {"ms", 1000},
                                                      {"s", 1'000'000},
                                                      {"m", 60'000'000},
                                                      {"h", 3'600'000'000},
                                                      {"d", 86'400'000'000},
                                                      {"w", 604'800'000'000}}};
  const auto wrong = [&] {
    return InvalidArgument("is \"{}\"; give a duration like 250ms, 1.5s, 10m or 2h", Shown(text));
  };
  if (text == "0") return 0;
  const auto too_long = [&] {
    return InvalidArgument("is \"{}\", which is too long; {} is the most", Shown(text),
                           FormatDuration(kDurationMax));
  };
  if (const std::optional<int64_t> seconds = ClockSeconds(text)) {
    if (*seconds > kDurationMax.count() / 1'000'000) return too_long();
    return *seconds * 1'000'000;
  }
  if (text.find(':') != std::string_view::npos) {
    return InvalidArgument("is \"{}\"; give a duration like 90s, 10m or 2h, or H:MM:SS",
                           Shown(text));
  }
  int64_t sum = 0, last_factor = std::numeric_limits<int64_t>::max();
  std::string_view rest = text;
  if (rest.empty()) return wrong();
  while (!rest.empty()) {  // "3m20s": units from large to small, each once.
    Decimal number;
    if (!TakeDecimal(&rest, &number)) return wrong();
    if (rest.empty()) {
      return InvalidArgument("is \"{}\", which has no unit; write {}s for seconds", Shown(text),
                             Shown(text));
    }
    const UnitName* unit = FindUnit(kUnits, rest.substr(0, rest.find_first_of("0123456789.")));
    int64_t part = 0;
    if (unit == nullptr || unit->factor >= last_factor) return wrong();
    if (!Multiply(number, unit->factor, kDurationMax.count(), &part) ||
        sum > kDurationMax.count() - part) {
      return too_long();
    }
    sum += part;
    last_factor = unit->factor;
    rest.remove_prefix(unit->name.size());
  }
  return sum;
}

StatusOr<int64_t> ParseBytes(std::string_view text) {
  // Without "i" they are powers of ten, as SI and Kubernetes have it; the "B" may be left out.
  static constexpr std::array<UnitName, 24> kUnits = {{{"", 1},
                                                       {"B", 1},
                                                       {"k", 1000},
                                                       {"K", 1000},
                                                       {"kB", 1000},
                                                       {"KB", 1000},
                                                       {"M", 1'000'000},
                                                       {"MB", 1'000'000},
                                                       {"G", 1'000'000'000},
                                                       {"GB", 1'000'000'000},
                                                       {"T", 1'000'000'000'000},
                                                       {"TB", 1'000'000'000'000},
                                                       {"P", 1'000'000'000'000'000},
                                                       {"PB", 1'000'000'000'000'000},
                                                       {"Ki", int64_t{1} << 10},
                                                       {"KiB", int64_t{1} << 10},
                                                       {"Mi", int64_t{1} << 20},
                                                       {"MiB", int64_t{1} << 20},
                                                       {"Gi", int64_t{1} << 30},
                                                       {"GiB", int64_t{1} << 30},
                                                       {"Ti", int64_t{1} << 40},
                                                       {"TiB", int64_t{1} << 40},
                                                       {"Pi", int64_t{1} << 50},
                                                       {"PiB", int64_t{1} << 50}}};
  // A bare number is bytes, as programs write it. One that is too small for any size in this
  // project is a person's, who meant gigabytes.
  constexpr int64_t kBareLeast = 1024;
  Decimal number;
  std::string_view rest = text;
  const bool is_number = TakeDecimal(&rest, &number);
  const UnitName* unit = is_number ? FindUnit(kUnits, rest) : nullptr;
  if (unit == nullptr) {
    return InvalidArgument("is \"{}\"; give a size like 512MiB or 16GiB", Shown(text));
  }
  if (rest.empty() && number.digits != 0 && number.digits / number.scale < kBareLeast) {
    return InvalidArgument("is \"{}\", which is so many bytes; write {}GiB or {}MiB (or {}B)",
                           Shown(text), Shown(text), Shown(text), Shown(text));
  }
  int64_t bytes = 0;
  if (!Multiply(number, unit->factor, kBytesMax, &bytes)) {
    return InvalidArgument("is \"{}\", which is too much; {} is the most", Shown(text),
                           FormatBytes(kBytesMax));
  }
  return bytes;
}

StatusOr<int64_t> ParseMilliCpus(std::string_view text) {
  Decimal number;
  std::string_view rest = text;
  if (!TakeDecimal(&rest, &number) || (!rest.empty() && rest != "m") ||
      (rest == "m" && number.scale != 1)) {
    return InvalidArgument("is \"{}\"; give processors like 2, 0.5 or 500m", Shown(text));
  }
  const int64_t factor = rest == "m" ? 1 : 1000;
  if (number.digits * factor % number.scale != 0) {
    return InvalidArgument("is \"{}\"; a thousandth of a processor is the smallest share",
                           Shown(text));
  }
  int64_t millis = 0;
  if (!Multiply(number, factor, kMilliCpusMax, &millis)) {
    return InvalidArgument("is \"{}\", which is too much; {} is the most", Shown(text),
                           kMilliCpusMax / 1000);
  }
  return millis;
}

}  // namespace allot::config
