#include "gateway/openai.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "common/base/text.h"
#include "common/http/text.h"
#include "common/json/json.h"
#include "gateway/body_scan.h"

namespace allot::gateway {
namespace {

constexpr std::string_view kServerError = "server_error";
// Longer ones are no errors; they are not read.
constexpr size_t kErrorMax = 64 << 10;

bool Refuse(ApiError* error, std::string_view param, std::string message) {
  error->status = 400;
  error->param = param;
  error->message = std::move(message);
  return false;
}

json::object ToJson(const ApiError& error) {
  const auto text_or_null = [](const std::string& text) {
    return text.empty() ? json::value(nullptr) : json::value(text);
  };
  json::object body;
  body["message"] = ReplaceInvalidUtf8(error.message);
  body["type"] = error.type;
  body["param"] = text_or_null(error.param);
  body["code"] = text_or_null(error.code);
  return {{"error", std::move(body)}};
}

std::optional<uint32_t> NumberAfter(std::string_view text, std::string_view key) {
  const size_t at = text.rfind(key);
  if (at == std::string_view::npos) return std::nullopt;
  text.remove_prefix(at + key.size());
  const size_t digit = text.find_first_not_of(" \t\r\n:");
  if (digit == std::string_view::npos) return std::nullopt;
  text.remove_prefix(digit);
  uint32_t number = 0;
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (wrong != std::errc()) return std::nullopt;
  return number;
}

}  // namespace

bool WorthSendingAgain(int status) {
  return status == 408 || status == 409 || status == 425 || status == 429 ||
         (status >= 500 && status != 501 && status != 504);
}

http::Response ToResponse(const ApiError& error) {
  http::Response response;
  response.status = error.status;
  response.body = json::serialize(ToJson(error));
  if (error.retry_after > Duration::zero()) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(error.retry_after);
    response.headers.emplace_back("Retry-After", std::to_string(seconds.count()));
  }
  if (error.status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  const bool again = error.again.value_or(WorthSendingAgain(error.status));
  response.headers.emplace_back("X-Should-Retry", again ? "true" : "false");
  return response;
}

ApiError FromStatus(const Status& status) {
  ApiError error;
  error.status = http::StatusToHttp(status);
  error.message = MessageOf(status);
  if (error.status >= 500) error.type = kServerError;
  if (error.status == 401) error.code = "invalid_api_key";
  if (error.status == 403) error.code = "permission_denied";
  return error;
}

ApiError FromReject(const router::Reject& reject) {
  using router::RejectReason;
  ApiError error;
  error.message = reject.message;
  error.type = kServerError;
  error.code = router::ToString(reject.reason);
  error.retry_after = reject.retry_after;
  error.again = reject.again;
  switch (reject.reason) {
    case RejectReason::kUnknownModel:
      error.status = 404;
      error.type = "invalid_request_error";
      error.param = "model";
      error.code = "model_not_found";
      break;
    case RejectReason::kQueueFull:
      error.status = 429;
      error.type = "rate_limit_error";
      break;
    case RejectReason::kQueueTimeout:
    case RejectReason::kNoReplica:
      error.status = 503;
      break;
    case RejectReason::kDeadline:
      error.status = 504;
      break;
    case RejectReason::kReplicaFailed:
      error.status = 502;
      break;
  }
  return error;
}

bool ParseCompletionRequest(std::string_view body, CompletionRequest* out, ApiError* error) {
  BodyFacts facts;
  std::string why;
  if (!ScanBody(body, &facts, &why))
    return Refuse(error, "", fmt::format("the body is not a JSON object: {}", why));
  if (!facts.model.has_value() || facts.model->empty())
    return Refuse(error, "model", "you must provide a model parameter");
  out->model = *std::move(facts.model);
  out->stream = facts.stream;
  out->output_tokens_max = facts.output_tokens_max;
  out->prompt_tokens =
      static_cast<uint32_t>(std::min<size_t>(facts.text_bytes / 4, UINT32_MAX - 1) + 1);
  return true;
}

Usage UsageOf(std::string_view answer) {
  if (answer.size() > kUsageTail) answer.remove_prefix(answer.size() - kUsageTail);
  return {NumberAfter(answer, "\"prompt_tokens\""), NumberAfter(answer, "\"completion_tokens\"")};
}

bool IsNothing(std::string_view answer) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t begin = answer.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return true;
  if (const size_t choices = answer.find("\"choices\""); choices != std::string_view::npos) {
    const size_t colon = answer.find_first_not_of(kSpace, choices + 9);
    if (colon == std::string_view::npos || answer[colon] != ':') return false;
    const size_t open = answer.find_first_not_of(kSpace, colon + 1);
    if (open == std::string_view::npos || answer[open] != '[') return false;
    const size_t close = answer.find_first_not_of(kSpace, open + 1);
    return close != std::string_view::npos && answer[close] == ']';
  }
  if (answer.size() > 64) return false;
  const std::string_view text = answer.substr(begin, answer.find_last_not_of(kSpace) + 1 - begin);
  return text == "{}" || text == "null" || text == "[]" || text == "\"\"";
}

