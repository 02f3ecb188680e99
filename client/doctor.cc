#include "client/doctor.h"

#include <algorithm>
#include <map>

#include "client/table.h"
#include "client/text.h"
#include "common/json/json.h"

namespace allot::client {
namespace {

using Severity = Finding::Severity;

class Examination {
 public:
  Examination(const ClusterView& cluster, const NodeView& node,
              std::vector<const DeviceView*> devices)
      : cluster_(cluster), node_(node), devices_(std::move(devices)) {}

  Diagnosis Run() && {
    out_.node = node_.name;
    Link();
    if (node_.alive) {
      Service();
      for (const DeviceView* device : devices_) Look(*device);
      Telemetry();
      Offer();
      for (const std::string& warning : node_.warnings) {
        if (IsOfAddress(warning))
          Notice(warning, "docs/deploy.md, Addresses");
        else
          Notice("discovery: " + warning,
                 "`allot-agent --discover` on the node shows every source");
      }
      for (const std::string& loss : node_.losses)
        Notice(
            "not kept apart: " + loss,
            "docs/operations.md, Isolation on nodes; until then work there trusts its neighbours");
    }
    Summarize();
    return std::move(out_);
  }

 private:
  void Problem(std::string what, std::string next) {
    out_.findings.push_back({Severity::kProblem, std::move(what), std::move(next)});
  }
  void Notice(std::string what, std::string next) {
    out_.findings.push_back({Severity::kNotice, std::move(what), std::move(next)});
  }
  std::string Heard() const {
    return node_.last_heard_seconds ? fmt::format("heard {} ago", Seconds(node_.last_heard_seconds))
                                    : "not heard since the scheduler started";
  }

  void Link() {
    for (const TroubleView& trouble : cluster_.troubles) {
      if (trouble.peer != node_.name) continue;
      Problem("it connects and cannot be used: " + trouble.why,
              "the scheduler's and the node's logs name the same");
      if (!node_.alive) return;
    }
    for (const std::string& gateway : node_.unreached_by) {
      Problem(fmt::format("the gateway {} does not reach it: its replicas serve nothing there",
                          gateway),
              fmt::format("look at the way from {} to that gateway's endpoint and at the agent's "
                          "log; a gateway of its own must have the node in its allow list",
                          node_.name));
    }
    if (!node_.alive) {
      Problem("it is lost, " + Heard(),
              "look at allot-agent on " + node_.name +
                  " (`systemctl status allot-agent`), then at the way from there to the scheduler");
      return;
    }
    if (!cluster_.program_version.empty() && !node_.version.empty() &&
        node_.version != cluster_.program_version) {
      Problem(fmt::format("its agent is of version {}, the scheduler of {}", node_.version,
                          cluster_.program_version),
              "install the same version; tasks outlive a restart of the agent");
    }
  }

  // `given_back`: the command that gives it back.
  void Held(const std::string& what, const QuarantineView& held, const std::string& given_back) {
    if (held.probation) {
      return Notice(
          fmt::format("{} is on probation after {} quarantine{}: {}", what, held.strikes,
                      held.strikes == 1 ? "" : "s", held.why),
          "nothing: the next job that goes well there clears it, one that fails at once does not");
    }
    if (held.by == "operator") {
      return Notice(fmt::format("{} is {}", what, held.why), given_back + " gives it back");
    }
    std::string state = "is quarantined";
    if (held.until_seconds) state += " for " + Seconds(held.until_seconds);
    if (held.strikes > 1) state += fmt::format(", for the {}. time", held.strikes);
    Problem(fmt::format("{} {}: {}", what, state, held.why),
            "look at the logs of those jobs (`allot logs`) and at the kernel's on the node; " +
                given_back + " gives it back before its time");
  }

  void Service() {
    const std::string undrain = fmt::format("`allot undrain {}`", node_.name);
    for (const std::string& why : node_.unfit)
      Problem("it can start nothing now: " + why,
              "make room or mend it on the node; it takes work again by itself");
    if (node_.foreign) {
      Notice(fmt::format("it holds work of another life of the store, which ends now: {} tasks and "
                         "{} replicas of {}",
                         node_.foreign->tasks, node_.foreign->replicas, node_.foreign->incarnation),
             "nothing, if the store was restored or made anew; else look which scheduler the node "
             "served before: docs/operations.md, Backup");
    }
    if (node_.draining) Notice("it is draining", undrain + " takes it in again");
    if (node_.quarantine) Held("the node", *node_.quarantine, undrain);
  }

