// One value against one field: is it of the field's type, in its unit, in its range. Messages speak
// of "NAME is …" and leave the place to the caller. Internal to common/config.
#pragma once

#include <string>

#include "common/base/status.h"
#include "common/config/schema.h"
#include "common/config/tree.h"

namespace allot::config {

// "\"16GBB\"", "7", "a list": for messages.
std::string Shown(const Node& node);
std::string ShownText(std::string_view text);  // quoted, cut to 60 bytes, nothing unprintable
// A bound of a rule as people write it: 3600000000 of UNIT_DURATION is "1h".
std::string FormatUnit(Unit unit, double value);

// What follows the name: "is 0; it must be between 1 and 128".
// An item of a list may be empty, and its length is not what length_max of the list is about.
StatusOr<std::string> StringValue(const Node& node, const Rule& rule, bool item = false);
StatusOr<bool> BoolValue(const Node& node);
// Also between `low` and `high`, the limits of the field's type.
StatusOr<int64_t> IntegerValue(const Node& node, const Rule& rule, int64_t low, int64_t high);
StatusOr<double> RealValue(const Node& node, const Rule& rule);

}  // namespace allot::config
