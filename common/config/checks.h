// Checks that several conversions share. Messages start with the path of the key, as in a JSON
// body's errors. Internal to common/config.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/limits.h"
#include "common/base/status.h"
#include "common/base/units.h"
#include "common/config/convert.h"

namespace allot::config {

// Linux refuses longer strings at exec (MAX_ARG_STRLEN), and more than this in all by default.
inline constexpr size_t kArgumentBytesMax = 131'071;
inline constexpr size_t kArgumentsBytesMax = 1'048'576;
inline constexpr size_t kVariablesMax = limits::kApiVariables.value;

// Processors and memory of what runs: some of both. Memory left out is its share of the node's.
Status TakeResources(const Resources& from, allot::Resources* out);

// What exec will take: a program, no NUL, lengths, names of variables without '='.
Status CheckCommand(const std::vector<std::string>& command);
Status CheckEnvironment(const std::map<std::string, std::string>& environment,
                        const std::vector<std::string>& command);
// A path on another machine has no "here" to be relative to.
Status CheckAbsolute(std::string_view path, const std::string& value);

StatusOr<allot::DeviceRequest> TakeDeviceRequest(std::string_view path, const DeviceRequest& from);

}  // namespace allot::config
