// Other people's text on its way to a terminal or into a log.
#include "common/base/printable.h"
#include "common/base/text.h"
#include "tests/fuzz/fuzz.h"

namespace allot {
namespace {

FUZZ(shown) {
  const std::string page = Printable(input), line = OneLine(input);
  HOLDS(fuzz::IsPlain(page, true) && IsValidUtf8(page));
  HOLDS(fuzz::IsPlain(line, false) && IsValidUtf8(line));
  HOLDS(Printable(page) == page);
  HOLDS(OneLine(line) == line);
  HOLDS(line.size() <= 6 * input.size());
  if (IsValidUtf8(input) && fuzz::IsPlain(input, true)) HOLDS(page.size() >= input.size());

  const std::string inner = OneLineCut(input, 64, /*in_quotes=*/true);
  HOLDS(fuzz::IsPlain(inner, false) && IsValidUtf8(inner));
  HOLDS(inner.size() <= 64 + 6 + 40);
  for (size_t i = 0; i < inner.size(); ++i) {
    HOLDS(inner[i] != '"');  // nothing ends the quote
    if (inner[i] == '\\') ++i;
  }
  const std::string shown = Shown(input, 64);
  HOLDS(fuzz::IsPlain(shown, false) && IsValidUtf8(shown));
  HOLDS(shown.size() <= 6 * 64 + 3);
}

}  // namespace
}  // namespace allot
