#include "agent/devices/nvidia/mps.h"

#include <algorithm>

namespace allot::agent {
namespace {

constexpr const char* kThreads = "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE";
constexpr const char* kMemory = "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT";

std::string Limit(size_t ordinal, Bytes memory) {
  return fmt::format("{}={}M", ordinal, memory / kMiB);
}

}  // namespace

void MakeMpsShare(uint32_t shares, const std::string& pipe_directory, Device* share) {
  share->environment[kThreads] = std::to_string(std::max<uint32_t>(1, 100 / shares));
  if (share->memory) share->environment[kMemory] = Limit(0, *share->memory);
  share->environment[kMpsPipeVariable] = pipe_directory;
  share->isolation = Isolation::kNone;
}

SetAccess JoinMps(const Leased& leased, const std::vector<DeviceGroup>&) {
  struct Gpu {
    std::string word;  // in the variable, whose order gives the ordinals
    int64_t percent = 0;
    Bytes memory = 0;
    bool shared = false;
  };
  std::vector<Gpu> gpus;
  for (const Device* device : leased) {
    auto gpu = std::find_if(gpus.begin(), gpus.end(),
                            [&](const Gpu& g) { return g.word == device->visible_value; });
    if (gpu == gpus.end()) gpu = gpus.insert(gpus.end(), {.word = device->visible_value});
    const auto threads = device->environment.find(kThreads);
    if (threads == device->environment.end()) {
      gpu->percent = 100;
      continue;
    }
    gpu->shared = true;
    gpu->percent = std::min<int64_t>(100, gpu->percent + ParseInt(threads->second).value_or(1));
    gpu->memory += device->memory.value_or(0);
  }
  SetAccess access;
  int64_t percent = 100;
  std::string limits;
  for (size_t i = 0; i < gpus.size(); ++i) {
    percent = std::min(percent, gpus[i].percent);
    if (gpus[i].shared && gpus[i].memory > 0)
      limits += (limits.empty() ? "" : ",") + Limit(i, gpus[i].memory);
  }
  if (std::none_of(gpus.begin(), gpus.end(), [](const Gpu& gpu) { return gpu.shared; }))
    return access;
  access.environment[kThreads] = std::to_string(percent);
  if (!limits.empty()) access.environment[kMemory] = limits;
  return access;
}

}  // namespace allot::agent
