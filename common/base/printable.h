// The one way in which text from outside reaches a terminal or a log.
//
// Names, messages and command lines are other people's: an escape sequence in one can clear the
// screen, retitle the window or turn what stands before it into something else. So control
// characters, and those that turn the direction of writing, are shown as JSON writes them (\u001b):
// nobody is steered, and nothing is lost. The output of jobs (`allot logs`) is not text of ours and
// passes as it is, as it does through `cat`.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace allot {

// For whole pages: line breaks and tabs stay. JSON stays the same JSON.
std::string Printable(std::string_view text);
// For a name or message within a line: line breaks and tabs are shown too, so that it cannot pass
// for a line of ours.
std::string OneLine(std::string_view text);
// The same, at most `bytes_max` long but for what says how many bytes of `text` are missing;
// `in_quotes`: to stand in a JSON string, quotes and backslashes escaped.
std::string OneLineCut(std::string_view text, size_t bytes_max, bool in_quotes);

// What an error quotes: a line, and "..." in place of what is beyond `bytes_max`.
std::string Shown(std::string_view text, size_t bytes_max = 60);

}  // namespace allot
