// "Did you mean": the word of a list that was meant by one that is not in it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace allot {

// By edit distance, with swaps of neighbours; case and the choice between - and _ do not count, and
// a part of a longer word is near it. "" if none is near.
std::string NearWord(std::string_view word, const std::vector<std::string>& known);

}  // namespace allot
