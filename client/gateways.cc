#include "client/gateways.h"

namespace allot::client {

std::string GatewayUrl(const GatewayRef& gateway, const std::string& scheduler_url) {
  std::string address = gateway.http_address, scheme = "http://";
  if (const size_t end = address.find("://"); end != std::string::npos) {
    scheme = address.substr(0, end + 3);
    address.erase(0, end + 3);
  }
  const size_t colon = address.rfind(':');
  const std::string host = address.substr(0, colon);
  const bool everywhere =
      host == "0.0.0.0" || host == "[::]" || host == "::" || host == "*" || host.empty();
  if (!everywhere || colon == std::string::npos) return scheme + address;
  const size_t start = scheduler_url.find("://") + 3;
  std::string there = scheduler_url.substr(start, scheduler_url.find('/', start) - start);
  const size_t port = there.rfind(':');
  if (port != std::string::npos && there.find(']', port) == std::string::npos) there.resize(port);
  return scheme + there + address.substr(colon);
}

StatusOr<std::string> FindGateway(Api& scheduler) {
  ASSIGN_OR_RETURN(const Answer<ClusterView> cluster, scheduler.Cluster());
  if (cluster.view.gateways.empty())
    return Unavailable(
        "the scheduler at {} knows no gateway; if there is one, give it with --gateway "
        "http://HOST:PORT",
        scheduler.url());
  std::string tried;
  for (const GatewayRef& gateway : cluster.view.gateways) {
    const std::string url = GatewayUrl(gateway, scheduler.url());
    Status status;
    if (const auto there = Api::Connect({.url = url,
                                         .token = scheduler.endpoint().token,
                                         .timeout = std::chrono::seconds(5),
                                         .security = scheduler.endpoint().security});
        there.ok())
      status = (*there)->GatewayDeployments().status();
    else
      status = there.status();
    if (status.ok()) return url;
    if (!IsAway(status)) return status;  // It is there, and says no.
    tried +=
        fmt::format("\n  {}: {}", gateway.name.empty() ? url : gateway.name, MessageOf(status));
  }
  return Unavailable(
      "no gateway can be reached from here at the address it announces; give one with --gateway "
      "http://HOST:PORT{}",
      tried);
}

}  // namespace allot::client
