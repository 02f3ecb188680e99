// Text of others inside a sentence of ours: what an error quotes, what a log or a terminal shows.
// Thread-safe, no state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace allot {

// The character at `i` of text that is valid UTF-8 (text.h), and its length in bytes.
uint32_t CharacterAt(std::string_view text, size_t i, size_t* length);
// Would it steer a terminal, or turn what stands beside it into something else? Control characters,
// ends of lines and directions of writing.
bool Steers(uint32_t character);

// As it is where it is harmless; what steers is escaped (\x1b, \u202e), what is not UTF-8 replaced
// by U+FFFD, and what is beyond `bytes_max` is "...".
std::string Shown(std::string_view text, size_t bytes_max = 60);

}  // namespace allot
