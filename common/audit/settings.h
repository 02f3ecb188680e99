// From the config's `audit` to what a log is opened with.
#pragma once

#include <optional>
#include <string>

#include "common/audit/audit.h"
#include "common/proto/config.pb.h"

namespace allot::audit {

inline constexpr std::string_view kFileName = "audit.jsonl";  // in a state_dir

// None: it is switched off, or there is no place for it. `otherwise`: the file where none is named;
// empty: there is no such place.
StatusOr<std::optional<Log::Options>> ToOptions(const config::Audit& config,
                                                const std::string& otherwise);

}  // namespace allot::audit
