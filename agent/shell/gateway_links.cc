#include "agent/shell/gateway_links.h"

#include <algorithm>
#include <boost/asio/post.hpp>

#include "agent/shell/gateway_link.h"
#include "common/base/logging.h"

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

ReplicaId ServingReplicas::Named(ReplicaId id) const {
  if (id.incarnation().valid()) return id;
  const auto it = servers_.lower_bound(id);  // that of none comes first
  return it != servers_.end() && it->first.value() == id.value() ? it->first : id;
}

const ReplicaServer* ServingReplicas::Find(ReplicaId id) const {
  const auto it = servers_.find(id);
  return it == servers_.end() ? nullptr : &it->second;
}

GatewayLinks::GatewayLinks(boost::asio::io_context& loop, transport::Context& context,
                           Options options)
    : loop_(loop), context_(context), options_(std::move(options)), replicas_(loop) {
  // From within the link that is to go, so on the next turn.
  options_.abandoned = [this] {
    boost::asio::post(loop_, [this, alive = std::weak_ptr(alive_)] {
      if (!alive.expired()) Sweep();
    });
  };
}

GatewayLinks::~GatewayLinks() = default;

void GatewayLinks::SetGateways(const std::vector<GatewayAddress>& gateways,
                               const std::optional<std::vector<std::string>>& enrolled) {
  const auto may_be = [&enrolled](const std::string& key) {
    return !enrolled || std::find(enrolled->begin(), enrolled->end(), key) != enrolled->end();
  };
  for (auto& [endpoint, link] : links_) link->SetNamed(false);
  for (const GatewayAddress& address : gateways) {
    std::unique_ptr<GatewayLink>& link = links_[address.endpoint];
    if (link != nullptr && link->address() != address) {
      // One whose key was renewed is the same one, and what is under way on the link stays so.
      if (link->linked() && may_be(link->dialled_key()))
        link->SetKey(address.public_key);
      else
        link.reset();
    }
    if (link == nullptr)
      link =
          std::make_unique<GatewayLink>(loop_, context_, options_, address, replicas_, counters_);
    link->SetNamed(true);
  }
  std::erase_if(links_, [&may_be](const auto& entry) {
    if (may_be(entry.second->dialled_key())) return false;
    SPDLOG_WARN("dropped the gateway endpoint={}: its key is enrolled no more", entry.first);
    return true;
  });
  Sweep();
}

void GatewayLinks::SetKeys(const transport::KeyPair& keys) {
  options_.keys = keys;
  for (auto& [endpoint, link] : links_) link->DialAnewWhenIdle();
}

void GatewayLinks::Sweep() {
  std::erase_if(links_, [](const auto& entry) {
    if (!entry.second->abandoned()) return false;
    SPDLOG_INFO("dropped the gateway endpoint={}: it is not named and does not answer",
                entry.first);
    return true;
  });
}

size_t GatewayLinks::linked() const {
  return static_cast<size_t>(std::count_if(links_.begin(), links_.end(),
                                           [](const auto& link) { return link.second->linked(); }));
}

}  // namespace allot::agent
