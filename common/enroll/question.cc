#include "common/enroll/question.h"

#include "common/base/printable.h"
#include "common/json/json.h"

namespace allot::enroll {
namespace {

constexpr std::string_view kAdmitted = "admitted", kEnroll = "enroll";

StatusOr<json::object> ParseObject(std::string_view text) {
  boost::system::error_code error;
  json::value value = json::parse(text, error);
  if (error || !value.is_object()) return InvalidArgument("\"{}\" is no JSON object", Shown(text));
  return std::move(value.as_object());
}

std::string TextOf(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->as_string()) : "";
}

int64_t NumberOf(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_int64() ? value->as_int64() : 0;
}

}  // namespace

std::string ToText(const Question& question) {
  return json::serialize(
      json::object{{"ask", question.wish == Wish::kAdmitted ? kAdmitted : kEnroll},
                   {"invitation", Spell(question.invitation)},
                   {"key_file", question.key_file},
                   {"timeout_micros", static_cast<int64_t>(question.timeout.count())}});
}

StatusOr<Question> ParseQuestion(std::string_view text) {
  ASSIGN_OR_RETURN(const json::object object, ParseObject(text));
  const std::string ask = TextOf(object, "ask");
  if (ask != kAdmitted && ask != kEnroll)
    return InvalidArgument("ask is \"{}\"; it is {} or {}", Shown(ask), kAdmitted, kEnroll);
  Question question{.wish = ask == kAdmitted ? Wish::kAdmitted : Wish::kEnroll,
                    .key_file = TextOf(object, "key_file"),
                    .timeout = Duration(NumberOf(object, "timeout_micros"))};
  ASSIGN_OR_RETURN(question.invitation, ParseInvitation(TextOf(object, "invitation")));
  return question;
}

std::string ToText(const StatusOr<Answer>& answer) {
  if (!answer.ok())
    return json::serialize(
        json::object{{"error", json::object{{"code", static_cast<int64_t>(answer.status().code())},
                                            {"message", MessageOf(answer.status())}}}});
  json::array endpoints;
  for (const std::string& endpoint : answer->endpoints) endpoints.emplace_back(endpoint);
  return json::serialize(json::object{{"admitted", answer->admitted},
                                      {"endpoints", std::move(endpoints)},
                                      {"authority", answer->authority}});
}

StatusOr<Answer> ParseAnswer(std::string_view text) {
  ASSIGN_OR_RETURN(const json::object object, ParseObject(text));
  if (const json::value* error = object.if_contains("error"); error != nullptr) {
    if (!error->is_object()) return InvalidArgument("\"{}\" is no answer", Shown(text));
    const int64_t code = NumberOf(error->as_object(), "code");
    const bool known = code > 0 && code <= static_cast<int64_t>(StatusCode::kUnauthenticated);
    return Status(known ? static_cast<StatusCode>(code) : StatusCode::kUnknown,
                  TextOf(error->as_object(), "message"));
  }
  const json::value* admitted = object.if_contains("admitted");
  if (admitted == nullptr || !admitted->is_bool())
    return InvalidArgument("\"{}\" is no answer", Shown(text));
  Answer answer{
      .admitted = admitted->as_bool(), .endpoints = {}, .authority = TextOf(object, "authority")};
  if (const json::value* list = object.if_contains("endpoints");
      list != nullptr && list->is_array())
    for (const json::value& one : list->as_array())
      if (one.is_string()) answer.endpoints.emplace_back(one.as_string());
  return answer;
}

}  // namespace allot::enroll
