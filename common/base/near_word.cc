#include "common/base/near_word.h"

#include <algorithm>
#include <cctype>
#include <numeric>
#include <utility>

namespace allot {
namespace {

// Case and the choice between - and _ are slips nobody means.
std::string Fold(std::string_view word) {
  std::string out(word.substr(0, 64));
  for (char& c : out) {
    c = c == '-' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return out;
}

// Edits with swaps of neighbours (optimal string alignment).
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before_last(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  std::iota(last.begin(), last.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t change = last[j - 1] + (a[i - 1] != b[j - 1]);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before_last[j - 2] + 1);
      }
    }
    before_last = std::exchange(last, row);
  }
  return last[b.size()];
}

}  // namespace

std::string NearWord(std::string_view word, const std::vector<std::string>& known) {
  const std::string folded = Fold(word);
  if (folded.empty()) return "";
  const std::string* best = nullptr;
  size_t best_distance = std::max<size_t>(folded.size() / 3, 1) + 1;
  for (const std::string& candidate : known) {
    const std::string other = Fold(candidate);
    size_t distance = Distance(folded, other);
    // Part of a longer key, or the other way round: "memory" for "min_memory".
    const bool part =
        folded.size() >= 4 && other.size() >= 4 &&
        (other.find(folded) != std::string::npos || folded.find(other) != std::string::npos);
    if (part) distance = std::min<size_t>(distance, std::max<size_t>(folded.size() / 3, 1));
    if (distance < best_distance) {
      best = &candidate;
      best_distance = distance;
    }
  }
  return best == nullptr ? "" : *best;
}

}  // namespace allot
