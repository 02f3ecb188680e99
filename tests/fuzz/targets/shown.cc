// Other people's text on its way to a terminal or into a log.
#include "client/printable.h"
#include "common/base/text.h"
#include "scheduler/shell/record_log.h"
#include "tests/fuzz/fuzz.h"

namespace allot {
namespace {

FUZZ(shown) {
  const std::string page = client::Printable(input), line = client::OneLine(input);
  HOLDS(fuzz::IsPlain(page, true) && IsValidUtf8(page));
  HOLDS(fuzz::IsPlain(line, false) && IsValidUtf8(line));
  HOLDS(client::Printable(page) == page);
  HOLDS(client::OneLine(line) == line);
  HOLDS(line.size() <= 6 * input.size());
  if (IsValidUtf8(input) && fuzz::IsPlain(input, true)) HOLDS(page.size() >= input.size());

  const std::string quoted = scheduler::Quoted(input, 64);
  HOLDS(quoted.size() >= 2 && quoted.front() == '"' && quoted.back() == '"');
  HOLDS(fuzz::IsPlain(quoted, false) && IsValidUtf8(quoted));
  HOLDS(quoted.size() <= 4 * 64 + 16);
  const std::string_view inner = std::string_view(quoted).substr(1, quoted.size() - 2);
  for (size_t i = 0; i < inner.size(); ++i) {
    HOLDS(inner[i] != '"');  // nothing ends the quote
    if (inner[i] == '\\') ++i;
  }
}

}  // namespace
}  // namespace allot
