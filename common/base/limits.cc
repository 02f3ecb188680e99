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
constexpr const Limit* kPeers[] = {
    &kUnheardBytes,   &kUnheardMilliseconds, &kConnectionsOfAPeer, &kPeerDialsPerSecond,
    &kPeerDialsBurst, &kFrameBytes,          &kAnswerFrameBytes,   &kPeerBytesPerSecond,
    &kPeerBytesBurst, &kPeerFramesPerSecond, &kPeerFramesBurst,    &kPeerWorkPerSecond,
    &kPeerWorkBurst,  &kEnvelopeMessages,    &kEnvelopeValues,     &kTurnMessages};

constexpr const Limit* kHTTP[] = {&kHttpConnections,        &kHttpConnectionsOfAddress,
                                  &kHttpHeadBytes,          &kHttpHeadFields,
                                  &kHttpHeadsBytes,         &kHttpAheadBytes,
                                  &kHttpHeadTime,
                                  &kHttpBodyTime,           &kHttpIdleTime,
                                  &kHttpAnswersBytes,       &kHttpWriteTime,
                                  &kHttpWriteRate,          &kTlsHandshakes,
                                  &kTlsHandshakesOfAddress, &kTlsHandshakeTime,
                                  &kTlsHandshakeBytes,      &kTlsHandshakesPerSecond,
                                  &kTlsHandshakesBurst};
constexpr const Limit* kApi[] = {
    &kApiBodyBytes,       &kApiBodiesBytes,           &kApiYamlBytes,  &kApiBodyInlineBytes,
    &kApiBodiesWaiting,   &kApiBodiesWaitingOfSender, &kApiVariables,  &kApiReplies, &kApiHeldBytes,
    &kApiWaits,           &kApiWaitsOfSender,         &kApiLogStreams, &kApiLogStreamsOfSender,
    &kApiLogBytes,        &kApiListPieceBytes,        &kApiPageBytes,  &kSpecsBytes,
    &kSpecsBytesOfTenant, &kFinishedSpecBytes};
constexpr const Limit* kGateway[] = {&kGatewayBodyBytes,    &kGatewayBodiesBytes,
                                     &kGatewayAnswersBytes, &kGatewayHeldBytes,
                                     &kGatewayAnswerBytes,  &kGatewayWindowBytes};

constexpr const Limit* kAudit[] = {&kAuditTextBytes, &kAuditRefusalsPerSecond, &kAuditRefusalsBurst,
                                   &kAuditWaitingBytes};

constexpr LimitGroup kGroups[] = {
    {"Links, before a key is proven",
     "Ports of the scheduler and of gateways for agents (`allotrope_link_…` is "
     "`allotrope_gateway_link_…` there).",
     kStrangersAtTheDoor},
    {"Links, of peers with a key", "Agents, gateways, whoever is invited.", kPeers},
    {"HTTP servers",
     "What scheduler, gateways and agents have in common; gateways count in "
     "`allotrope_gateway_http_turned_away_total`, agents in "
     "`allotrope_agent_http_turned_away_total`.",
     kHTTP},
    {"API", "What people and clients ask of the scheduler.", kApi},
    {"Requests to models", "What clients ask of a gateway, and what model servers answer.",
     kGateway},
    {"Logs", "What every program writes to standard error.", kLog},
    {"Audit", "Of the scheduler; gateways count in `allotrope_gateway_audit_…`.", kAudit},
};

}  // namespace

std::span<const LimitGroup> LimitGroups() { return kGroups; }

}  // namespace allot
