// The one table from absl::Status to HTTP (docs/api.md).
#include "common/base/text.h"
#include "common/http/server.h"
#include "common/json/json.h"

namespace allot::http {
namespace {

struct Row {
  StatusCode code;
  int http;
  std::string_view name;
};

constexpr Row kRows[] = {
    {StatusCode::kOk, 200, "ok"},
    {StatusCode::kInvalidArgument, 400, "invalid_argument"},
    {StatusCode::kOutOfRange, 400, "invalid_argument"},
    {StatusCode::kUnauthenticated, 401, "unauthenticated"},
    {StatusCode::kPermissionDenied, 403, "permission_denied"},
    {StatusCode::kNotFound, 404, "not_found"},
    {StatusCode::kAlreadyExists, 409, "already_exists"},
    {StatusCode::kAborted, 409, "aborted"},
    {StatusCode::kFailedPrecondition, 412, "failed_precondition"},
    {StatusCode::kResourceExhausted, 429, "resource_exhausted"},
    {StatusCode::kCancelled, 499, "cancelled"},
    {StatusCode::kUnimplemented, 501, "unimplemented"},
    {StatusCode::kUnavailable, 503, "unavailable"},
    {StatusCode::kDeadlineExceeded, 504, "deadline_exceeded"},
    {StatusCode::kInternal, 500, "internal"},
};

const Row& RowOf(const Status& status) {
  for (const Row& row : kRows) {
    if (row.code == status.code()) return row;
  }
  return kRows[std::size(kRows) - 1];
}

}  // namespace

int StatusToHttp(const Status& status) { return RowOf(status).http; }

Response ErrorResponse(const Status& status) {
  const Row& row = RowOf(status);
  Response response;
  response.status = row.http;
  if (row.http == 429 || row.http == 503) response.headers.emplace_back("Retry-After", "1");
  if (row.http == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  const std::string message = ReplaceInvalidUtf8(MessageOf(status));
  response.body = json::serialize(
      json::object{{"error", {{"code", std::string(row.name)}, {"message", message}}}});
  return response;
}

}  // namespace allot::http
