#include "agent/shell/gateway_links.h"

#include <algorithm>

#include "agent/shell/gateway_link.h"

namespace allot::agent {

void ServingReplicas::Set(const ReplicaServing& serving,
                          std::shared_ptr<const EndpointLease> endpoint) {
  const auto concurrency = [](const ReplicaServer& server, uint32_t requests) {
    if (server.endpoint == nullptr) return;
    for (const auto& load : server.endpoint->loads) load->concurrency = requests;
  };
  if (!serving.serving) {
    if (const auto it = servers_.find(serving.id); it != servers_.end()) {
      concurrency(it->second, 0);
      servers_.erase(it);
    }
    return;
  }
  const size_t idle_max = std::max<size_t>(serving.concurrency, 1);
  ReplicaServer& server = servers_[serving.id];
  if (server.client != nullptr && server.port == serving.port && server.endpoint == endpoint)
    return;
  server.port = serving.port;
  server.endpoint = std::move(endpoint);
  server.client = server.endpoint != nullptr
                      ? server.endpoint->endpoint->Connect(loop_, idle_max)
                      : std::make_unique<http::Client>(
                            loop_, fmt::format("127.0.0.1:{}", serving.port), idle_max);
  concurrency(server, serving.concurrency);
}

const ReplicaServer* ServingReplicas::Find(ReplicaId id) const {
  const auto it = servers_.find(id);
  return it == servers_.end() ? nullptr : &it->second;
}

GatewayLinks::GatewayLinks(boost::asio::io_context& loop, transport::Context& context,
                           Options options)
    : loop_(loop), context_(context), options_(std::move(options)), replicas_(loop) {}

GatewayLinks::~GatewayLinks() = default;

void GatewayLinks::SetGateways(const std::vector<GatewayAddress>& gateways) {
  std::map<std::string, std::unique_ptr<GatewayLink>> kept;
  for (const GatewayAddress& address : gateways) {
    auto it = links_.find(address.endpoint);
    if (it != links_.end() && it->second->address() == address) {
      kept.emplace(address.endpoint, std::move(it->second));
    } else {
      kept.emplace(address.endpoint, std::make_unique<GatewayLink>(loop_, context_, options_,
                                                                   address, replicas_, counters_));
    }
  }
  links_ = std::move(kept);
}

size_t GatewayLinks::connected() const {
  return static_cast<size_t>(std::count_if(
      links_.begin(), links_.end(), [](const auto& link) { return link.second->connected(); }));
}

}  // namespace allot::agent
