#include <algorithm>

#include "client/commands/commands.h"
#include "client/doctor.h"
#include "client/table.h"
#include "client/text.h"

namespace allot::client {
namespace {

std::string StateOf(const NodeView& n) {
  if (!n.alive) return "lost";
  if (n.draining) return "draining";
  if (!n.unfit.empty()) return "unfit";
  if (!n.quarantine) return "ready";
  if (n.quarantine->probation) return "probation";
  return n.quarantine->by == "operator" ? "drained" : "quarantined";
}

// What is out of service says why, below the table: "n1 quarantined for 9m40s: the last 3 jobs …".
std::string QuarantineLine(const std::string& what, const std::string& state,
                           const QuarantineView& quarantine) {
  std::string line = what + " " + state;
  if (quarantine.until_seconds) line += " for " + Seconds(quarantine.until_seconds);
  return line + ": " + quarantine.why + "\n";
}

std::string UnderTable(const std::string& lines) { return lines.empty() ? "" : "\n" + lines; }

std::string NodesText(const std::vector<NodeView>& nodes) {
  if (nodes.empty()) return "no nodes; start an allot-agent that dials this scheduler\n";
  Table table({{"NODE"},
               {"STATE"},
               {"DEVICES FREE", Table::Align::kRight},
               {"CPUS FREE", Table::Align::kRight},
               {"MEMORY FREE", Table::Align::kRight},
               {"TASKS", Table::Align::kRight},
               {"REPLICAS", Table::Align::kRight},
               {"ISOLATION"},
               {"HEARD", Table::Align::kRight},
               {"ADDRESS"},
               {"VERSION"},
               {""}});
  for (const NodeView& n : nodes)
    table.Add({n.name, StateOf(n), fmt::format("{}/{}", n.devices_free, n.devices_total),
               Number(n.cpus_free) + "/" + Number(n.cpus_total),
               Memory(n.memory_free_bytes) + "/" + Memory(n.memory_total_bytes),
               std::to_string(n.tasks), std::to_string(n.replicas), n.isolation,
               Seconds(n.last_heard_seconds), n.address, n.version, n.emulated ? "emulated" : " "});
  std::string held;
  for (const NodeView& n : nodes) {
    if (n.quarantine) held += QuarantineLine(n.name, StateOf(n), *n.quarantine);
    if (n.devices_quarantined > 0)
      held += fmt::format("{}: {} of its devices quarantined or drained; see `allot doctor {}`\n",
                          n.name, n.devices_quarantined, n.name);
    for (const std::string& why : n.unfit)
      held += fmt::format("{}: starts nothing now: {}\n", n.name, why);
    // Of warnings only those that say how it is reached; `allot doctor` has them all.
    for (const std::string& warning : n.warnings)
      if (IsOfAddress(warning)) held += fmt::format("{}: {}\n", n.name, warning);
    for (const std::string& gateway : n.unreached_by)
      held += fmt::format("{}: the gateway {} does not reach it; see `allot doctor {}`\n", n.name,
                          gateway, n.name);
  }
  // A host's kind of loss is mostly that of all its like: told once, with whose it is.
  std::vector<std::pair<std::string, std::string>> losses;  // what, whose
  for (const NodeView& n : nodes) {
    for (const std::string& loss : n.losses) {
      const auto same = std::find_if(losses.begin(), losses.end(),
                                     [&](const auto& row) { return row.first == loss; });
      if (same == losses.end())
        losses.emplace_back(loss, n.name);
      else
        same->second += ", " + n.name;
    }
  }
  for (const auto& [loss, whose] : losses)
    held += fmt::format("{}: not kept apart: {}\n", whose, loss);
  return table.ToString() + UnderTable(held);
}

std::string DevicesText(const std::vector<DeviceView>& devices) {
  if (devices.empty()) return "no devices\n";
  Table table({{"NODE"},
               {"DEVICE"},
               {"KIND"},
               {"MODEL"},
               {""},
               {"MEMORY", Table::Align::kRight},
               {"STATE"},
               {"ISOLATION"},
               {"SOURCE"},
               {"USED BY"},
               {"PRICE", Table::Align::kRight},
               {"BUSY", Table::Align::kRight},
               {"POWER", Table::Align::kRight},
               {"TEMP", Table::Align::kRight}});
  for (const DeviceView& d : devices)
    table.Add({d.node, d.id, d.kind, d.model, d.emulated ? "emulated" : " ", Memory(d.memory_bytes),
               d.state, d.isolation, d.source, d.used_by, PerHour(d.price_usd_per_hour),
               Ratio(d.utilization_ratio),
               d.power_watts ? fmt::format("{:.0f}W", *d.power_watts) : "",
               d.temperature_celsius ? fmt::format("{:.0f}°C", *d.temperature_celsius) : ""});
  std::string held;
  for (const DeviceView& d : devices) {
    if (d.quarantine) held += QuarantineLine(d.node + " " + d.id, d.state, *d.quarantine);
  }
  return table.ToString() + UnderTable(held);
}

StatusOr<std::string> Drain(Session& session, const std::string& node, const std::string& device,
                            bool drain) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, session.Connect());
  if (!device.empty()) {
    ASSIGN_OR_RETURN(Answer<DeviceView> answer, api->DrainDevice(node, device, drain));
    if (session.json) return std::move(answer.body);
    if (!drain) return fmt::format("{} of {} takes work again", device, node);
    const std::string& user = answer.view.used_by;
    return fmt::format("nothing new starts on {} of {}{}", device, node,
                       user.empty() ? "" : "; " + user + " runs there and goes on");
  }
  ASSIGN_OR_RETURN(Answer<NodeView> answer, api->Drain(node, drain));
  if (session.json) return std::move(answer.body);
  const NodeView& n = answer.view;
  if (drain) {
    return fmt::format(
        "nothing new starts on {}; {} tasks run there and go on, and {} replicas serve until "
        "others are ready elsewhere",
        n.name, n.tasks, n.replicas);
  }
  std::string text = fmt::format("{} takes work again", n.name);
  if (n.devices_quarantined > 0)
    text += fmt::format("; {} of its devices do not: `allot undrain {} --device ID`",
                        n.devices_quarantined, n.name);
  return text;
}

