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

// ---- connections of ZeroMQ before a key is proven (common/transport/gate.h)
// -----------------------
inline constexpr Limit kStrangerBytes{
    "bytes held of what it sends",
    2048,
    LimitUnit::kBytes,
    "a connection without a proven key",
    "the longest of the three handshake messages, with a routing id of 255 bytes in it, is 600",
    "the connection is closed",
    "allotrope_link_strangers_total{why=\"too_long\"}"};
inline constexpr Limit kStrangers{
    "connections without a proven key",
    512,
    LimitUnit::kCount,
    "a port",
    "a handshake takes a few round trips: a fleet that dials at once has fewer at a time",
    "the oldest of the address that has most of them is closed",
    "allotrope_link_strangers_total{why=\"pushed_out\"}"};
inline constexpr Limit kStrangersOfAnAddress{"connections without a proven key",
                                             256,
                                             LimitUnit::kCount,
                                             "an address (IPv6: a /64)",
                                             "whole racks may stand behind one address",
                                             "the oldest of them is closed",
                                             "allotrope_link_strangers_total{why=\"pushed_out\"}"};
inline constexpr Limit kStrangerMilliseconds{"time to prove a key",
                                             10'000,
                                             LimitUnit::kMilliseconds,
                                             "a connection",
                                             "three round trips of the slowest path",
                                             "the connection is closed",
                                             "allotrope_link_strangers_total{why=\"too_slow\"}"};
inline constexpr Limit kHandshakesPerSecond{
    "handshakes that fail, a tenth each if no key was tried",
    50,
    LimitUnit::kPerSecond,
    "a port",
    "a hundredth or two of a core; those of peers that are heard afterwards are given back",
    "dialling waits in the kernel's queue",
    "allotrope_link_throttled_total{by=\"handshakes\"}"};
inline constexpr Limit kHandshakesBurst{"handshakes that fail, at once",
                                        300,
                                        LimitUnit::kCount,
                                        "a port",
                                        "as many as are under way when a fleet dials at once",
                                        "dialling waits in the kernel's queue",
                                        "allotrope_link_throttled_total{by=\"handshakes\"}"};
inline constexpr Limit kFilesKept{
    "files that are left for everything else",
    64,
    LimitUnit::kCount,
    "a process",
    "the store, the API and the logs go on when connections have used the file limit up",
    "the new connection is closed",
    "allotrope_link_strangers_total{why=\"files\"}"};

// ---- peers with a key (common/transport/gate.h, intake.h)
// ----------------------------------------
inline constexpr Limit kUnheardBytes{
    "bytes on their way to the loop",
    256 << 10,
    LimitUnit::kBytes,
    "a connection that was not heard of yet",
    "what comes first is a probe of 16 KiB",
    "the connection is not read until the loop has taken them, and closed after a minute",
    "allotrope_link_throttled_total{by=\"window\"}"};
inline constexpr Limit kUnheardMilliseconds{"time to say a first word",
                                            60'000,
                                            LimitUnit::kMilliseconds,
                                            "a connection with a proven key",
                                            "every build of ours speaks at once",
                                            "the connection is closed",
                                            "allotrope_link_strangers_total{why=\"silent\"}"};
inline constexpr Limit kConnectionsOfAPeer{
    "connections",
    8,
    LimitUnit::kCount,
    "a peer's name",
    "a peer that dials anew leaves dead ones behind, for a minute each",
    "the oldest is closed",
    "allotrope_link_refused_total{reason=\"connections\"}"};
inline constexpr Limit kFrameBytes{
    "bytes of an envelope or a body",
    8 << 20,
    LimitUnit::kBytes,
    "a message to the scheduler",
    "a registration with 20,000 tasks or a hello with 20,000 nodes is 3 MiB",
    "the connection is closed",
    "allotrope_link_refused_total{reason=\"too_long\"}"};
inline constexpr Limit kAnswerFrameBytes{
    "bytes of an envelope or a body",
    16 << 20,
    LimitUnit::kBytes,
    "a message to a gateway",
    "answers come in pieces of 16 KiB, whole ones from builds before that",
    "the connection is closed",
    "allotrope_gateway_link_dropped_total{reason=\"too_long\"}"};
inline constexpr Limit kPeerDialsPerSecond{
    "connections begun beyond those at once",
    1,
    LimitUnit::kPerSecond,
    "a peer's name",
    "a link that breaks is dialled again after a while that grows",
    "they count among the handshakes that fail",
    "allotrope_link_throttled_total{by=\"handshakes\"}"};
inline constexpr Limit kPeerDialsBurst{"connections begun at once",
                                       16,
                                       LimitUnit::kCount,
                                       "a peer's name",
                                       "a network that flaps",
                                       "they count among the handshakes that fail",
                                       "allotrope_link_throttled_total{by=\"handshakes\"}"};
