#include "client/commands/commands.h"
#include "client/table.h"
#include "client/text.h"

namespace allot::client {
namespace {

std::string StateOf(const NodeView& n) {
  if (!n.alive) return "lost";
  return n.draining ? "draining" : "ready";
}

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
  std::string text = table.ToString();
  for (const NodeView& n : nodes)
    for (const std::string& loss : n.losses)
      text += fmt::format("{}: not kept apart: {}\n", n.name, loss);
  return text;
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
  return table.ToString();
}

void AddDrain(CLI::App& app, Session& session, bool drain) {
  CLI::App* command =
      drain ? AddCommand(app, "drain", "Take a node out: what runs ends, nothing new starts",
                         "  allot drain node-7 && allot nodes")
            : AddCommand(app, "undrain", "Take a drained node in again", "  allot undrain node-7");
  auto name = std::make_shared<std::string>();
  AddName(command, "NODE", *name, "Its name in `allot nodes`");
  AddJson(command, session);
  OnRun(command, session, [&session, name, drain]() -> StatusOr<int> {
    ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, session.Connect());
    ASSIGN_OR_RETURN(const Answer<NodeView> answer, api->Drain(*name, drain));
    const NodeView& n = answer.view;
    Print(session.json ? answer.body
          : drain ? fmt::format("{} takes nothing new; {} tasks and {} replicas still run there",
                                n.name, n.tasks, n.replicas)
                  : fmt::format("{} takes work again", n.name));
    return 0;
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
}

}  // namespace allot::client
