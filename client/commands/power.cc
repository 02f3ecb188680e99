#include "client/commands/commands.h"
#include "client/table.h"
#include "client/text.h"

namespace allot::client {
namespace {

std::string Of(int64_t some, int64_t all) { return fmt::format("{}/{}", some, all); }

void AddLine(Table& table, const std::string& what, const PowerView& p) {
  table.Add(
      {what, p.rack, Power(p.leased_watts), p.cap_watts ? Power(p.cap_watts) : "",
       p.cap_watts && *p.cap_watts > 0 ? Ratio(p.leased_watts.value_or(0) / *p.cap_watts) : "",
       p.measured_watts ? Power(p.measured_watts) : "",
       p.devices_measured > 0 ? Of(p.devices_measured, p.devices) : "",
       p.devices_unknown > 0 ? Of(p.devices_unknown, p.devices) : ""});
}

std::string PowerText(const PowerPage& page) {
  Table table({{"WHAT"},
               {"RACK"},
               {"LEASED", Table::Align::kRight},
               {"CAP", Table::Align::kRight},
               {"USED", Table::Align::kRight},
               {"MEASURED", Table::Align::kRight},
               {"OF DEVICES", Table::Align::kRight},
               {"UNKNOWN", Table::Align::kRight}});
  AddLine(table, "cluster", page.cluster);
  for (const PowerView& rack : page.racks) AddLine(table, "rack " + rack.name, rack);
  for (const PowerView& node : page.nodes)
    AddLine(table, "node " + node.name + (node.alive ? "" : " (lost)"), node);
  std::string out = table.ToString();
  out +=
      "\nLeased is what the devices of leases draw at most; measured is what all devices that "
      "tell draw now.\n";
  if (page.cluster.devices_unknown > 0)
    out +=
        "Of the unknown nobody knows what they draw: they count 0 under the caps. Give their model "
        "`watts` in the price book.\n";
  return out;
}

}  // namespace

void AddPower(CLI::App& app, Session& session) {
  CLI::App* command =
      AddCommand(app, "power", "Power leased, capped and measured: cluster, racks, nodes",
                 "  allot power --watch");
  AddJson(command, session);
  AddWatch(command, session);
  OnRun(command, session, [&session]() -> StatusOr<int> {
    ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, session.Connect());
    return session.Show([&]() -> StatusOr<std::string> {
      ASSIGN_OR_RETURN(auto answer, api->Power());
      return session.json ? std::move(answer.body) : PowerText(answer.view);
    });
  });
}

}  // namespace allot::client
