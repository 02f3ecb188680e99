#include "common/http/plain_tokens.h"

#include "common/base/loopback.h"

namespace allot::http {
namespace {

bool IsLoopbackAddressText(std::string_view address) {
  constexpr std::string_view kMapped = "::ffff:";  // IPv4 on a socket of IPv6
  if (address.starts_with(kMapped)) address.remove_prefix(kMapped.size());
  return address != "localhost" && IsLoopbackHost(address);
}

}  // namespace

bool StaysOnThisMachine(std::string_view one_end, std::string_view other_end) {
  return IsLoopbackAddressText(one_end) && IsLoopbackAddressText(other_end);
}

}  // namespace allot::http
