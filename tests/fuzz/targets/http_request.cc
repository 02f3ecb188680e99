// Heads, bodies and chunks of requests, from anyone who can connect.
#include "common/http/parser.h"
#include "common/http/text.h"
#include "tests/fuzz/fuzz.h"

namespace allot::http {
namespace {

struct Outcome {
  std::string requests;  // all that was read
  RequestParser::Result end = RequestParser::Result::kNeedMore;
  bool operator==(const Outcome&) const = default;
};

void HoldsOfRequest(const Request& request, size_t head_max, size_t body_max) {
  HOLDS(!request.method.empty());
  HOLDS(request.body.size() <= body_max);
  size_t head = 0;
  int lengths = 0, encodings = 0;
  for (const auto& [name, value] : request.headers) {
    head += name.size() + value.size();
    for (const char c : name) HOLDS(c > ' ' && c != ':' && c != 0x7F && !(c >= 'A' && c <= 'Z'));
    HOLDS(value.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos);
    lengths += name == "content-length";
    encodings += name == "transfer-encoding";
  }
  HOLDS(head <= head_max);
  // Where the body ends is beyond doubt: nobody between us and the client can see another end.
  HOLDS(encodings + (lengths > 0) <= 1);
}

// As a connection reads: pieces of `step` bytes, what was not consumed comes again.
Outcome Read(std::string_view bytes, size_t step, size_t head_max, size_t body_max) {
  Outcome outcome;
  RequestParser parser(head_max, body_max);
  std::string pending;
  for (size_t at = 0; at < bytes.size(); at += step) {
    pending += bytes.substr(at, step);
    while (!pending.empty()) {
      size_t consumed = 0;
      outcome.end = parser.Feed(pending, &consumed);
      HOLDS(consumed <= pending.size());
      pending.erase(0, consumed);
      if (outcome.end == RequestParser::Result::kNeedMore) {
        HOLDS(pending.size() <= head_max);
        break;
      }
      if (outcome.end != RequestParser::Result::kDone) return outcome;
      HOLDS(consumed > 0);
      const std::string target = parser.target();
      const Request request = parser.Take();
      HoldsOfRequest(request, head_max, body_max);
      outcome.requests += request.method + " " + target + "\n";
      for (const auto& [name, value] : request.headers)
        outcome.requests += name + ": " + value + "\n";
      outcome.requests += request.body + "\n\n";
    }
  }
  return outcome;
}

FUZZ(http_request) {
  fuzz::Cut cut(input);
  const size_t head_max = 64 + 8 * size_t{cut.Byte()}, body_max = 4 * size_t{cut.Byte()};
  const size_t step = 1 + cut.Byte();
  const Outcome whole =
      Read(cut.Rest(), std::max<size_t>(cut.Rest().size(), 1), head_max, body_max);
  const Outcome pieces = Read(cut.Rest(), step, head_max, body_max);
  // How the network cuts a request says nothing about it: what is whole is read the same. What is
  // no request may be refused before the rest of it has come or not; and near the limit of a head
  // it may depend on the cut whether blanks count that are not kept.
  const auto good = [](RequestParser::Result end) {
    return end == RequestParser::Result::kNeedMore || end == RequestParser::Result::kDone;
  };
  if (good(whole.end) && good(pieces.end)) {
    HOLDS(whole.end == pieces.end);
    HOLDS(whole.requests == pieces.requests);
    return;
  }
  HOLDS(whole.requests.starts_with(pieces.requests) || pieces.requests.starts_with(whole.requests));
  const auto large = RequestParser::Result::kHeadTooLarge;
  if (whole.end == large || pieces.end == large) return;
  HOLDS(whole.end != RequestParser::Result::kDone && pieces.end != RequestParser::Result::kDone);
  HOLDS(whole.requests == pieces.requests);
}

}  // namespace
}  // namespace allot::http
