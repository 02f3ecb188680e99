// An explanation looks at every node once. What it allocates tells how much it does without a
// clock: it has to grow with the number of nodes and not with its square.
#include <cstdlib>
#include <new>

#include "gtest/gtest.h"
#include "tests/unit/scheduler_core/world.h"

namespace {
size_t g_allocated = 0;  // bytes, by all of this program; its tests have one thread
}

// Not inlined: gcc would see free() meet memory of another operator new.
[[gnu::noinline]] void* operator new(size_t bytes) {
  g_allocated += bytes;
  if (void* memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}
// Used by std::stable_sort; what it gives out comes back to the operators below.
[[gnu::noinline]] void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  g_allocated += bytes;
  return std::malloc(bytes);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace allot::scheduler {
namespace {

size_t BytesToExplain(uint32_t nodes) {
  World world;
  for (uint32_t n = 0; n < nodes; ++n) world.Register({fmt::format("n{}", n), {{8, "h200"}}});
  JobSpec spec;
  spec.command = {"train"};
  for (uint32_t alternative = 0; alternative < 8; ++alternative) {
    DeviceRequest request;
    request.model = "*h200*";
    request.count = 1 + alternative;
    spec.devices.push_back(request);
  }
  spec.tasks = 8 * nodes + 1;
  world.Submit(std::move(spec));
  const size_t before = g_allocated;
  EXPECT_TRUE(world.core().ExplainJob(world.now(), world.last_job()).ok());
  return g_allocated - before;
}

TEST(ExplainCost, GrowsWithTheNodesAndNotWithTheirSquare) {
  const size_t few = BytesToExplain(50), many = BytesToExplain(400);
  EXPECT_LT(many, few * 16);  // 8 times the nodes; their square would be 64 times
}

}  // namespace
}  // namespace allot::scheduler
