#include "agent/isolation/device_filter.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>

namespace allot::agent {
namespace {

constexpr uint32_t kAllAccess = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;

// Registers: 1 the context, then scratch; 2 type, 3 access, 4 major, 5 minor; 0 the verdict.
bpf_insn Load(uint8_t to, int16_t offset) {
  return {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = to, .src_reg = 1, .off = offset, .imm = 0};
}
bpf_insn Constant(uint8_t operation, uint8_t to, int32_t value) {
  return {.code = static_cast<uint8_t>(BPF_ALU64 | operation | BPF_K),
          .dst_reg = to,
          .src_reg = 0,
          .off = 0,
          .imm = value};
}
bpf_insn Copy(uint8_t to, uint8_t from) {
  return {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = to, .src_reg = from, .off = 0, .imm = 0};
}
// To the next rule; the distance is filled in when the rule is whole.
bpf_insn UnlessConstant(uint8_t reg, uint32_t value) {
  return {.code = BPF_JMP | BPF_JNE | BPF_K,
          .dst_reg = reg,
          .src_reg = 0,
          .off = 0,
          .imm = static_cast<int32_t>(value)};
}
bpf_insn UnlessSame(uint8_t a, uint8_t b) {
  return {.code = BPF_JMP | BPF_JNE | BPF_X, .dst_reg = a, .src_reg = b, .off = 0, .imm = 0};
}
bpf_insn Exit() {
  return {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0};
}
bool Jumps(const bpf_insn& i) { return (i.code & 0x07) == BPF_JMP && (i.code & 0xf0) == BPF_JNE; }

int Bpf(bpf_cmd command, bpf_attr& attribute) {
  return static_cast<int>(syscall(SYS_bpf, command, &attribute, sizeof attribute));
}

}  // namespace

std::vector<DeviceRule> StandardDevices() {
  using Type = DeviceRule::Type;
  std::vector<DeviceRule> rules;
  for (const uint32_t minor : {3u, 5u, 7u, 8u, 9u})  // null, zero, full, random, urandom
    rules.push_back({Type::kChar, 1, minor});
  rules.push_back({Type::kChar, 5, 0});               // tty
  rules.push_back({Type::kChar, 5, 2});               // ptmx
  rules.push_back({Type::kChar, 136, std::nullopt});  // pts
  rules.push_back({Type::kChar, std::nullopt, std::nullopt, false});
  rules.push_back({Type::kBlock, std::nullopt, std::nullopt, false});
  return rules;
}

StatusOr<DeviceRule> RuleOf(const std::string& path) {
  struct stat file {};
  if (stat(path.c_str(), &file) != 0)
    return ErrnoStatus(errno, fmt::format("device file {}", path));
  if (!S_ISCHR(file.st_mode) && !S_ISBLK(file.st_mode))
    return InvalidArgument("{} is no device file", path);
  return DeviceRule{S_ISCHR(file.st_mode) ? DeviceRule::Type::kChar : DeviceRule::Type::kBlock,
                    major(file.st_rdev), minor(file.st_rdev)};
}

std::vector<bpf_insn> CompileDeviceFilter(const std::vector<DeviceRule>& rules) {
  // bpf_cgroup_dev_ctx: access_type (access << 16 | type), major, minor, each 32 bits.
  std::vector<bpf_insn> program = {
      Load(2, 0), Copy(3, 2), Constant(BPF_AND, 2, 0xffff), Constant(BPF_RSH, 3, 16),
      Load(4, 4), Load(5, 8)};
  for (const DeviceRule& rule : rules) {
    const size_t first = program.size();
    program.push_back(UnlessConstant(2, static_cast<uint32_t>(rule.type)));
    const uint32_t access = rule.open ? kAllAccess : static_cast<uint32_t>(BPF_DEVCG_ACC_MKNOD);
    if (access != kAllAccess) {  // everything asked for is among what is allowed
      program.push_back(Copy(1, 3));
      program.push_back(Constant(BPF_AND, 1, static_cast<int32_t>(access)));
      program.push_back(UnlessSame(1, 3));
    }
    if (rule.major) program.push_back(UnlessConstant(4, *rule.major));
    if (rule.minor) program.push_back(UnlessConstant(5, *rule.minor));
    program.push_back(Constant(BPF_MOV, 0, 1));
    program.push_back(Exit());
    for (size_t i = first; i < program.size(); ++i)
      if (Jumps(program[i])) program[i].off = static_cast<int16_t>(program.size() - i - 1);
  }
  program.push_back(Constant(BPF_MOV, 0, 0));
  program.push_back(Exit());
  return program;
}

StatusOr<Fd> LoadDeviceFilter(const std::vector<bpf_insn>& program) {
  static constexpr char kLicense[] = "Apache-2.0";
  bpf_attr load{};
  load.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  load.insns = reinterpret_cast<uint64_t>(program.data());
  load.insn_cnt = static_cast<uint32_t>(program.size());
  load.license = reinterpret_cast<uint64_t>(kLicense);
  Fd loaded(Bpf(BPF_PROG_LOAD, load));  // close-on-exec, as all bpf(2) gives out
  if (!loaded.valid()) return ErrnoStatus(errno, "cannot load a device filter into the kernel");
  return loaded;
}

Status AttachDeviceFilter(int cgroup, int loaded) {
  bpf_attr attach{};
  attach.target_fd = static_cast<uint32_t>(cgroup);
  attach.attach_bpf_fd = static_cast<uint32_t>(loaded);
  attach.attach_type = BPF_CGROUP_DEVICE;  // no flags: no cgroup below may have one of its own
  if (Bpf(BPF_PROG_ATTACH, attach) != 0)
    return ErrnoStatus(errno, "cannot attach a device filter to the cgroup");
  return absl::OkStatus();
}

}  // namespace allot::agent
