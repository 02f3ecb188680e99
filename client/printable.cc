#include "client/printable.h"

#include <cstdint>

#include "common/base/shown.h"
#include "common/base/text.h"
#include "fmt/format.h"

namespace allot::client {
namespace {

std::string WithoutSteering(std::string_view any, bool lines) {
  const std::string text = ReplaceInvalidUtf8(any);
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0, length = 0; i < text.size(); i += length) {
    const uint32_t c = CharacterAt(text, i, &length);
    if (!Steers(c) || (lines && (c == '\n' || c == '\t')))
      out.append(text, i, length);
    else
      out += fmt::format("\\u{:04x}", c);
  }
  return out;
}

}  // namespace

std::string Printable(std::string_view text) { return WithoutSteering(text, true); }
std::string OneLine(std::string_view text) { return WithoutSteering(text, false); }

}  // namespace allot::client
