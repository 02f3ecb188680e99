// The router's answers as JSON: docs/api.md, "Gateway".
#pragma once

#include <optional>
#include <string>

#include "scheduler/router/core.h"

namespace allot::gateway {

std::string ModelsJson(const router::Core& core);
std::optional<std::string> ModelJson(const router::Core& core,
                                     const std::string& model);  // OpenAI's list
std::string ExplanationJson(const router::RequestExplanation& explained);
std::string DeploymentsJson(const router::Core& core);

// "2026-11-23T20:06:00.000000Z"
std::string Rfc3339(Time time);

}  // namespace allot::gateway
