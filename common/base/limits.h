// Every budget that outside bytes meet, in one table: docs/limits.md is made of it.
//
// A budget is a `Limit` here, and the code that keeps it reads its value from here. Adding one is a
// constant below, in the group of the door it guards, and its name in the list of limits.cc; the
// page follows with `ALLOT_UPDATE=1 build/dev/bin/test_base --gtest_filter='Limits.*'`.
// Pure values; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace allot {

enum class LimitUnit { kBytes, kCount, kPerSecond, kBytesPerSecond, kMilliseconds };

struct Limit {
  std::string_view name;  // what is counted, in words: "connections that have not proven a key"
  int64_t value = 0;
  LimitUnit unit = LimitUnit::kCount;
  std::string_view scope;    // of what it is the most: "a connection", "an address", "a port"
  std::string_view reason;   // why this much
  std::string_view refusal;  // what happens to what is over it
  std::string_view metric;   // where it is counted: name{label="value"}; "" if it cannot be refused
};

namespace limits {

// ---- lines of log -------------------------------------------------------------------------------
inline constexpr Limit kLogLineBytes{"text of a line of log",
                                     4096,
                                     LimitUnit::kBytes,
                                     "a line",
                                     "a reason with a path and a name in it is a tenth of it",
                                     "cut, with the number of bytes that were left out",
                                     ""};

// ---- HTTP servers -------------------------------------------------------------------------------
inline constexpr Limit kHttpConnections{"connections",
                                        10'000,
                                        LimitUnit::kCount,
                                        "an HTTP server (`connections_max`); an agent: 100",
                                        "each costs a descriptor and some ten KiB",
                                        "503, then closed",
                                        "allotrope_http_turned_away_total{reason=\"connections\"}"};
inline constexpr Limit kHttpConnectionsOfAddress{
    "connections",
    2'000,
    LimitUnit::kCount,
    "an address, IPv6 a /64 (`connections_per_address_max`); an agent: 50",
    "five addresses are needed to take them all; more where everybody comes through one proxy",
    "503, then closed",
    "allotrope_http_turned_away_total{reason=\"connections_of_address\"}"};
inline constexpr Limit kHttpHeadBytes{"head, trailers and words about chunks",
                                      32 << 10,
                                      LimitUnit::kBytes,
                                      "a request",
                                      "tokens and cookies are a few KiB",
                                      "431",
                                      "allotrope_http_turned_away_total{reason=\"head\"}"};
inline constexpr Limit kHttpHeadTime{"time for a head",
                                     20'000,
                                     LimitUnit::kMilliseconds,
                                     "a request",
                                     "at 2 KiB/s the longest arrives",
                                     "408",
                                     "allotrope_http_turned_away_total{reason=\"slow_request\"}"};
inline constexpr Limit kHttpBodyTime{"time for a body",
                                     300'000,
                                     LimitUnit::kMilliseconds,
                                     "a request",
                                     "32 MiB at 1 Mbit/s",
                                     "408",
                                     "allotrope_http_turned_away_total{reason=\"slow_request\"}"};
inline constexpr Limit kHttpIdleTime{"time without a request, or without a piece of a body",
                                     75'000,
                                     LimitUnit::kMilliseconds,
                                     "a connection",
                                     "browsers and proxies keep theirs for a minute",
                                     "closed",
                                     ""};
inline constexpr Limit kHttpAnswersBytes{"answers that clients have not taken",
                                         64 << 20,
                                         LimitUnit::kBytes,
                                         "an HTTP server (`answers_max`)",
                                         "a quarter of what a head node may take",
                                         "503 in place of an answer over 16 KiB",
                                         "allotrope_http_turned_away_total{reason=\"answers\"}"};
inline constexpr Limit kHttpWriteTime{"time in which nothing of an answer is taken",
                                      30'000,
                                      LimitUnit::kMilliseconds,
                                      "an answer; a third where half of `answers_max` waits",
                                      "a reader that is there takes something each second",
                                      "cut off",
                                      "allotrope_http_turned_away_total{reason=\"slow_reader\"}"};
inline constexpr Limit kHttpWriteRate{
    "least of an answer that is taken",
    1 << 10,
    LimitUnit::kBytesPerSecond,
    "an answer that has waited that long; sixteen times as much where half of `answers_max` waits",
    "a modem of 1990 reads faster",
    "cut off",
    "allotrope_http_turned_away_total{reason=\"slow_reader\"}"};

// ---- API ----------------------------------------------------------------------------------------
inline constexpr Limit kApiBodyBytes{
    "body",
    4 << 20,
    LimitUnit::kBytes,
    "a request",
    "a job may have 1 MiB of command and environment, a policy thousands of prices",
    "413",
    "allotrope_http_turned_away_total{reason=\"body\"}"};
inline constexpr Limit kApiBodiesBytes{"bodies in hand",
                                       64 << 20,
                                       LimitUnit::kBytes,
                                       "a scheduler",
                                       "sixteen of the largest",
                                       "503",
                                       "allotrope_http_turned_away_total{reason=\"bodies\"}"};
inline constexpr Limit kApiYamlBytes{"body in YAML",
                                     256 << 10,
                                     LimitUnit::kBytes,
                                     "a request",
                                     "it takes ten times as long to read as JSON",
                                     "413",
                                     "allotrope_http_requests_total{code=\"413\"}"};
inline constexpr Limit kApiBodyInlineBytes{"body that the loop itself reads",
                                           8 << 10,
                                           LimitUnit::kBytes,
                                           "a request",
                                           "half a millisecond",
                                           "read on a thread beside it",
                                           ""};
inline constexpr Limit kApiBodiesWaiting{"larger bodies that wait to be read",
                                         256,
                                         LimitUnit::kCount,
                                         "a scheduler",
                                         "some seconds of work",
                                         "503",
                                         "allotrope_http_requests_total{code=\"503\"}"};
inline constexpr Limit kApiBodiesWaitingOfSender{"larger bodies that wait to be read",
                                                 64,
                                                 LimitUnit::kCount,
                                                 "a tenant, or a token of none",
                                                 "a quarter",
                                                 "429",
                                                 "allotrope_http_requests_total{code=\"429\"}"};
inline constexpr Limit kApiVariables{"variables of an environment",
                                     4'096,
                                     LimitUnit::kCount,
                                     "a job or deployment",
                                     "far more than a program reads",
                                     "400",
                                     "allotrope_http_requests_total{code=\"400\"}"};
inline constexpr Limit kApiReplies{"callers that wait for a decision to be durable",
                                   20'000,
                                   LimitUnit::kCount,
                                   "a scheduler",
                                   "a second of a slow disk",
                                   "503",
                                   "allotrope_http_requests_total{code=\"503\"}"};
inline constexpr Limit kApiWaits{"callers that wait for a job",
                                 20'000,
                                 LimitUnit::kCount,
                                 "a scheduler",
                                 "more than there are connections by default",
                                 "503",
                                 "allotrope_http_requests_total{code=\"503\"}"};
inline constexpr Limit kApiWaitsOfSender{"callers that wait for a job",
                                         5'000,
                                         LimitUnit::kCount,
                                         "a tenant, or a token of none",
                                         "a quarter",
                                         "429",
                                         "allotrope_http_requests_total{code=\"429\"}"};
inline constexpr Limit kApiLogStreams{"log streams",
                                      1'000,
                                      LimitUnit::kCount,
                                      "a scheduler",
                                      "each asks its node for a piece at a time",
                                      "503",
                                      "allotrope_http_requests_total{code=\"503\"}"};
inline constexpr Limit kApiLogStreamsOfSender{"log streams",
                                              250,
                                              LimitUnit::kCount,
                                              "a tenant, or a token of none",
                                              "a quarter",
                                              "429",
                                              "allotrope_http_requests_total{code=\"429\"}"};
inline constexpr Limit kApiLogBytes{
    "pieces of logs on their way",
    16 << 20,
    LimitUnit::kBytes,
    "a scheduler",
    "with more than a thousand streams each has its least piece, 16 KiB",
    "smaller pieces, then none until the last is taken",
    ""};
inline constexpr Limit kApiListPieceBytes{"piece of a list of nodes, devices, deployments",
                                          256 << 10,
                                          LimitUnit::kBytes,
                                          "an answer",
                                          "two milliseconds of the loop",
                                          "the next is made when it is taken",
                                          ""};
inline constexpr Limit kApiPageBytes{"page of jobs",
                                     1 << 20,
                                     LimitUnit::kBytes,
                                     "an answer",
                                     "ten milliseconds of the loop",
                                     "a shorter page, with `next`",
                                     ""};
inline constexpr Limit kSpecsBytes{"commands and environments, over 1 KiB each",
                                   96 << 20,
                                   LimitUnit::kBytes,
                                   "all jobs that have not ended, and deployments (`specs_max`)",
                                   "environments over 16 KiB are in a file, the rest in memory",
                                   "429",
                                   "allotrope_http_requests_total{code=\"429\"}"};
inline constexpr Limit kSpecsBytesOfTenant{"commands and environments, over 1 KiB each",
                                           64 << 20,
                                           LimitUnit::kBytes,
                                           "a tenant (`specs_per_tenant_max`)",
                                           "two thirds of all",
                                           "429",
                                           "allotrope_http_requests_total{code=\"429\"}"};
inline constexpr Limit kFinishedSpecBytes{
    "command and environment",
    4 << 10,
    LimitUnit::kBytes,
    "a job that has ended",
    "20,000 of them are kept, and looked up by their commands",
    "dropped; the job says how much",
    ""};

// ---- gateways -----------------------------------------------------------------------------------
inline constexpr Limit kGatewayBodyBytes{
    "body",
    32 << 20,
    LimitUnit::kBytes,
    "a request (`body_max`)",
    "prompts with pictures",
    "413",
    "allotrope_gateway_http_turned_away_total{reason=\"body\"}"};
inline constexpr Limit kGatewayBodiesBytes{
    "bodies in hand",
    512 << 20,
    LimitUnit::kBytes,
    "a gateway",
    "sixteen of the largest, many thousands of usual ones",
    "503",
    "allotrope_gateway_http_turned_away_total{reason=\"bodies\"}"};
inline constexpr Limit kGatewayAnswersBytes{
    "answers on their way from agents",
    64 << 20,
    LimitUnit::kBytes,
    "a gateway (`answers_max`)",
    "as an HTTP server",
    "agents are granted 16 KiB at a time, and nothing over 64 KiB is held until it is whole",
    ""};
inline constexpr Limit kGatewayHeldBytes{
    "answer that is held until it is whole",
    1 << 20,
    LimitUnit::kBytes,
    "an answer",
    "a hundred times the usual one; a replica that fails before is replaced",
    "goes out as it comes",
    ""};
inline constexpr Limit kGatewayAnswerBytes{"answer that was not asked for as a stream",
                                           64 << 20,
                                           LimitUnit::kBytes,
                                           "an answer",
                                           "nobody reads as much at once",
                                           "502, or cut off",
                                           "allotrope_gateway_requests_total{outcome=\"failed\"}"};
inline constexpr Limit kGatewayWindowBytes{
    "bytes of an answer that its agent may send ahead of its client",
    256 << 10,
    LimitUnit::kBytes,
    "a stream",
    "a path of 100 ms at 20 Mbit/s",
    "the agent stops reading from the model server",
    ""};

}  // namespace limits

// One group a door, in the order of the page.
struct LimitGroup {
  std::string_view door, about;
  std::span<const Limit* const> limits;
};
std::span<const LimitGroup> LimitGroups();

}  // namespace allot
