// Every metric of allot-scheduler: one row each. docs/operations.md lists the same names.
//
// Counters begin at 0 with the process. Gauges about the cluster are computed when somebody asks
// (see Sampler), so they cost nothing in between.
#pragma once

#include "common/metrics/metrics.h"

namespace allot::scheduler::rows {

using metrics::Kind;
using metrics::Row;

// ---- jobs -----------------------------------------------------------------------------------
inline const Row kJobs{"allotrope_jobs", "Jobs by phase; finished ones while they are remembered.",
                       Kind::kGauge};
inline const Row kJobsSubmitted{"allotrope_jobs_submitted_total", "Jobs accepted.", Kind::kCounter};
inline const Row kJobsFinished{"allotrope_jobs_finished_total", "Jobs that ended, by outcome.",
                               Kind::kCounter};
inline const Row kJobsRequeued{"allotrope_jobs_requeued_total",
                               "Gangs that went back to their queue, by reason.", Kind::kCounter};
inline const Row kJobWait{"allotrope_job_wait_seconds", "From submission to placement.",
                          Kind::kHistogram, metrics::LatencyBuckets()};
inline const Row kPlacements{"allotrope_placements_total", "Placements decided, jobs and replicas.",
                             Kind::kCounter};
inline const Row kSpend{"allotrope_spend_usd_total",
                        "Cost of finished jobs and stopped replicas, by tenant (replicas: their "
                        "deployment's, as tenant \"deployments\").",
                        Kind::kCounter,
                        {},
                        200};
inline const Row kEnergy{"allotrope_energy_joules_total",
                         "Energy of finished jobs and stopped replicas, tenants as for spend. "
                         "Modelled: at least a part by what the devices draw at most.",
                         Kind::kCounter,
                         {},
                         400};
inline const Row kPowerLeased{"allotrope_power_leased_watts",
                              "What leased devices draw at most, of the cluster and each rack.",
                              Kind::kGauge,
                              {},
                              1'000};
inline const Row kPowerCap{"allotrope_power_cap_watts",
                           "The most that may be leased, where the policy caps it.",
                           Kind::kGauge,
                           {},
                           1'000};
inline const Row kPowerMeasured{"allotrope_power_measured_watts",
                                "What all devices draw that tell it, leased or not.", Kind::kGauge};
inline const Row kPowerUnknown{"allotrope_power_unknown_devices",
                               "Devices of which nobody knows what they draw: they count 0 under "
                               "caps.",
                               Kind::kGauge};
inline const Row kSpendRate{"allotrope_spend_rate_usd_per_hour", "Price of what is leased now.",
                            Kind::kGauge};

// ---- nodes, devices, deployments ------------------------------------------------------------
inline const Row kNodes{"allotrope_nodes", "Nodes by state: alive, draining or lost.",
                        Kind::kGauge};
inline const Row kDevices{"allotrope_devices", "Devices of nodes that are alive.", Kind::kGauge};
inline const Row kDevicesLeased{"allotrope_devices_leased", "Accelerators that hold work.",
                                Kind::kGauge};
inline const Row kDevicesQuarantined{
    "allotrope_devices_quarantined",
    "Devices out of service for failing jobs or by an operator's word; those on probation apart.",
    Kind::kGauge};
inline const Row kNodesQuarantined{"allotrope_nodes_quarantined", "The same of whole nodes.",
                                   Kind::kGauge};
inline const Row kQuarantines{"allotrope_quarantines_total",
                              "Devices and nodes taken out of service, by cause.", Kind::kCounter};
inline const Row kCpusTotal{"allotrope_cpus", "Processor cores offered by nodes that are alive.",
                            Kind::kGauge};
inline const Row kCpusLeased{"allotrope_cpus_leased", "Processor cores leased.", Kind::kGauge};
inline const Row kReplicas{
    "allotrope_deployment_replicas",
    "Replicas by deployment, phase, and whether they are of what was deployed last.",
    Kind::kGauge,
    {},
    10'000};
inline const Row kNodesLost{"allotrope_nodes_lost_total", "Leases of nodes that ran out.",
                            Kind::kCounter};
inline const Row kGateways{"allotrope_gateways", "Gateways heard of in the last seconds.",
                           Kind::kGauge};

// ---- the loop, the journal, the store ---------------------------------------------------------
inline const Row kTerm{"allotrope_term", "Incarnation of this scheduler.", Kind::kGauge};
inline const Row kStep{"allotrope_core_step_seconds",
                       "One step of the core.",
                       Kind::kHistogram,
                       {1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1}};
inline const Row kStalled{"allotrope_core_stalled_seconds_total",
                          "How much later than due the core's timer ran; leases wait for it.",
                          Kind::kCounter};
inline const Row kCommit{"allotrope_journal_commit_seconds", "One transaction with its sync.",
                         Kind::kHistogram, metrics::LatencyBuckets()};
inline const Row kJournalRecords{"allotrope_journal_records_total", "Records made durable.",
                                 Kind::kCounter};
inline const Row kJournalErrors{"allotrope_journal_errors_total",
                                "Transactions that failed and will be tried again.",
                                Kind::kCounter};
inline const Row kJournalWaiting{"allotrope_journal_waiting_records", "Records not durable yet.",
                                 Kind::kGauge};
inline const Row kDegraded{"allotrope_degraded",
                           "1 while the journal cannot be written and nothing is accepted.",
                           Kind::kGauge};
inline const Row kClockOffset{"allotrope_clock_offset_seconds",
                              "How far the machine's clock is past the scheduler's: set meanwhile.",
                              Kind::kGauge};
inline const Row kCompactions{"allotrope_compactions_total", "Snapshots written.", Kind::kCounter};
inline const Row kCompactionErrors{"allotrope_compaction_errors_total",
                                   "Snapshots or checkpoints that failed.", Kind::kCounter};

// ---- links and HTTP -----------------------------------------------------------------------------
inline const Row kStale{"allotrope_stale_messages_total", "Messages of an old epoch.",
                        Kind::kCounter};
inline const Row kForeign{"allotrope_foreign_work_total",
                          "Tasks and replicas that nodes still held of another life of the store, "
                          "as they registered.",
                          Kind::kCounter};
inline const Row kRefused{"allotrope_link_refused_total",
                          "Connections and messages refused, by reason.", Kind::kCounter};
inline const Row kConnections{"allotrope_link_connections_total",
                              "Connections by event: accepted, admitted, disconnected.",
                              Kind::kCounter};
inline const Row kStrangers{"allotrope_link_strangers_total",
                            "Connections that never said a word as a peer, by what ended them.",
                            Kind::kCounter};
inline const Row kThrottled{"allotrope_link_throttled_total",
                            "Times that a connection was not read for a while, by which budget.",
                            Kind::kCounter};
inline const Row kLogLeftOut{"allotrope_log_lines_left_out_total",
                             "Lines of log over their budget.", Kind::kCounter};
inline const Row kEnvelopes{"allotrope_link_envelopes_total", "Envelopes by direction.",
                            Kind::kCounter};
inline const Row kLinkBytes{"allotrope_link_bytes_total", "Bytes by direction.", Kind::kCounter};
inline const Row kUnroutable{"allotrope_link_unroutable_total",
                             "Envelopes for a peer that is gone or does not read.", Kind::kCounter};
inline const Row kGaps{"allotrope_link_gaps_total", "Envelopes missing in a peer's numbering.",
                       Kind::kCounter};
inline const Row kHttpRequests{"allotrope_http_requests_total", "Requests by route and code.",
                               Kind::kCounter};
inline const Row kHttpTurned{"allotrope_http_turned_away_total",
                             "Connections, requests and answers that a budget of the HTTP server "
                             "ended, by which (docs/limits.md).",
                             Kind::kCounter};
inline const Row kHttpAnswers{"allotrope_http_answers_bytes",
                              "Answers that clients have not taken yet.", Kind::kGauge};
inline const Row kTokensStale{"allotrope_tokens_stale",
                              "1 while the tokens file cannot be used and the tokens read before "
                              "stay valid.",
                              Kind::kGauge};
inline const Row kCertificateExpires{"allotrope_certificate_expires_timestamp_seconds",
                                     "When the certificate that the API shows runs out; absent "
                                     "where it speaks plain HTTP.",
                                     Kind::kGauge};
inline const Row kCertificateStale{"allotrope_certificate_stale",
                                   "1 while the files of the certificate have changed and cannot "
                                   "be used, and the one read before is shown.",
                                   Kind::kGauge};
inline const Row kTokensExpiring{"allotrope_tokens_expiring",
                                 "Tokens of the tokens file that expire within a week.",
                                 Kind::kGauge};
inline const Row kTokensExpired{"allotrope_tokens_expired",
                                "Tokens of the tokens file that have expired.", Kind::kGauge};
inline const Row kAuditWritten{"allotrope_audit_written_total", "Lines of the audit log.",
                               Kind::kCounter};
inline const Row kAuditLeftOut{"allotrope_audit_left_out_total",
                               "Refusals without a line: beyond the budget of their who.",
                               Kind::kCounter};
inline const Row kAuditLost{"allotrope_audit_lost_total",
                            "Lines of the audit log that the disk did not take.", Kind::kCounter};
inline const Row kAuditFailing{"allotrope_audit_failing",
                               "1 while the audit log cannot be written.", Kind::kGauge};
inline const Row kHttpConnections{"allotrope_http_connections", "Open connections.", Kind::kGauge};

}  // namespace allot::scheduler::rows
