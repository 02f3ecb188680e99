#include "tests/machines-net/switch/nat.h"

#include <cstring>

namespace allot::testing::net {
namespace {

constexpr size_t kEthernet = 14;
constexpr uint16_t kIpv4 = 0x0800, kArp = 0x0806;
constexpr uint8_t kTcp = 6, kUdp = 17;

uint16_t Read16(const Frame& f, size_t at) { return static_cast<uint16_t>(f[at] << 8 | f[at + 1]); }
void Write16(Frame& f, size_t at, uint16_t v) {
  f[at] = static_cast<uint8_t>(v >> 8);
  f[at + 1] = static_cast<uint8_t>(v);
}

// RFC 1624, equation 3: the sum of a header in which one 16-bit word was exchanged.
void Adjust(Frame& f, size_t checksum_at, uint16_t before, uint16_t after) {
  uint32_t sum = static_cast<uint16_t>(~Read16(f, checksum_at));
  sum += static_cast<uint16_t>(~before);
  sum += after;
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  Write16(f, checksum_at, static_cast<uint16_t>(~sum));
}

bool Holds(const Frame& f, size_t at, const Address& a) {
  return std::memcmp(f.data() + at, a.data(), a.size()) == 0;
}

// Exchanges the IPv4 address at `at` and mends every checksum that covers it.
void Exchange(Frame& f, size_t at, const Address& to) {
  const size_t header = kEthernet + (f[kEthernet] & 0x0f) * 4U;
  const bool first_fragment = (Read16(f, kEthernet + 6) & 0x1fff) == 0;
  const uint8_t protocol = f[kEthernet + 9];
  size_t transport = 0;
  if (first_fragment && protocol == kTcp && f.size() >= header + 20) transport = header + 16;
  if (first_fragment && protocol == kUdp && f.size() >= header + 8 && Read16(f, header + 6) != 0)
    transport = header + 6;
  for (size_t i = 0; i < to.size(); i += 2) {
    const uint16_t before = Read16(f, at + i);
    const auto after = static_cast<uint16_t>(to[i] << 8 | to[i + 1]);
    Adjust(f, kEthernet + 10, before, after);
    if (transport != 0) Adjust(f, transport, before, after);
    Write16(f, at + i, after);
  }
}

bool OpensConnection(const Frame& f) {
  const size_t header = kEthernet + (f[kEthernet] & 0x0f) * 4U;
  if (f[kEthernet + 9] != kTcp || f.size() < header + 20) return false;
  const uint8_t flags = f[header + 13];
  return (flags & 0x02) != 0 && (flags & 0x10) == 0;  // SYN without ACK
}

void ExchangeInArp(Frame& f, const Address& from, const Address& to) {
  for (const size_t at : {kEthernet + 14, kEthernet + 24})
    if (Holds(f, at, from)) std::memcpy(f.data() + at, to.data(), to.size());
}

}  // namespace

bool Nat::Outbound(Frame& f) const {
  if (f.size() < kEthernet + 20) return true;
  const uint16_t type = Read16(f, 12);
  if (type == kArp && f.size() >= kEthernet + 28) ExchangeInArp(f, inside, outside);
  if (type == kIpv4 && Holds(f, kEthernet + 12, inside)) Exchange(f, kEthernet + 12, outside);
  return true;
}

bool Nat::Inbound(Frame& f) const {
  if (f.size() < kEthernet + 20) return true;
  const uint16_t type = Read16(f, 12);
  if (type == kArp && f.size() >= kEthernet + 28) {
    // The machine's own address means nothing outside: nobody finds it by that.
    if (Holds(f, kEthernet + 24, inside)) return false;
    ExchangeInArp(f, outside, inside);
  }
  if (type == kIpv4) {
    if (Holds(f, kEthernet + 16, inside) || OpensConnection(f)) return false;
    if (Holds(f, kEthernet + 16, outside)) Exchange(f, kEthernet + 16, inside);
  }
  return true;
}

}  // namespace allot::testing::net
