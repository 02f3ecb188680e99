// The router's answers as JSON: docs/api.md, "Gateway". Each shows what whoever asks may see.
#pragma once

#include <optional>
#include <string>

#include "common/auth/authorizer.h"
#include "scheduler/router/core.h"

namespace allot::gateway {

// OpenAI's list, and one of it.
std::string ModelsJson(const router::Core& core, const auth::Principal& asker);
std::optional<std::string> ModelJson(const router::Core& core, const std::string& model,
                                     const auth::Principal& asker);
std::string ExplanationJson(const router::RequestExplanation& explained);
std::string DeploymentsJson(const router::Core& core, const auth::Principal& asker);

// A request is seen by those who made it and those whose deployment it went to.
Status MaySee(const router::Core& core, const auth::Principal& asker,
              const router::RequestExplanation& explained);

// Null: there is none of that name.
const RouteDeployment* FindDeployment(const router::Core& core, std::string_view name);

// "2026-11-23T20:06:00.000000Z"
std::string Rfc3339(Time time);

}  // namespace allot::gateway