inline constexpr Limit kPeerBytesPerSecond{"bytes",
                                           32 << 20,
                                           LimitUnit::kBytesPerSecond,
                                           "a peer's name, to the scheduler",
                                           "logs that somebody reads",
                                           "it is read more slowly",
                                           "allotrope_link_throttled_total{by=\"bytes\"}"};
inline constexpr Limit kPeerBytesBurst{"bytes at once",
                                       16 << 20,
                                       LimitUnit::kBytes,
                                       "a peer's name, to the scheduler",
                                       "a few of the longest registrations",
                                       "it is read more slowly",
                                       "allotrope_link_throttled_total{by=\"bytes\"}"};
inline constexpr Limit kPeerFramesPerSecond{
    "envelopes and bodies",
    2'000,
    LimitUnit::kPerSecond,
    "a peer's name, to the scheduler",
    "whoever is busy says more in each envelope, not more of them",
    "it is read more slowly",
    "allotrope_link_throttled_total{by=\"frames\"}"};
inline constexpr Limit kPeerFramesBurst{"envelopes and bodies at once",
                                        4'000,
                                        LimitUnit::kCount,
                                        "a peer's name, to the scheduler",
                                        "what has waited while there was no link",
                                        "it is read more slowly",
                                        "allotrope_link_throttled_total{by=\"frames\"}"};
inline constexpr Limit kPeerWorkPerSecond{
    "messages, sixteens of values in them, and kibibytes that nobody asked for",
    4'000,
    LimitUnit::kPerSecond,
    "a peer's name, to the scheduler",
    "half a percent of a core; each task, replica or piece of a log that a peer is asked for "
    "brings "
    "what will be said of it; what costs more counts more",
    "it is not read until it is made up for",
    "allotrope_link_throttled_total{by=\"work\"}"};
inline constexpr Limit kPeerWorkBurst{"messages, sixteens of values and kibibytes, at once",
                                      60'000,
                                      LimitUnit::kCount,
                                      "a peer's name, to the scheduler",
                                      "a registration with 20,000 tasks is two thirds of it",
                                      "it is not read until it is made up for",
                                      "allotrope_link_throttled_total{by=\"work\"}"};
inline constexpr Limit kEnvelopeMessages{"messages",
                                         50'000,
                                         LimitUnit::kCount,
                                         "an envelope",
                                         "an envelope of acknowledgements of 64 KiB has 10,000",
                                         "the envelope is refused",
                                         "allotrope_link_refused_total{reason=\"too_many\"}"};
inline constexpr Limit kEnvelopeValues{
    "values of fields",
    400'000,
    LimitUnit::kCount,
    "an envelope",
    "a registration with 20,000 tasks has 300,000; each may take 50 bytes of memory",
    "the envelope is refused",
    "allotrope_link_refused_total{reason=\"too_many\"}"};
inline constexpr Limit kTurnMessages{"messages of a peer",
                                     128,
                                     LimitUnit::kCount,
                                     "a turn of the loop",
                                     "a millisecond or two; then others are heard",
                                     "they are heard in the next turn",
                                     ""};

// ---- lines of log -------------------------------------------------------------------------------
inline constexpr Limit kLogLineBytes{"text of a line of log",
                                     4096,
                                     LimitUnit::kBytes,
                                     "a line",
                                     "a reason with a path and a name in it is a tenth of it",
                                     "cut, with the number of bytes that are missing",
                                     ""};
inline constexpr Limit kLogLinesOfAKindPerSecond{
    "lines of log",
    20,
    LimitUnit::kPerSecond,
    "a kind of line",
    "nobody reads more, and no stranger's line crowds out another kind",
    "left out, and said how many",
    "allotrope_log_lines_left_out_total"};
inline constexpr Limit kLogLinesOfAKindBurst{"lines of log at once",
                                             500,
                                             LimitUnit::kCount,
                                             "a kind of line",
                                             "a fleet's nodes that are found or lost together",
                                             "left out, and said how many",
                                             "allotrope_log_lines_left_out_total"};
inline constexpr Limit kLogBytesPerSecond{"bytes of log",
                                          12 << 10,
                                          LimitUnit::kBytesPerSecond,
                                          "a process",
                                          "a mebibyte a minute with the burst, whoever asks for it",
                                          "left out, and said how many",
                                          "allotrope_log_lines_left_out_total"};
inline constexpr Limit kLogBytesBurst{"bytes of log at once",
                                      256 << 10,
                                      LimitUnit::kBytes,
                                      "a process",
                                      "a start, a fleet that joins",
                                      "left out, and said how many",
                                      "allotrope_log_lines_left_out_total"};

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
inline constexpr Limit kHttpHeadFields{"fields of head and trailers",
                                       128,
                                       LimitUnit::kCount,
                                       "a request",
                                       "each costs memory beyond its bytes; proxies add a few",
                                       "431",
                                       "allotrope_http_turned_away_total{reason=\"head\"}"};
