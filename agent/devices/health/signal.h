// What vendors tell about the health of their devices, in one shape.
#pragma once

#include <string>

namespace allot::agent {

// A level or a counter as it is now (`value`), or something that happened once (`event`, and
// `value` is its code). What cannot be read is left out and never 0.
struct HealthSignal {
  std::string device;  // id of a device, or PCI address of the function behind several
  std::string name;    // "ecc_uncorrected", "xid"; README.md lists them
  double value = 0;
  bool event = false;
  bool operator==(const HealthSignal&) const = default;
};

}  // namespace allot::agent