  void Look(const DeviceView& device) {
    std::string causes;
    for (const std::string& cause : device.health) causes += (causes.empty() ? "" : ", ") + cause;
    if (device.quarantine) {
      Held(device.id, *device.quarantine,
           fmt::format("`allot undrain {} --device {}`", node_.name, device.id));
    }
    const bool by_us = device.state == "drained" || device.state == "probation" ||
                       (device.state == "quarantined" && device.quarantine);
    if (device.state == "ready" || by_us) {
      if (!causes.empty()) Notice(fmt::format("{} has {}", device.id, causes), "watch it");
      return;
    }
    static const std::vector<std::pair<std::string, std::string>> kNext = {
        {"unhealthy",
         "drain what runs there and have the device looked at; docs/devices.md, States"},
        {"no_driver", "load the vendor's driver on the node"},
        {"reserved", "it is bound to a guest's driver; bind the vendor's to use it here"},
        {"unsupported", "docs/devices.md says which drivers and models work"},
        {"draining", "it takes work again when the cause is gone"},
        {"quarantined", "mend the cause, then restart allot-agent on the node"},
    };
    const auto next = std::find_if(kNext.begin(), kNext.end(),
                                   [&](const auto& row) { return row.first == device.state; });
    Problem(fmt::format("{} ({}) is {}{}", device.id, device.model, device.state,
                        causes.empty() ? "" : ": " + causes),
            next == kNext.end() ? "" : next->second);
  }

  void Telemetry() {
    size_t silent = 0, real = 0;
    for (const DeviceView* d : devices_) {
      if (d->emulated || d->kind == "CPU") continue;
      ++real;
      silent += !d->power_watts && !d->temperature_celsius && !d->utilization_ratio &&
                !d->memory_used_bytes;
    }
    if (silent == 0) return;
    Notice(fmt::format("{} of {} accelerators tell no telemetry", silent, real),
           "docs/devices.md says where each vendor's comes from; `allot-agent --discover` says "
           "which library is missing");
  }

  void Offer() {
    if (node_.cpus_free.value_or(0) < 0 || node_.memory_free_bytes.value_or(0) < 0) {
      Problem("more is leased than it offers now; nothing is placed there until work ends",
              "nothing, or cancel what runs there; the offer was lowered in the agent's file");
    }
  }

  void Summarize() {
    size_t accelerators = 0, used = 0;
    for (const DeviceView* d : devices_) {
      if (d->kind == "CPU") continue;
      ++accelerators;
      used += !d->used_by.empty();
    }
    out_.summary = fmt::format(
        "{}, {}; {} of {} accelerators in service, {} leased; {} of {} processors and {} of {} "
        "memory free; {} tasks, {} replicas",
        node_.alive ? "alive" : "lost", Heard(), node_.devices_total, accelerators, used,
        Number(node_.cpus_free), Number(node_.cpus_total), Memory(node_.memory_free_bytes),
        Memory(node_.memory_total_bytes), node_.tasks, node_.replicas);
  }

