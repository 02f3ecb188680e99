#include "common/asio/memory_keeper.h"

#include <malloc.h>

namespace allot {
namespace {

constexpr int kMappedFrom = 256 << 10;  // set, it stays: by itself it grows with what is freed
constexpr size_t kKeptMax = 24 << 20;
constexpr Duration kEvery = std::chrono::seconds(5);

}  // namespace

MemoryKeeper::MemoryKeeper(boost::asio::io_context& loop) : timer_(loop) {
  mallopt(M_MMAP_THRESHOLD, kMappedFrom);
  mallopt(M_TRIM_THRESHOLD, 4 << 20);
  Arm();
}

size_t MemoryKeeper::Kept() { return mallinfo2().fordblks; }

bool MemoryKeeper::GiveBack(size_t kept_max) {
  if (Kept() <= kept_max) return false;
  malloc_trim(0);
  return true;
}

void MemoryKeeper::Arm() {
  timer_.After(kEvery, [this] {
    GiveBack(kKeptMax);
    Arm();
  });
}

}  // namespace allot
