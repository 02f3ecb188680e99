// Quantities as people and other programs write them, and the short forms of devices.
#include "common/base/units.h"
#include "common/config/bind.h"
#include "common/config/convert.h"
#include "tests/fuzz/fuzz.h"

namespace allot::config {
namespace {

void HoldsOfQuantity(const StatusOr<int64_t>& value, int64_t most) {
  if (!value.ok()) return fuzz::HoldsOfError(value.status(), 1024);
  HOLDS(*value >= 0);
  HOLDS(*value <= most);
}

FUZZ(units) {
  const StatusOr<int64_t> micros = ParseDurationMicros(input);
  HoldsOfQuantity(micros, kDurationMax.count());
  if (micros.ok()) {
    // What we say of a duration is a duration to us, and nearly that one: it is rounded for people,
    // to hours where it has days.
    const std::string shown = FormatDuration(Duration(*micros));
    const StatusOr<int64_t> again = ParseDurationMicros(shown);
    HOLDS_FOR(again.ok(), shown);
    const int64_t off = *again > *micros ? *again - *micros : *micros - *again;
    HOLDS_FOR(off <= *micros / 20, shown);
  }
  const StatusOr<int64_t> bytes = ParseBytes(input);
  HoldsOfQuantity(bytes, kBytesMax);
  if (bytes.ok() && *bytes >= 1024) {
    const std::string shown = FormatBytes(*bytes);
    const StatusOr<int64_t> again = ParseBytes(shown);
    HOLDS_FOR(again.ok(), shown);
    const int64_t off = *again > *bytes ? *again - *bytes : *bytes - *again;
    HOLDS_FOR(off <= *bytes / 100, shown);
  }
  HoldsOfQuantity(ParseMilliCpus(input), kMilliCpusMax);

  const StatusOr<allot::DeviceRequest> devices = ParseDeviceRequest(input);
  if (!devices.ok()) return fuzz::HoldsOfError(devices.status(), 2048);
  HOLDS(devices->count >= 1);
  HOLDS(!devices->min_memory || *devices->min_memory >= 0);
}

}  // namespace
}  // namespace allot::config
