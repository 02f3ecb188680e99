// Included only by the copies that scripts/mutate.sh makes. One program holds many mutants; which
// of them is alive is said by ALLOT_MUTANT (a number; none: the program as it was written). With
// ALLOT_MUTANT_REACHED=FILE it writes down at its end which of them it came by.
#pragma once

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>

namespace allot::mutants {

inline constexpr int kMax = 100'000;

struct Reached {
  const char* file = std::getenv("ALLOT_MUTANT_REACHED");
  unsigned char* seen = file != nullptr ? Shared() : nullptr;
  Reached() = default;
  Reached(const Reached&) = delete;
  Reached& operator=(const Reached&) = delete;
  // What processes that were forked came by is seen too: allot-sim runs its seeds in such.
  static unsigned char* Shared() {
    void* memory = mmap(nullptr, kMax, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? nullptr : static_cast<unsigned char*>(memory);
  }
  // Not unmapped: other threads may still come by.
  ~Reached() {
    if (seen == nullptr) return;
    std::FILE* out = std::fopen(file, "a");
    if (out == nullptr) return;
    for (int i = 0; i < kMax; ++i)
      if (seen[i] != 0) std::fprintf(out, "%d\n", i);
    std::fclose(out);
  }
};
inline const Reached reached;
inline const int alive = [] {
  const char* text = std::getenv("ALLOT_MUTANT");
  return text != nullptr ? std::atoi(text) : -1;
}();

inline bool mutant(int number) {
  if (reached.seen != nullptr) reached.seen[number] = 1;
  return number == alive;
}

}  // namespace allot::mutants
using allot::mutants::mutant;
