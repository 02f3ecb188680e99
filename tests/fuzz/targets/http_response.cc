// Answers of model servers and endpoints, which are other people's programs.
#include "common/http/parser.h"
#include "tests/fuzz/fuzz.h"

namespace allot::http {
namespace {

struct Outcome {
  int status = 0;
  std::string headers, body;
  ResponseParser::Result end = ResponseParser::Result::kNeedMore;
  bool whole = false;  // once the peer has closed
  size_t used = 0;     // bytes of the message
};

Outcome Read(std::string_view bytes, size_t step, bool head) {
  Outcome outcome;
  ResponseParser parser(head);
  std::string pending;
  bool told = false;
  for (size_t at = 0; at < bytes.size() && outcome.end == ResponseParser::Result::kNeedMore;
       at += step) {
    pending += bytes.substr(at, step);
    size_t consumed = 0;
    outcome.end = parser.Feed(pending, &consumed);
    HOLDS(consumed <= pending.size());
    pending.erase(0, consumed);
    outcome.used += consumed;
    if (outcome.end == ResponseParser::Result::kMalformed) return outcome;
    if (parser.head_done() && !told) {
      told = true;
      outcome.status = parser.status();
      for (const auto& [name, value] : parser.TakeHeaders())
        outcome.headers += name + ": " + value + "\n";
    }
    const std::string body = parser.TakeBody();
    HOLDS(parser.head_done() || body.empty());
    outcome.body += body;
    HOLDS(outcome.body.size() <= outcome.used);
  }
  outcome.whole = outcome.end == ResponseParser::Result::kDone || parser.FinishAtEof();
  if (outcome.whole) {
    HOLDS(outcome.status >= 200 && outcome.status <= 999);
    if (head) HOLDS(outcome.body.empty());
    parser.keep_alive();
  }
  return outcome;
}

FUZZ(http_response) {
  fuzz::Cut cut(input);
  const bool head = cut.Byte() % 2 == 1;
  const size_t step = 1 + cut.Byte();
  const Outcome whole = Read(cut.Rest(), std::max<size_t>(cut.Rest().size(), 1), head);
  const Outcome pieces = Read(cut.Rest(), step, head);
  if (whole.end == ResponseParser::Result::kMalformed ||
      pieces.end == ResponseParser::Result::kMalformed) {
    // What is no answer may be refused before the rest of it has come, or not.
    HOLDS(whole.end != ResponseParser::Result::kDone &&
          pieces.end != ResponseParser::Result::kDone);
    return;
  }
  HOLDS(whole.end == pieces.end);
  HOLDS(whole.status == pieces.status);
  HOLDS(whole.headers == pieces.headers);
  HOLDS(whole.body == pieces.body);
  HOLDS(whole.whole == pieces.whole);
}

}  // namespace
}  // namespace allot::http
