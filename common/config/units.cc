#include <array>
#include <limits>

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

std::string Shown(std::string_view text) {
  return text.size() <= 60 ? std::string(text) : std::string(text.substr(0, 57)) + "...";
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
      return InvalidArgument("is \"{}\", which is too long; {} is the most", Shown(text),
                             FormatDuration(kDurationMax));
    }
    sum += part;
    last_factor = unit->factor;
    rest.remove_prefix(unit->name.size());
  }
  return sum;
}

StatusOr<int64_t> ParseBytes(std::string_view text) {
  static constexpr std::array<UnitName, 13> kUnits = {{{"", 1},
                                                       {"B", 1},
                                                       {"kB", 1000},
                                                       {"KB", 1000},
                                                       {"MB", 1'000'000},
                                                       {"GB", 1'000'000'000},
                                                       {"TB", 1'000'000'000'000},
                                                       {"PB", 1'000'000'000'000'000},
                                                       {"KiB", int64_t{1} << 10},
                                                       {"MiB", int64_t{1} << 20},
                                                       {"GiB", int64_t{1} << 30},
                                                       {"TiB", int64_t{1} << 40},
                                                       {"PiB", int64_t{1} << 50}}};
  Decimal number;
  std::string_view rest = text;
  const bool is_number = TakeDecimal(&rest, &number);
  const UnitName* unit = is_number ? FindUnit(kUnits, rest) : nullptr;
  if (unit == nullptr) {
    return InvalidArgument("is \"{}\"; give a size like 512MiB or 16GiB", Shown(text));
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