bool IsError(std::string_view answer) {
  if (answer.size() > kErrorMax || answer.find("\"error\"") == std::string_view::npos) return false;
  json::error_code unreadable;
  const json::value value = json::parse(answer, unreadable);
  if (unreadable || !value.is_object()) return false;
  const json::object& object = value.get_object();
  const json::value* const error = object.if_contains("error");
  if (error == nullptr || error->is_null() || error->is_bool()) return false;
  for (const char* asked : {"choices", "data", "output", "content", "results"}) {
    const json::value* const found = object.if_contains(asked);
    if (found != nullptr && found->is_array() && !found->get_array().empty()) return false;
  }
  return true;
}

std::string_view FirstData(std::string_view stream) {
  for (size_t at = 0; at < stream.size();) {
    const size_t end = stream.find('\n', at);
    if (end == std::string_view::npos) break;
    std::string_view line = stream.substr(at, end - at);
    if (line.ends_with('\r')) line.remove_suffix(1);
    at = end + 1;
    if (!line.starts_with("data:")) continue;
    line.remove_prefix(5);
    return line.starts_with(' ') ? line.substr(1) : line;
  }
  return {};
}

std::string ErrorEvent(const ApiError& error) {
  return fmt::format("data: {}\n\n", json::serialize(ToJson(error)));
}

size_t WholeEvents(std::string_view stream) {
  size_t end = 0;
  if (const size_t at = stream.rfind("\n\n"); at != std::string_view::npos) end = at + 2;
  if (const size_t at = stream.rfind("\r\n\r\n"); at != std::string_view::npos)
    end = std::max(end, at + 4);
  return end;
}

bool IsEventStream(std::string_view content_type) {
  constexpr std::string_view kType = "text/event-stream";
  return content_type.size() >= kType.size() &&
         http::EqualsIgnoreCase(content_type.substr(0, kType.size()), kType);
}

void EventCounter::EndLine() {
  const std::string_view line(line_, length_);
  length_ = 0;
  if (!line.starts_with("data:")) return;
  const size_t text = line.find_first_not_of(' ', 5);
  if (text != std::string_view::npos && line.substr(text).starts_with("[DONE]")) return;
  ++events_;
}

void EventCounter::Feed(std::string_view piece) {
  while (!piece.empty()) {
    const size_t end = std::min(piece.find('\n'), piece.size());
    const size_t kept = std::min<size_t>(end, sizeof line_ - length_);
    std::copy_n(piece.data(), kept, line_ + length_);
    length_ += static_cast<uint32_t>(kept);
    if (end == piece.size()) return;
    EndLine();
    piece.remove_prefix(end + 1);
  }
}

}  // namespace allot::gateway