inline constexpr Limit kHttpHeadsBytes{
    "heads that are not whole, and what was sent ahead of an answer",
    32 << 20,
    LimitUnit::kBytes,
    "an HTTP server",
    "a thousand of the longest; most come whole and are not counted",
    "503 for the oldest of the address that has most",
    "allotrope_http_turned_away_total{reason=\"heads\"}"};
inline constexpr Limit kHttpAheadBytes{"sent ahead of an answer, and not kept",
                                       1 << 20,
                                       LimitUnit::kBytes,
                                       "a connection; 32 KiB ahead are kept",
                                       "no client needs more than a few requests on their way",
                                       "cut off; where anything was not kept, after the answer",
                                       "allotrope_http_turned_away_total{reason=\"ahead\"}"};
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

inline constexpr Limit kTlsHandshakes{
    "handshakes under way",
    512,
    LimitUnit::kCount,
    "an HTTP server with `tls`",
    "each is two round trips; a fleet that comes at once has fewer",
    "the oldest of the address that has most of them is closed",
    "allotrope_http_turned_away_total{reason=\"handshakes\"}"};
inline constexpr Limit kTlsHandshakesOfAddress{
    "handshakes under way",
    128,
    LimitUnit::kCount,
    "an address (IPv6: a /64)",
    "four addresses are needed to push others out",
    "the oldest of them is closed",
    "allotrope_http_turned_away_total{reason=\"handshakes\"}"};
inline constexpr Limit kTlsHandshakeTime{
    "time for a handshake",
    10'000,
    LimitUnit::kMilliseconds,
    "a connection",
    "three round trips of the slowest path",
    "closed",
    "allotrope_http_turned_away_total{reason=\"slow_handshake\"}"};
inline constexpr Limit kTlsHandshakeBytes{"bytes of a handshake",
                                          64 << 10,
                                          LimitUnit::kBytes,
                                          "a connection",
                                          "a chain of a few certificates is some KiB",
                                          "closed",
                                          "allotrope_http_turned_away_total{reason=\"handshake\"}"};
inline constexpr Limit kTlsHandshakesPerSecond{
    "handshakes after which nothing is asked that is answered well",
    100,
    LimitUnit::kPerSecond,
    "an address (IPv6: a /64)",
    "each costs the processor a third of a millisecond; those of who is let in are given back",
    "waits its turn, within the time for a handshake",
    "allotrope_http_turned_away_total{reason=\"slow_handshake\"}"};
inline constexpr Limit kTlsHandshakesBurst{
    "such handshakes at once",
    300,
    LimitUnit::kCount,
    "an address (IPv6: a /64)",
    "as many as are under way when all start at once",
    "waits its turn, within the time for a handshake",
    "allotrope_http_turned_away_total{reason=\"slow_handshake\"}"};

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
inline constexpr Limit kApiHeldBytes{"answers that wait for the disk",
                                     32 << 20,
                                     LimitUnit::kBytes,
                                     "a scheduler",
                                     "a second of what a console asks; more only while a disk hangs",
                                     "503 in place of an answer over 4 KiB",
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

// ---- audit --------------------------------------------------------------------------------------
inline constexpr Limit kAuditTextBytes{"text from outside in one field",
                                       256,
                                       LimitUnit::kBytes,
                                       "a line",
                                       "a path and what was wrong with it",
                                       "cut, and said how much",
                                       ""};
inline constexpr Limit kAuditRefusalsPerSecond{
    "refusals that get a line",
    1,
    LimitUnit::kPerSecond,
    "a token or peer; all strangers together",
    "64 MiB of them are half a week, so that nobody pushes out what others did",
    "counted, and the next line says how many",
    "allotrope_audit_left_out_total"};
inline constexpr Limit kAuditRefusalsBurst{"refusals that get a line, at once",
                                           60,
                                           LimitUnit::kCount,
                                           "a token or peer; all strangers together",
                                           "somebody tries a few things",
                                           "counted, and the next line says how many",
                                           "allotrope_audit_left_out_total"};
inline constexpr Limit kAuditWaitingBytes{"lines that the disk has not taken",
                                          4 << 20,
                                          LimitUnit::kBytes,
                                          "a program",
                                          "ten thousand lines: minutes of a full disk",
                                          "lost; nobody waits for it",
                                          "allotrope_audit_lost_total"};

}  // namespace limits

// One group a door, in the order of the page.
struct LimitGroup {
  std::string_view door, about;
  std::span<const Limit* const> limits;
};
std::span<const LimitGroup> LimitGroups();

}  // namespace allot
