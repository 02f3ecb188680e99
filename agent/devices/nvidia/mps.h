// Shares of a GPU under NVIDIA's MPS (docs.nvidia.com/deploy/mps, "Environment Variables"): a
// client's part of the multiprocessors is CUDA_MPS_ACTIVE_THREAD_PERCENTAGE, of the memory
// CUDA_MPS_PINNED_DEVICE_MEM_LIMIT ("0=20480M,1=…", by ordinals), and the daemon's pipes are in
// CUDA_MPS_PIPE_DIRECTORY. Both are limits that a client sets itself, and one client's fault ends
// them all, so a share is `none`.
#pragma once

#include "agent/devices/parts.h"

namespace allot::agent {

inline constexpr const char* kMpsPipeVariable = "CUDA_MPS_PIPE_DIRECTORY";
inline constexpr const char* kMpsPipeDefault = "/tmp/nvidia-mps";

// One of `shares` of a GPU; memory is its own already.
void MakeMpsShare(uint32_t shares, const std::string& pipe_directory, Device* share);

// Several shares in one process: their sum on each GPU. A process has one percentage for all of its
// GPUs, so the least counts.
SetAccess JoinMps(const Leased& leased, const std::vector<DeviceGroup>& groups);

}  // namespace allot::agent
