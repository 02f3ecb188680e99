#include "common/base/limits.h"

namespace allot {
namespace {

using namespace limits;

constexpr const Limit* kLog[] = {&kLogLineBytes};

constexpr LimitGroup kGroups[] = {
    {"Logs", "What every program writes to standard error.", kLog},
};

}  // namespace

std::span<const LimitGroup> LimitGroups() { return kGroups; }

}  // namespace allot