  const ClusterView& cluster_;
  const NodeView& node_;
  std::vector<const DeviceView*> devices_;
  Diagnosis out_;
};

const Finding* First(const Diagnosis& diagnosis, Severity severity) {
  for (const Finding& finding : diagnosis.findings) {
    if (finding.severity == severity) return &finding;
  }
  return nullptr;
}

size_t Count(const Diagnosis& diagnosis, Severity severity) {
  return static_cast<size_t>(
      std::count_if(diagnosis.findings.begin(), diagnosis.findings.end(),
                    [severity](const Finding& f) { return f.severity == severity; }));
}

// Of the scheduler or a gateway; nothing where all is well with it, as programs stand in no list
// here.
void LookAtCertificate(const std::string& whose, const std::optional<CertificateView>& shown,
                       const std::string& renew, std::vector<Diagnosis>* all) {
  constexpr double kDay = 86400, kSoon = 30 * kDay, kNow = 7 * kDay;
  if (!shown) return;
  Diagnosis diagnosis{whose, "it speaks HTTPS", {}};
  if (shown->stale)
    diagnosis.findings.push_back(
        {Severity::kProblem,
         "the files of its certificate have changed and cannot be used; the one before is shown",
         "its log says why"});
  if (shown->expires_seconds < kSoon)
    diagnosis.findings.push_back(
        {shown->expires_seconds < kNow ? Severity::kProblem : Severity::kNotice,
         shown->expires_seconds <= 0
             ? std::string("its certificate has run out: nobody believes it")
             : fmt::format("its certificate runs out in {}", Seconds(shown->expires_seconds)),
         renew});
  if (!diagnosis.findings.empty()) all->push_back(std::move(diagnosis));
}

}  // namespace

bool Diagnosis::well() const { return First(*this, Severity::kProblem) == nullptr; }

bool IsOfAddress(const std::string& warning) { return warning.starts_with("address: "); }

std::vector<Diagnosis> Diagnose(const ClusterView& cluster, const std::vector<NodeView>& nodes,
                                const std::vector<DeviceView>& devices) {
  std::map<std::string_view, std::vector<const DeviceView*>> by_node;
  for (const DeviceView& device : devices) by_node[device.node].push_back(&device);
  std::vector<Diagnosis> all;
  for (const NodeView& node : nodes)
    all.push_back(Examination(cluster, node, std::move(by_node[node.name])).Run());
  // Whoever never got so far as to register is in no list of nodes.
  for (const TroubleView& trouble : cluster.troubles) {
    const auto known = [&trouble](const NodeView& node) { return node.name == trouble.peer; };
    if (std::any_of(nodes.begin(), nodes.end(), known)) continue;
    all.push_back({trouble.peer,
                   "it connects and is not registered",
                   {{Severity::kProblem, "it connects and cannot be used: " + trouble.why,
                     "the scheduler's and its own log name the same"}}});
  }
  LookAtCertificate("the scheduler", cluster.certificate,
                    "`allot cluster renew` on the head, or whoever else has signed it", &all);
  for (const GatewayRef& gateway : cluster.gateways)
    LookAtCertificate("gateway " + gateway.name, gateway.certificate,
                      "`allot cluster certificate` on the head makes another (docs/deploy.md), or "
                      "`allot cluster renew` for the head's own",
                      &all);
  return all;
}

std::vector<Finding> DiagnoseCluster(const ClusterView& cluster) {
  std::vector<Finding> findings;
  if (!cluster.token_expires.empty())
    findings.push_back(
        {Severity::kNotice,
         fmt::format("your token, {}, expires on {}", cluster.token, cluster.token_expires),
         "ask for a new one in time"});
  const auto of_tokens = [&](int64_t count, std::string_view what, std::string next) {
    if (count > 0)
      findings.push_back({Severity::kNotice,
                          fmt::format("{} token{} {}", count, count == 1 ? "" : "s", what),
                          std::move(next)});
  };
  of_tokens(cluster.tokens_expiring, "will expire within a week",
            "`allot user list` on the head names them; `allot user add NAME --replace` makes anew");
  of_tokens(cluster.tokens_expired, "expired",
            "`allot user list` on the head names them; `allot user remove NAME` ends their line");
  return findings;
}

std::string DoctorLines(const std::vector<Diagnosis>& all) {
  if (all.empty()) return "no nodes; start an allot-agent that dials this scheduler\n";
  Table table({{"NODE"},
               {""},
               {"PROBLEMS", Table::Align::kRight},
               {"NOTICES", Table::Align::kRight},
               {"FIRST"}});
  for (const Diagnosis& d : all) {
    const Finding* first = First(d, Severity::kProblem);
    if (first == nullptr) first = First(d, Severity::kNotice);
    table.Add({d.node, d.well() ? "well" : "unwell", std::to_string(Count(d, Severity::kProblem)),
               std::to_string(Count(d, Severity::kNotice)), first == nullptr ? "" : first->what});
  }
  return table.ToString();
}

std::string DoctorText(const Diagnosis& diagnosis) {
  std::string out = fmt::format("{}: {}\n{}\n", diagnosis.node,
                                diagnosis.well() ? "well" : "unwell", diagnosis.summary);
  for (const Severity severity : {Severity::kProblem, Severity::kNotice}) {
    for (const Finding& finding : diagnosis.findings) {
      if (finding.severity != severity) continue;
      out += fmt::format("\n{} {}\n", severity == Severity::kProblem ? "problem" : "notice ",
                         finding.what);
      if (!finding.next.empty()) out += "   next: " + finding.next + "\n";
    }
  }
  return out;
}

std::string DoctorJson(const std::vector<Diagnosis>& all, const std::vector<Finding>& of_cluster) {
  json::array nodes, cluster;
  for (const Finding& f : of_cluster)
    cluster.push_back({{"severity", "notice"}, {"what", f.what}, {"next", f.next}});
  bool well = true;
  for (const Diagnosis& d : all) {
    well &= d.well();
    json::array findings;
    for (const Finding& f : d.findings) {
      findings.push_back({{"severity", f.severity == Severity::kProblem ? "problem" : "notice"},
                          {"what", f.what},
                          {"next", f.next}});
    }
    nodes.push_back({{"name", d.node},
                     {"well", d.well()},
                     {"summary", d.summary},
                     {"findings", std::move(findings)}});
  }
  return json::serialize(json::object{{"version", 1},
                                      {"well", well},
                                      {"cluster", std::move(cluster)},
                                      {"nodes", std::move(nodes)}});
}

}  // namespace allot::client
