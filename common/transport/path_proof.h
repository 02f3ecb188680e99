// Does a fresh connection carry large messages as well as small ones, both ways? Pure.
//
// A path that loses only large packets (a tunnel with a smaller MTU, and ICMP filtered) lets
// handshakes, hellos and heartbeats pass, and nothing that matters. So before a peer is used, a
// small probe goes out and, when that is back, a large one; the other end sends each back as large
// as it came. If the small one returns and the large one does not, that is the reason to give. (One
// after the other: sent together they would share a packet, and its fate.) A peer of a build that
// knows of no probes answers none: it is used as it is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/units.h"
#include "common/proto/wire.pb.h"

namespace allot::transport {

// More than any frame of Ethernet or IPoIB in use has room for with its neighbours.
inline constexpr size_t kProbePaddingBytes = 16 << 10;
// The echo of a probe; false: it asks for more than anybody needs and gets none.
bool EchoProbe(const wire::PathProbe& probe, wire::PathEcho* echo);
inline constexpr std::string_view kLargeLost =
    "small messages pass, large ones (16 KiB) do not: the path loses large packets; check the MTU "
    "of every hop (tunnel, VLAN, jumbo frames) and that ICMP \"fragmentation needed\" passes";

class PathProof {
 public:
  enum class State : uint8_t {
    kAsking,
    kProven,     // both came back
    kNotSpoken,  // none did in time: a build without probes, or a path worse than slow
    kLargeLost,  // the small one came back, the large one did not
  };
  struct Patience {
    Duration small = std::chrono::seconds(2);
    Duration large = std::chrono::seconds(6);  // after the small one has come back
  };

  explicit PathProof(Patience patience) : patience_(patience) {}
  // A connection stands. `nonce`: one that no earlier connection had. The probe is to be sent.
  wire::PathProbe Begin(Duration now, uint64_t nonce);
  // The probe that is to be sent now, if there is one.
  std::optional<wire::PathProbe> Echoed(Duration now, const wire::PathEcho& echo);
  // Stays what it is once it is not kAsking.
  State Look(Duration now);

 private:
  const Patience patience_;
  State state_ = State::kAsking;
  bool lost_before_ = false;  // the connection before this one was kLargeLost
  uint64_t nonce_ = 0;
  Duration begun_{}, small_at_{};
  bool small_ = false, large_ = false;
};

}  // namespace allot::transport
