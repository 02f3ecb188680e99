#include "common/base/limits.h"

namespace allot {
namespace {

using namespace limits;

constexpr const Limit* kLog[] = {&kLogLineBytes};

constexpr const Limit* kHTTP[] = {
    &kHttpConnections, &kHttpConnectionsOfAddress, &kHttpHeadBytes, &kHttpHeadTime, &kHttpBodyTime,
    &kHttpIdleTime,    &kHttpAnswersBytes,         &kHttpWriteTime, &kHttpWriteRate};
constexpr const Limit* kApi[] = {
    &kApiBodyBytes,       &kApiBodiesBytes,           &kApiYamlBytes,  &kApiBodyInlineBytes,
    &kApiBodiesWaiting,   &kApiBodiesWaitingOfSender, &kApiVariables,  &kApiReplies,
    &kApiWaits,           &kApiWaitsOfSender,         &kApiLogStreams, &kApiLogStreamsOfSender,
    &kApiLogBytes,        &kApiListPieceBytes,        &kApiPageBytes,  &kSpecsBytes,
    &kSpecsBytesOfTenant, &kFinishedSpecBytes};
constexpr const Limit* kGateway[] = {&kGatewayBodyBytes,    &kGatewayBodiesBytes,
                                     &kGatewayAnswersBytes, &kGatewayHeldBytes,
                                     &kGatewayAnswerBytes,  &kGatewayWindowBytes};

constexpr LimitGroup kGroups[] = {
    {"Logs", "What every program writes to standard error.", kLog},
    {"HTTP servers",
     "What scheduler, gateways and agents have in common; gateways count in "
     "`allotrope_gateway_http_turned_away_total`, agents in "
     "`allotrope_agent_http_turned_away_total`.",
     kHTTP},
    {"API", "What people and clients ask of the scheduler.", kApi},
    {"Requests to models", "What clients ask of a gateway, and what model servers answer.",
     kGateway},
};

}  // namespace

std::span<const LimitGroup> LimitGroups() { return kGroups; }

}  // namespace allot