void AddDrain(CLI::App& app, Session& session, bool drain) {
  CLI::App* command =
      drain
          ? AddCommand(app, "drain",
                       "Take a node, or a device, out of service: nothing new starts there, tasks "
                       "go on, replicas move once others are ready elsewhere",
                       "  allot drain node-7 && allot nodes\n"
                       "  allot drain node-7 --device 0000:17:00.0\n"
                       "Until `allot undrain`. `allot cancel` and `allot undeploy` end what runs.")
          : AddCommand(app, "undrain",
                       "Take a node, or a device, in again: ends its drain and its quarantine",
                       "  allot undrain node-7\n"
                       "  allot undrain node-7 --device 0000:17:00.0");
  auto name = std::make_shared<std::string>();
  auto device = std::make_shared<std::string>();
  AddName(command, "NODE", *name, "Its name in `allot nodes`");
  command->add_option("--device", *device, "Only this device of it, by its id in `allot devices`");
  AddJson(command, session);
  OnRun(command, session, [&session, name, device, drain]() -> StatusOr<int> {
    ASSIGN_OR_RETURN(const std::string text, Drain(session, *name, *device, drain));
    Print(text);
    return kOk;
  });
}

void AddDoctor(CLI::App& app, Session& session) {
  CLI::App* command = AddCommand(
      app, "doctor", "Tell what is wrong with a node, or with all, and what to do about it",
      "  allot doctor             one line a node; exit code 7 if one is not well\n"
      "  allot doctor node-7");
  auto name = std::make_shared<std::string>();
  command->add_option("NODE", *name, "Its name in `allot nodes`; none: all of them");
  AddJson(command, session);
  OnRun(command, session, [&session, name]() -> StatusOr<int> {
    ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, session.Connect());
    ASSIGN_OR_RETURN(const Answer<ClusterView> cluster, api->Cluster());
    ASSIGN_OR_RETURN(const Answer<std::vector<NodeView>> nodes, api->Nodes());
    ASSIGN_OR_RETURN(const Answer<std::vector<DeviceView>> devices, api->Devices());
    std::vector<Diagnosis> all = Diagnose(cluster.view, nodes.view, devices.view);
    if (!name->empty()) {
      std::erase_if(all, [&](const Diagnosis& d) { return d.node != *name; });
      if (all.empty()) return NotFound("there is no node \"{}\"; `allot nodes` lists them", *name);
    }
    const std::vector<Finding> of_cluster = DiagnoseCluster(cluster.view);
    if (!session.json)
      for (const Finding& finding : of_cluster)
        Say(fmt::format("notice: {}; {}", finding.what, finding.next));
    Print(session.json    ? DoctorJson(all, of_cluster)
          : name->empty() ? DoctorLines(all)
                          : DoctorText(all[0]));
    const bool well = std::all_of(all.begin(), all.end(), [](const auto& d) { return d.well(); });
    return well ? kOk : kUnwell;
  });
}

}  // namespace

void AddNodes(CLI::App& app, Session& session) {
  CLI::App* nodes = AddCommand(app, "nodes", "List nodes", "  allot nodes --watch 5");
  AddJson(nodes, session);
  AddWatch(nodes, session);
  OnRun(nodes, session, [&session]() -> StatusOr<int> {
    ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, session.Connect());
    return session.Show([&]() -> StatusOr<std::string> {
      ASSIGN_OR_RETURN(auto answer, api->Nodes());
      return session.json ? std::move(answer.body) : NodesText(answer.view);
    });
  });

  CLI::App* devices = AddCommand(app, "devices", "List devices, what they cost and who uses them",
                                 "  allot devices --json");
  AddJson(devices, session);
  AddWatch(devices, session);
  OnRun(devices, session, [&session]() -> StatusOr<int> {
    ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, session.Connect());
    return session.Show([&]() -> StatusOr<std::string> {
      ASSIGN_OR_RETURN(auto answer, api->Devices());
      return session.json ? std::move(answer.body) : DevicesText(answer.view);
    });
  });
  AddDrain(app, session, true);
  AddDrain(app, session, false);
  AddDoctor(app, session);
}

}  // namespace allot::client
