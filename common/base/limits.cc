#include "common/base/limits.h"

namespace allot {
namespace {

using namespace limits;

constexpr const Limit* kLog[] = {&kLogLineBytes, &kLogLinesOfAKindPerSecond, &kLogLinesOfAKindBurst,
                                 &kLogBytesPerSecond, &kLogBytesBurst};

constexpr const Limit* kStrangersAtTheDoor[] = {&kStrangerBytes,
                                                &kStrangers,
                                                &kStrangersOfAnAddress,
                                                &kStrangerMilliseconds,
                                                &kHandshakesPerSecond,
                                                &kHandshakesBurst,
                                                &kFilesKept};
constexpr const Limit* kPeers[] = {&kUnheardBytes,      &kUnheardMilliseconds, &kConnectionsOfAPeer,
                                   &kFrameBytes,        &kAnswerFrameBytes,    &kPeerBytesPerSecond,
                                   &kPeerBytesBurst,    &kPeerFramesPerSecond, &kPeerFramesBurst,
                                   &kPeerWorkPerSecond, &kPeerWorkBurst,       &kEnvelopeMessages,
                                   &kEnvelopeValues,    &kTurnMessages};

constexpr LimitGroup kGroups[] = {
    {"Links, before a key is proven",
     "Ports of the scheduler and of gateways for agents (`allotrope_link_…` is "
     "`allotrope_gateway_link_…` there).",
     kStrangersAtTheDoor},
    {"Links, of peers with a key", "Agents, gateways, whoever is invited.", kPeers},
    {"Logs", "What every program writes to standard error.", kLog},
};

}  // namespace

std::span<const LimitGroup> LimitGroups() { return kGroups; }

}  // namespace allot
