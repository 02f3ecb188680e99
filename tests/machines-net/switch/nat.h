// One machine behind an address translator: others see it as `outside`, it calls itself `inside`.
//
// One to one and IPv4 only. As a household's or a cloud's translator does, it lets nobody in who was not
// asked first: a TCP segment that opens a connection towards the machine is dropped. Frames are changed in
// place, checksums with them (RFC 1624).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace allot::testing::net {

using Frame = std::vector<uint8_t>;
using Address = std::array<uint8_t, 4>;

struct Nat {
  Address outside{};
  Address inside{};

  // A frame that the machine sends. False: drop it.
  bool Outbound(Frame& frame) const;
  // A frame that is for the machine. False: drop it.
  bool Inbound(Frame& frame) const;
};

}  // namespace allot::testing::net
