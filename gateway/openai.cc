#include "gateway/openai.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "common/json/json.h"

namespace allot::gateway {
namespace {

constexpr size_t kDepthMax = 64;
constexpr int64_t kTokensMax = 10'000'000;
constexpr std::string_view kServerError = "server_error";

bool Refuse(ApiError* error, std::string_view param, std::string message) {
  error->status = 400;
  error->param = param;
  error->message = std::move(message);
  return false;
}

size_t BytesOfText(const json::value& value) {
  if (value.is_string()) return value.get_string().size();
  // Parts of a message, a list of prompts, or a list of token numbers.
  if (value.is_array()) {
    size_t bytes = 0;
    for (const json::value& item : value.get_array())
      bytes += item.is_int64() ? 4 : BytesOfText(item);
    return bytes;
  }
  if (value.is_object())
    if (const json::value* text = value.get_object().if_contains("text")) return BytesOfText(*text);
  return 0;
}

bool ParseTokensMax(const json::object& object, const char* name, CompletionRequest* out,
                    ApiError* error) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr || value->is_null()) return true;
  std::optional<int64_t> number;
  if (value->is_int64()) number = value->get_int64();
  if (!number.has_value() || *number < 0 || *number > kTokensMax)
    return Refuse(error, name,
                  fmt::format("{} must be a whole number from 0 to {}", name, kTokensMax));
  out->output_tokens_max = static_cast<uint32_t>(*number);
  return true;
}

bool ParsePrompt(const json::object& object, CompletionRequest* out, ApiError* error) {
  const json::value* prompt = object.if_contains("prompt");
  if (prompt == nullptr) return Refuse(error, "prompt", "you must provide a prompt parameter");
  if (!prompt->is_string() && !prompt->is_array())
    return Refuse(error, "prompt", "prompt must be a string or a list");
  out->prompt_tokens = static_cast<uint32_t>(BytesOfText(*prompt) / 4 + 1);
  return true;
}

bool ParseMessages(const json::object& object, CompletionRequest* out, ApiError* error) {
  const json::value* messages = object.if_contains("messages");
  if (messages == nullptr || !messages->is_array() || messages->get_array().empty())
    return Refuse(error, "messages", "messages must be a list of at least one message");
  size_t bytes = 0;
  for (const json::value& message : messages->get_array()) {
    if (!message.is_object())
      return Refuse(error, "messages", "every message must be an object with role and content");
    if (const json::value* content = message.get_object().if_contains("content"))
      bytes += BytesOfText(*content);
  }
  out->prompt_tokens = static_cast<uint32_t>(bytes / 4 + 1);
  return true;
}

}  // namespace

http::Response ToResponse(const ApiError& error) {
  const auto text_or_null = [](const std::string& text) {
    return text.empty() ? json::value(nullptr) : json::value(text);
  };
  json::object body;
  body["message"] = error.message;
  body["type"] = error.type;
  body["param"] = text_or_null(error.param);
  body["code"] = text_or_null(error.code);
  http::Response response;
  response.status = error.status;
  response.body = json::serialize(json::object{{"error", std::move(body)}});
  if (error.retry_after > Duration::zero()) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(error.retry_after);
    response.headers.emplace_back("Retry-After", std::to_string(seconds.count()));
  }
  if (error.status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
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

bool ParseCompletionRequest(std::string_view body, Endpoint endpoint, CompletionRequest* out,
                            ApiError* error) {
  // Small requests, the usual ones, need no allocation.
  unsigned char memory[4096];
  json::monotonic_resource storage(memory, sizeof memory);
  json::parse_options options;
  options.max_depth = kDepthMax;
  boost::system::error_code failed;
  const json::value document =
      json::parse(json::string_view(body.data(), body.size()), failed, &storage, options);
  if (failed)
    return Refuse(error, "", fmt::format("the body is not valid JSON: {}", failed.message()));
  if (!document.is_object()) return Refuse(error, "", "the body must be a JSON object");
  const json::object& object = document.get_object();

  const json::value* model = object.if_contains("model");
  if (model == nullptr || !model->is_string() || model->get_string().empty())
    return Refuse(error, "model", "you must provide a model parameter");
  out->model.assign(model->get_string().data(), model->get_string().size());

  if (const json::value* stream = object.if_contains("stream");
      stream != nullptr && !stream->is_null()) {
    if (!stream->is_bool()) return Refuse(error, "stream", "stream must be true or false");
    out->stream = stream->get_bool();
  }
  if (!ParseTokensMax(object, "max_tokens", out, error) ||
      !ParseTokensMax(object, "max_completion_tokens", out, error))
    return false;
  return endpoint == Endpoint::kCompletions ? ParsePrompt(object, out, error)
                                            : ParseMessages(object, out, error);
}

uint32_t CompletionTokens(std::string_view answer) {
  constexpr std::string_view kKey = "\"completion_tokens\"";
  constexpr size_t kTail = 4096;
  if (answer.size() > kTail) answer.remove_prefix(answer.size() - kTail);
  const size_t at = answer.rfind(kKey);
  if (at == std::string_view::npos) return 0;
  answer.remove_prefix(at + kKey.size());
  const size_t digit = answer.find_first_not_of(" \t\r\n:");
  if (digit == std::string_view::npos) return 0;
  answer.remove_prefix(digit);
  uint32_t tokens = 0;
  const auto [end, wrong] = std::from_chars(answer.data(), answer.data() + answer.size(), tokens);
  return wrong == std::errc() ? tokens : 0;
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
