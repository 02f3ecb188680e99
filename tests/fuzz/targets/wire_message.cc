// What a message says, in each direction: from agents, from the scheduler, and the gateways'
// routes.
#include <google/protobuf/stubs/logging.h>

#include "common/wire/codec.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/ordered.h"

namespace allot::wire {
namespace {

// What was understood is told on in words that are understood as the same.
template <class Proto, class Decoder>
void HoldsBothWays(const Proto& message, Decoder decode) {
  const auto decoded = decode(message);
  if (!decoded.ok()) return fuzz::HoldsOfInnerError(decoded.status());
  Proto told, told_again;
  Encode(*decoded, &told);
  const auto again = decode(told);
  HOLDS_FOR(again.ok(), MessageOf(again.status()));
  Encode(*again, &told_again);
  HOLDS(fuzz::Ordered(told) == fuzz::Ordered(told_again));
}

FUZZ(wire_message) {
  const google::protobuf::LogSilencer quiet;
  Message message;
  if (!message.ParseFromArray(input.data(), static_cast<int>(input.size()))) return;
  HoldsBothWays(message, DecodeAgentMessage);
  HoldsBothWays(message, DecodeSchedulerMessage);
  if (message.has_route_table())
    HoldsBothWays(message.route_table(), [](const RouteTable& table) { return Decode(table); });
  if (message.has_register_node()) {
    const StatusOr<allot::NodeInfo> info = Decode(message.register_node().info());
    if (info.ok())
      if (const Status fit = CheckNodeInfo(*info); !fit.ok()) fuzz::HoldsOfInnerError(fit);
  }
}

}  // namespace
}  // namespace allot::wire
