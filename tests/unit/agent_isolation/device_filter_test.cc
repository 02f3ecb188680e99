#include "agent/isolation/device_filter.h"

#include <algorithm>
#include <array>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rapidcheck.h"

namespace allot::agent {
namespace {

using Type = DeviceRule::Type;

struct Access {
  uint32_t type, access, major, minor;
};

// The kernel's semantics of the few instructions that the compiler uses; anything else fails.
bool Permits(const std::vector<bpf_insn>& program, const Access& access) {
  const std::array<uint32_t, 3> context = {access.access << 16 | access.type, access.major,
                                           access.minor};
  std::array<uint64_t, 11> reg{};
  for (size_t at = 0; at < program.size(); ++at) {
    const bpf_insn& i = program[at];
    const auto constant = static_cast<uint64_t>(static_cast<int64_t>(i.imm));
    switch (i.code) {
      case BPF_LDX | BPF_MEM | BPF_W:
        EXPECT_EQ(i.src_reg, 1);
        reg[i.dst_reg] = context.at(static_cast<size_t>(i.off) / 4);
        break;
      case BPF_ALU64 | BPF_MOV | BPF_X:
        reg[i.dst_reg] = reg[i.src_reg];
        break;
      case BPF_ALU64 | BPF_MOV | BPF_K:
        reg[i.dst_reg] = constant;
        break;
      case BPF_ALU64 | BPF_AND | BPF_K:
        reg[i.dst_reg] &= constant;
        break;
      case BPF_ALU64 | BPF_RSH | BPF_K:
        reg[i.dst_reg] >>= constant;
        break;
      case BPF_JMP | BPF_JNE | BPF_K:
        if (reg[i.dst_reg] != constant) at += static_cast<size_t>(i.off);
        break;
      case BPF_JMP | BPF_JNE | BPF_X:
        if (reg[i.dst_reg] != reg[i.src_reg]) at += static_cast<size_t>(i.off);
        break;
      case BPF_JMP | BPF_EXIT:
        return reg[0] != 0;
      default:
        ADD_FAILURE() << "instruction " << int{i.code};
        return false;
    }
  }
  ADD_FAILURE() << "fell off the end";
  return false;
}

bool Allowed(const std::vector<DeviceRule>& rules, const Access& access) {
  return std::any_of(rules.begin(), rules.end(), [&](const DeviceRule& rule) {
    return static_cast<uint32_t>(rule.type) == access.type &&
           (rule.open || access.access == BPF_DEVCG_ACC_MKNOD) &&
           rule.major.value_or(access.major) == access.major &&
           rule.minor.value_or(access.minor) == access.minor;
  });
}

constexpr uint32_t kOpen = BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;

TEST(DeviceFilter, DeniesWhatNoRuleNames) {
  EXPECT_FALSE(Permits(CompileDeviceFilter({}), {BPF_DEVCG_DEV_CHAR, BPF_DEVCG_ACC_READ, 1, 3}));
  const auto standard = CompileDeviceFilter(StandardDevices());
  EXPECT_TRUE(Permits(standard, {BPF_DEVCG_DEV_CHAR, kOpen, 1, 3}));     // null
  EXPECT_TRUE(Permits(standard, {BPF_DEVCG_DEV_CHAR, kOpen, 136, 17}));  // a terminal
  EXPECT_FALSE(Permits(standard, {BPF_DEVCG_DEV_CHAR, kOpen, 195, 0}));  // nvidia0
  EXPECT_FALSE(Permits(standard, {BPF_DEVCG_DEV_CHAR, kOpen, 1, 1}));    // mem
  EXPECT_FALSE(Permits(standard, {BPF_DEVCG_DEV_BLOCK, BPF_DEVCG_ACC_READ, 254, 0}));
}

TEST(DeviceFilter, LetsMakeNodesThatItDoesNotLetOpen) {
  const auto standard = CompileDeviceFilter(StandardDevices());
  EXPECT_TRUE(Permits(standard, {BPF_DEVCG_DEV_CHAR, BPF_DEVCG_ACC_MKNOD, 195, 0}));
  EXPECT_FALSE(
      Permits(standard, {BPF_DEVCG_DEV_CHAR, BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ, 195, 0}));
}

TEST(DeviceFilter, DecidesAsItsRulesSay) {
  const auto arbitrary = [] {
    const auto number = [] {
      return *rc::gen::element(0u, 1u, 3u, 5u, 136u, 195u, 0x0fffu, 0xfffffu);
    };
    const auto maybe = [&]() -> std::optional<uint32_t> {
      if (*rc::gen::arbitrary<bool>()) return std::nullopt;
      return number();
    };
    std::vector<DeviceRule> rules(*rc::gen::inRange<size_t>(0, 12));
    for (DeviceRule& rule : rules)
      rule = {*rc::gen::element(Type::kBlock, Type::kChar), maybe(), maybe(),
              *rc::gen::arbitrary<bool>()};
    return std::pair(rules, Access{*rc::gen::element<uint32_t>(1, 2), *rc::gen::inRange(1u, 8u),
                                   number(), number()});
  };
  EXPECT_TRUE(rc::check([&] {
    const auto [rules, access] = arbitrary();
    RC_ASSERT(Permits(CompileDeviceFilter(rules), access) == Allowed(rules, access));
  }));
}

TEST(DeviceFilter, TakesTheNumbersOfAFile) {
  const auto null = RuleOf("/dev/null");
  ASSERT_TRUE(null.ok());
  EXPECT_EQ(*null, (DeviceRule{Type::kChar, 1, 3}));
  EXPECT_EQ(RuleOf("/dev/there-is-no-such-device").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(RuleOf("/proc/self/status").status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace allot::agent
