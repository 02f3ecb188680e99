#include <algorithm>
#include <map>

#include "client/commands/commands.h"
#include "client/gateways.h"
#include "client/table.h"
#include "client/text.h"

namespace allot::client {
namespace {

constexpr size_t kBusiestMax = 8;
constexpr int kQueueShown = 10;

// All that one picture needs. The gateways' part is missing where they cannot be reached.
struct Picture {
  Answer<ClusterView> cluster;
  Answer<std::vector<DeviceView>> devices;
  Answer<std::vector<DeploymentView>> deployments;
  Answer<JobPage> queue;
  std::optional<Answer<PowerPage>> power;  // not of an older scheduler
  std::vector<GatewayDeployment> load;
};

StatusOr<Picture> Look(Api& api) {
  Picture p;
  ASSIGN_OR_RETURN(p.cluster, api.Cluster());
  ASSIGN_OR_RETURN(p.devices, api.Devices());
  ASSIGN_OR_RETURN(p.deployments, api.Deployments());
  ASSIGN_OR_RETURN(p.queue, api.Jobs({.phase = "pending", .limit = kQueueShown}));
  if (auto power = api.Power(); power.ok()) p.power = *std::move(power);
  for (const GatewayRef& gateway : p.cluster.view.gateways) {
    const auto there = Api::Connect({.url = GatewayUrl(gateway, api.url()),
                                     .token = api.endpoint().token,
                                     .timeout = std::chrono::seconds(3),
                                     .security = api.endpoint().security});
    if (!there.ok()) continue;
    const auto load = (*there)->GatewayDeployments();
    if (load.ok()) p.load.insert(p.load.end(), load->view.begin(), load->view.end());
  }
  return p;
}

std::string DevicesInUse(const std::vector<DeviceView>& devices) {
  struct Row {
    int total = 0, used = 0, unready = 0;
    double price = 0;
  };
  std::map<std::tuple<std::string, std::string, bool>, Row> rows;
  for (const DeviceView& d : devices) {
    Row& row = rows[{d.kind, d.model, d.emulated}];
    ++row.total;
    if (!d.used_by.empty()) {
      ++row.used;
      row.price += d.price_usd_per_hour.value_or(0);
    }
    if (d.state != "ready") ++row.unready;
  }
  Table table({{"KIND"},
               {"MODEL"},
               {""},
               {"IN USE", Table::Align::kRight},
               {"NOT READY", Table::Align::kRight},
               {"SPENDING", Table::Align::kRight}});
  for (const auto& [key, row] : rows) {
    const auto& [kind, model, emulated] = key;
    table.Add({kind, model, emulated ? "emulated" : " ", fmt::format("{}/{}", row.used, row.total),
               row.unready == 0 ? "" : std::to_string(row.unready),
               row.used == 0 ? "" : PerHour(row.price)});
  }
  return table.empty() ? "no devices\n" : table.ToString();
}

// "power 12.3kW leased of 20kW, 8.1kW measured"
std::string PowerLine(const Picture& p) {
  if (!p.power) return "";
  const PowerView& cluster = p.power->view.cluster;
  std::string line = "power " + Power(cluster.leased_watts) + " leased";
  if (cluster.cap_watts) line += " of " + Power(cluster.cap_watts);
  if (cluster.measured_watts) line += ", " + Power(cluster.measured_watts) + " measured";
  int over = 0;
  const auto count = [&over](const std::vector<PowerView>& lines) {
    for (const PowerView& line : lines)
      over += line.cap_watts && line.leased_watts.value_or(0) >= *line.cap_watts * 0.95 ? 1 : 0;
  };
  count(p.power->view.racks);
  count(p.power->view.nodes);
  if (over > 0) line += fmt::format(", {} racks or nodes at 95% of their cap or above", over);
  return line + "\n";
}

std::string Busiest(const Picture& p) {
  std::map<std::string, std::pair<int64_t, int64_t>> load;  // in flight, queued
  for (const GatewayDeployment& d : p.load) {
    load[d.name].first += d.in_flight;
    load[d.name].second += d.queued;
  }
  std::vector<DeploymentView> order = p.deployments.view;
  std::stable_sort(order.begin(), order.end(), [&](const auto& a, const auto& b) {
    const auto weight = [&](const DeploymentView& d) {
      const auto it = load.find(d.name);
      return it == load.end() ? 0 : it->second.first + it->second.second;
    };
    return weight(a) > weight(b);
  });
  if (order.size() > kBusiestMax) order.resize(kBusiestMax);
  Table table({{"DEPLOYMENT"},
               {"READY", Table::Align::kRight},
               {"IN FLIGHT", Table::Align::kRight},
               {"QUEUED", Table::Align::kRight},
               {"PRICE", Table::Align::kRight}});
  for (const DeploymentView& d : order) {
    double price = 0;
    for (const ReplicaView& r : d.replicas) price += r.price_usd_per_hour.value_or(0);
    const auto it = load.find(d.name);
    const bool known = it != load.end();
    table.Add({d.name, fmt::format("{}/{}", d.ready, d.wanted),
               known ? std::to_string(it->second.first) : "",
               known ? std::to_string(it->second.second) : "", PerHour(price)});
  }
  return table.empty() ? "no deployments\n" : table.ToString();
}

std::string Queue(const Picture& p) {
  if (p.queue.view.jobs.empty()) return "no job waits\n";
  Table table({{"WAITING"},
               {"NAME"},
               {"TENANT"},
               {"TASKS", Table::Align::kRight},
               {"FOR", Table::Align::kRight}});
  for (const JobView& job : p.queue.view.jobs)
    table.Add({job.id, job.name, job.tenant, std::to_string(job.tasks_total),
               Seconds(job.waited_seconds)});
  std::string out = table.ToString();
  if (!p.queue.view.next.empty()) out += "…\n";
  return out;
}

std::string PictureText(const Picture& p) {
  const ClusterView& c = p.cluster.view;
  return fmt::format(
      "{}  policy {}  term {}\n"
      "nodes {} ready, {} draining, {} lost   jobs {} waiting, {} running, {} stopping, {} "
      "finished   replicas {}\n{}\n{}\n{}\n{}",
      c.name.empty() ? "cluster" : c.name, c.policy, c.term, c.nodes_alive, c.nodes_draining,
      c.nodes_lost, c.jobs_pending, c.jobs_running, c.jobs_stopping, c.jobs_finished, c.replicas,
      PowerLine(p), DevicesInUse(p.devices.view), Busiest(p), Queue(p));
}

}  // namespace

void AddTop(CLI::App& app, Session& session) {
  CLI::App* command =
      AddCommand(app, "top", "The cluster at a glance: devices in use, deployments, queue",
                 "  allot top --watch");
  AddJson(command, session);
  AddWatch(command, session);
  OnRun(command, session, [&session]() -> StatusOr<int> {
    ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, session.Connect());
    return session.Show([&]() -> StatusOr<std::string> {
      ASSIGN_OR_RETURN(const Picture p, Look(*api));
      if (!session.json) return PictureText(p);
      // The answers of the API, whole, under one roof.
      return fmt::format(
          R"({{"version":1,"cluster":{},"devices":{},"deployments":{},"waiting":{},"power":{}}})",
          p.cluster.body, p.devices.body, p.deployments.body, p.queue.body,
          p.power ? p.power->body : "null");
    });
  });
}

}  // namespace allot::client
