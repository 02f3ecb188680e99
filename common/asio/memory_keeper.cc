#include "common/asio/memory_keeper.h"

#include <malloc.h>

#include <algorithm>

namespace allot {
namespace {

constexpr int kMappedFrom = 256 << 10;  // set, it stays: by itself it grows with what is freed
constexpr size_t kFreedMax = 16 << 20;
constexpr Duration kEvery = std::chrono::seconds(5);

}  // namespace

MemoryKeeper::MemoryKeeper(boost::asio::io_context& loop) : timer_(loop) {
  mallopt(M_MMAP_THRESHOLD, kMappedFrom);
  mallopt(M_TRIM_THRESHOLD, 4 << 20);
  Arm();
}

void MemoryKeeper::GiveBack() { malloc_trim(0); }

void MemoryKeeper::Arm() {
  timer_.After(kEvery, [this] {
    const size_t free = mallinfo2().fordblks;
    least_ = std::min(least_, free);
    if (free > least_ + kFreedMax) {
      GiveBack();
      least_ = mallinfo2().fordblks;
    }
    Arm();
  });
}

}  // namespace allot
