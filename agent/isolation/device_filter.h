// Which device files a process may open, as a program for the kernel: BPF of type CGROUP_DEVICE
// (Linux 4.15, cgroup v2). The kernel runs it for every open and mknod of a device file by a
// process in the cgroup; what no rule allows is refused with EPERM.
//
// Compiling is pure; loading needs CAP_BPF and CAP_NET_ADMIN, or CAP_SYS_ADMIN.
#pragma once

#include <linux/bpf.h>

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/runtime/files.h"
#include "common/base/status.h"

namespace allot::agent {

struct DeviceRule {
  enum class Type : uint8_t { kBlock = BPF_DEVCG_DEV_BLOCK, kChar = BPF_DEVCG_DEV_CHAR };
  Type type = Type::kChar;
  std::optional<uint32_t> major, minor;  // absent: any
  bool open = true;                      // read and write; false: mknod alone
  auto operator<=>(const DeviceRule&) const = default;
};

// What every process may use: null, zero, full, random, urandom, tty, ptmx, pseudo terminals; and
// mknod of anything, which gives no access by itself.
std::vector<DeviceRule> StandardDevices();

// The rule for one device file, by what it is now. NotFound; InvalidArgument if it is none.
StatusOr<DeviceRule> RuleOf(const std::string& path);

// Allows what any of `rules` allows. The kernel takes 4,096 instructions at least: some 500 rules.
std::vector<bpf_insn> CompileDeviceFilter(const std::vector<DeviceRule>& rules);

// Gives the program to the kernel. It lives as long as the descriptor or a cgroup that has it.
StatusOr<Fd> LoadDeviceFilter(const std::vector<bpf_insn>& program);

// Attaches it to the cgroup of the open folder `cgroup`, in place of the one before. It stays as
// long as the cgroup does, whatever becomes of us.
Status AttachDeviceFilter(int cgroup, int loaded);

}  // namespace allot::agent
