#include "common/base/text.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace allot {
namespace {

// Length of the valid character that starts at `i`, or 0.
size_t CharacterLength(std::string_view text, size_t i) {
  const auto byte = [&](size_t k) { return static_cast<uint8_t>(text[i + k]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  // The second byte's range depends on the first (Unicode 15, table 3-7).
  size_t length = 0;
  uint8_t low = 0x80, high = 0xBF;
  if (first >= 0xC2 && first <= 0xDF) {
    length = 2;
  } else if (first >= 0xE0 && first <= 0xEF) {
    length = 3;
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F;
  } else if (first >= 0xF0 && first <= 0xF4) {
    length = 4;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
  } else {
    return 0;
  }
  if (text.size() - i < length || byte(1) < low || byte(1) > high) return 0;
  for (size_t k = 2; k < length; ++k) {
    if (byte(k) < 0x80 || byte(k) > 0xBF) return 0;
  }
  return length;
}

// First position from `i` on that is not plain ASCII, eight bytes at a time.
size_t SkipAscii(std::string_view text, size_t i) {
  for (; i + 8 <= text.size(); i += 8) {
    uint64_t word;
    std::memcpy(&word, text.data() + i, 8);
    if ((word & 0x8080808080808080) != 0) break;
  }
  while (i < text.size() && static_cast<uint8_t>(text[i]) < 0x80) ++i;
  return i;
}

}  // namespace

bool IsValidUtf8(std::string_view text) {
  for (size_t i = SkipAscii(text, 0); i < text.size(); i = SkipAscii(text, i)) {
    const size_t length = CharacterLength(text, i);
    if (length == 0) return false;
    i += length;
  }
  return true;
}

std::string ReplaceInvalidUtf8(std::string_view text) {
  if (IsValidUtf8(text)) return std::string(text);
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const size_t length = CharacterLength(text, i);
    if (length == 0) {
      out += "\xEF\xBF\xBD";
      ++i;
    } else {
      out += text.substr(i, length);
      i += length;
    }
  }
  return out;
}

namespace {

bool IsNameOf(std::string_view text, bool (*word)(char), std::string_view between) {
  return !text.empty() && text.size() <= 63 && word(text.front()) && word(text.back()) &&
         std::all_of(text.begin(), text.end(),
                     [&](char c) { return word(c) || between.find(c) != std::string_view::npos; });
}

bool IsSmallOrDigit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool IsLetterOrDigit(char c) { return IsSmallOrDigit(c) || (c >= 'A' && c <= 'Z'); }

}  // namespace

bool IsName(std::string_view text) { return IsNameOf(text, IsSmallOrDigit, ".-"); }

bool IsLabelValue(std::string_view text) { return IsNameOf(text, IsLetterOrDigit, "._-"); }

}  // namespace allot
