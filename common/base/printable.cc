#include "common/base/printable.h"

#include <algorithm>
#include <cstdint>

#include "common/base/text.h"
#include "fmt/format.h"

namespace allot {
namespace {

// Valid UTF-8 only. `length`: of the character in bytes.
uint32_t CodePointAt(std::string_view text, size_t i, size_t* length) {
  const auto byte = [&](size_t k) {
    return static_cast<uint32_t>(static_cast<uint8_t>(text[i + k]));
  };
  const uint32_t first = byte(0);
  *length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  switch (*length) {
    case 1:
      return first;
    case 2:
      return (first & 0x1F) << 6 | (byte(1) & 0x3F);
    case 3:
      return (first & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
    default:
      return (first & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 |
             (byte(3) & 0x3F);
  }
}

bool Steers(uint32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) ||  // C0, DEL, C1
         c == 0x061C || c == 0x200E || c == 0x200F || (c >= 0x202A && c <= 0x202E) ||
         (c >= 0x2066 && c <= 0x2069) ||  // directions of writing
         c == 0x2028 || c == 0x2029;      // line ends of their own
}

// Appends the character of `length` bytes at `i` as it may be shown.
void Append(std::string_view text, size_t i, size_t length, uint32_t c, std::string* out) {
  if (Steers(c)) {
    *out += fmt::format("\\u{:04x}", c);
  } else {
    out->append(text, i, length);
  }
}

std::string WithoutSteering(std::string_view any, bool lines) {
  const std::string text = ReplaceInvalidUtf8(any);
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0, length = 0; i < text.size(); i += length) {
    const uint32_t c = CodePointAt(text, i, &length);
    if (lines && (c == '\n' || c == '\t')) {
      out += text[i];
    } else {
      Append(text, i, length, c, &out);
    }
  }
  return out;
}

}  // namespace

std::string Shown(std::string_view text, size_t bytes_max) {
  // A character that the cut would halve is left out with the rest.
  size_t end = text.size();
  if (end > bytes_max)
    for (end = bytes_max; end > 0 && (static_cast<uint8_t>(text[end]) & 0xC0) == 0x80;) --end;
  return OneLine(text.substr(0, end)) + (end < text.size() ? "..." : "");
}

std::string Printable(std::string_view text) { return WithoutSteering(text, true); }
std::string OneLine(std::string_view text) { return WithoutSteering(text, false); }

std::string OneLineCut(std::string_view any, size_t bytes_max, bool in_quotes) {
  // What is shown is never shorter than what it is of, so the rest is not looked at.
  const std::string text = ReplaceInvalidUtf8(any.substr(0, bytes_max));
  std::string out;
  out.reserve(text.size());
  size_t i = 0;
  for (size_t length = 0; i < text.size() && out.size() < bytes_max; i += length) {
    const uint32_t c = CodePointAt(text, i, &length);
    if (in_quotes && (c == '"' || c == '\\')) out += '\\';
    Append(text, i, length, c, &out);
  }
  const size_t missing = any.size() - std::min(i, any.size());
  if (missing != 0) out += fmt::format(" … {} bytes more", missing);
  return out;
}

}  // namespace allot
