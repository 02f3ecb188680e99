// Targets of requests, and what we say to a server with words that came from elsewhere.
#include <algorithm>

#include "common/base/text.h"
#include "common/http/blocking_client.h"
#include "common/http/parser.h"
#include "common/http/text.h"
#include "tests/fuzz/fuzz.h"

namespace allot::http {
namespace {

FUZZ(http_text) {
  fuzz::Cut cut(input);
  const std::string_view text = cut.Part(), name = cut.Part(), value = cut.Rest();

  Request request;
  if (ParseTarget(text, &request)) {
    HOLDS(IsValidUtf8(request.path));
    HOLDS(request.path.find('\0') == std::string::npos);
    for (const auto& [key, what] : request.query) HOLDS(IsValidUtf8(key) && IsValidUtf8(what));
  }

  std::string line;
  AppendHeader(&line, name, value);
  HOLDS(line.ends_with("\r\n"));
  HOLDS(line.find_first_of("\r\n") == line.size() - 2);

  // Whatever a forwarded request is made of, the server sees one head, with the body that we mean.
  ClientRequest ours{.method = "POST",
                     .target = std::string(text),
                     .headers = {{std::string(name), std::string(value)}},
                     .body = "body"};
  const std::string sent = RequestHead(ours, "localhost:80") + ours.body;
  HOLDS(std::count(sent.begin(), sent.end(), '\n') <= 8);
  RequestParser parser(1 << 20, 1 << 20);
  size_t consumed = 0;
  if (parser.Feed(sent, &consumed) == RequestParser::Result::kDone) {
    HOLDS(consumed == sent.size());
    const Request seen = parser.Take();
    HOLDS(seen.method == "POST");
    HOLDS(seen.body == "body");
  }

  const StatusOr<HostPort> place = ParseHostPort(text);
  if (!place.ok()) fuzz::HoldsOfError(place.status());
}

}  // namespace
}  // namespace allot::http
