#include "common/base/shown.h"

#include "common/base/text.h"
#include "fmt/format.h"

namespace allot {

uint32_t CharacterAt(std::string_view text, size_t i, size_t* length) {
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

std::string Shown(std::string_view text, size_t bytes_max) {
  // A character that the cut would halve is left out with the rest.
  size_t end = text.size();
  if (end > bytes_max)
    for (end = bytes_max; end > 0 && (static_cast<uint8_t>(text[end]) & 0xC0) == 0x80;) --end;
  const std::string sound = ReplaceInvalidUtf8(text.substr(0, end));
  std::string out;
  for (size_t i = 0, length = 0; i < sound.size(); i += length) {
    const uint32_t c = CharacterAt(sound, i, &length);
    if (!Steers(c))
      out.append(sound, i, length);
    else
      out += c < 0x80 ? fmt::format("\\x{:02x}", c) : fmt::format("\\u{:04x}", c);
  }
  return end < text.size() ? out + "..." : out;
}

}  // namespace allot
