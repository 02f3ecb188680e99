// What model servers answer: streams of events cut anywhere, and what is read of tokens in them.
#include "agent/shell/endpoint_body.h"
#include "gateway/openai.h"
#include "tests/fuzz/fuzz.h"

namespace allot::gateway {
namespace {

FUZZ(answers) {
  fuzz::Cut cut(input);
  const size_t step = 1 + cut.Byte();
  const std::string_view answer = cut.Rest();

  EventCounter whole, pieces;
  agent::UsageReader reader, reader_of_pieces;
  whole.Feed(answer);
  for (size_t at = 0; at < answer.size(); at += step) pieces.Feed(answer.substr(at, step));
  HOLDS(whole.events() == pieces.events());
  HOLDS(whole.events() <= answer.size() / 6);  // "data:" and the end of a line

  // However an answer is cut, what it tells of tokens is the same, as long as it fits in what is
  // kept.
  reader.Add(answer);
  for (size_t at = 0; at < answer.size(); at += step) reader_of_pieces.Add(answer.substr(at, step));
  if (answer.size() < 8 << 10) HOLDS(reader.Find() == reader_of_pieces.Find());

  const size_t end = WholeEvents(answer);
  HOLDS(end <= answer.size());
  HOLDS(WholeEvents(answer.substr(0, end)) == end);
  HOLDS(end == 0 || answer[end - 1] == '\n');

  const std::string_view data = FirstData(answer);
  if (!data.empty()) {
    HOLDS(data.data() >= answer.data() &&
          data.data() + data.size() <= answer.data() + answer.size());
    HOLDS(data.find('\n') == std::string_view::npos);
  }
  const Usage usage = UsageOf(answer);
  if (answer.size() > kUsageTail) {
    const Usage of_tail = UsageOf(answer.substr(answer.size() - kUsageTail));
    HOLDS(usage.prompt_tokens == of_tail.prompt_tokens &&
          usage.completion_tokens == of_tail.completion_tokens);
  }
  if (IsError(answer)) HOLDS(answer.find('{') != std::string_view::npos);
  IsNothing(answer);
  IsEventStream(answer);
}

}  // namespace
}  // namespace allot::gateway
