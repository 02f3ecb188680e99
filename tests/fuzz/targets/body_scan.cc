// Bodies of completion requests: what the gateway reads of them, and the one name that an agent
// changes in them for an endpoint.
#include "gateway/body_scan.h"
#include "agent/shell/endpoint_body.h"
#include "common/json/json.h"
#include "gateway/openai.h"
#include "tests/fuzz/fuzz.h"

namespace allot::gateway {
namespace {

FUZZ(body_scan) {
  BodyFacts facts;
  std::string why;
  const bool good = ScanBody(input, &facts, &why);
  HOLDS(good == why.empty());
  HOLDS(fuzz::IsPlain(why, false) && why.size() < 200);
  HOLDS(facts.text_bytes <= 4 * input.size());

  CompletionRequest request;
  ApiError error;
  if (ParseCompletionRequest(input, &request, &error)) {
    HOLDS(good);
    HOLDS(request.model == *facts.model);
  } else {
    HOLDS(error.status >= 400 && error.status < 500);
    HOLDS(fuzz::IsPlain(error.message, true) && error.message.size() < 4096);
    json::error_code unreadable;
    json::parse(ToResponse(error).body, unreadable);
    HOLDS(!unreadable);
  }

  // A reader of the strict kind is never told otherwise: model servers are such.
  json::error_code unreadable;
  const json::value value = json::parse({input.data(), input.size()}, unreadable);
  const bool strict = !unreadable && value.is_object();
  const json::value* const model = strict ? value.get_object().if_contains("model") : nullptr;
  if (strict) {
    HOLDS_FOR(good, why);
    const bool named = model != nullptr && model->is_string();
    HOLDS(facts.model.has_value() == named);
    if (named)
      HOLDS(*facts.model ==
            std::string_view(model->get_string().data(), model->get_string().size()));
  }

  // The same for what leaves for an endpoint: its model, and all else as it came.
  constexpr std::string_view kOther = "a\"b/c";
  const std::string changed = agent::WithModel(std::string(input), kOther);
  if (!strict) return;
  const json::value after = json::parse({changed.data(), changed.size()}, unreadable);
  HOLDS(!unreadable);
  json::value expected = value;
  if (model != nullptr && model->is_string()) expected.as_object()["model"] = kOther;
  HOLDS(json::serialize(after) == json::serialize(expected));  // what is no number is itself
}

}  // namespace
}  // namespace allot::gateway
