#include "gateway/gateway.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>
#include <utility>

#include "common/asio/timer.h"
#include "common/auth/tokens.h"
#include "common/base/address.h"
#include "common/base/check.h"
#include "common/base/logging.h"
#include "common/base/loopback.h"
#include "common/http/server.h"
#include "common/program/own_address.h"
#include "common/transport/context.h"
#include "gateway/agent_links.h"
#include "gateway/http_api.h"
#include "gateway/metrics.h"
#include "gateway/request_plane.h"
#include "gateway/scheduler_link.h"

namespace allot::gateway {
namespace {

constexpr std::string_view kTcp = "tcp://";
constexpr size_t kBodiesBytesMax = limits::kGatewayBodiesBytes.value;

Status CheckOptions(const Options& options) {
  if (options.name.empty()) return InvalidArgument("the gateway has no name");
  if (options.schedulers.empty()) return InvalidArgument("the gateway has no scheduler to dial");
  for (const auto& [what, endpoint] :
       {std::pair("listen", options.listen), std::pair("scheduler", options.schedulers.front())})
    if (!endpoint.starts_with(kTcp))
      return InvalidArgument("{} is \"{}\"; give tcp://HOST:PORT", what, endpoint);
  if (!options.local) return absl::OkStatus();
  RETURN_IF_ERROR(auth::CheckLoopback("listen", options.listen.substr(kTcp.size())));
  return auth::CheckLoopback("http_listen", options.http_listen);
}

// None: it says something that this build does not know, and so it may do nothing here.
std::optional<auth::Principal> PrincipalOf(const wire::AdmittedToken& token) {
  const std::optional<auth::Role> role = auth::ParseRole(token.role());
  if (!role) return std::nullopt;
  auth::Principal principal{token.name(), *role, token.tenant()};
  if (token.expires() != 0) principal.expires = FromMicros(token.expires());
  for (const std::string& word : token.only()) {
    const std::optional<auth::Area> area = auth::ParseArea(word);
    if (!area) return std::nullopt;
    principal.scope.only.push_back(*area);
  }
  principal.scope.deployments.assign(token.deployments().begin(), token.deployments().end());
  return principal;
}

}  // namespace

// Members in the order of their dependence: what is declared later is destroyed first.
class Gateway::Impl {
 public:
  Impl(boost::asio::io_context& loop, Options options)
      : loop_(loop), options_(std::move(options)), retire_timer_(loop) {}

  Status Open() {
    RETURN_IF_ERROR(CheckOptions(options_));
    if (options_.audit) {
      // Its own by default is in state_dir, which is made where it is not there; why it cannot be
      // is said below.
      std::error_code ignored;
      std::filesystem::create_directories(std::filesystem::path(options_.audit->file).parent_path(),
                                          ignored);
      ASSIGN_OR_RETURN(audit_, audit::Log::Open(*options_.audit));
    }
    ASSIGN_OR_RETURN(
        tokens_,
        auth::Tokens::Load({.file = options_.tokens_file, .learns = true, .open = options_.open}));
    ASSIGN_OR_RETURN(
        context_, transport::Context::Create({.allow_file = options_.allow_file, .learns = true}));
    ASSIGN_OR_RETURN(renewed_,
                     transport::RenewedKeys::Load(options_.renewed_keys_file, options_.keys,
                                                  options_.scheduler_public_key));
    options_.keys = renewed_->own();
    plane_ = std::make_unique<RequestPlane>(
        loop_, clock_, metrics_,
        RequestPlane::Options{
            .seed = options_.seed,
            .answer_bytes_max = options_.answer_bytes_max,
            .answers_bytes_max = static_cast<uint64_t>(options_.answers_bytes_max),
            .backlog_bytes_max = options_.backlog_bytes_max,
            .answer_timeout = options_.answer_timeout},
        RequestPlane::Wire{
            .forward =
                [this](const std::string& node, wire::ForwardRequest request, std::string body) {
                  return agents_ != nullptr &&
                         agents_->Forward(node, std::move(request), std::move(body));
                },
            .cancel =
                [this](const std::string& node, uint64_t request) {
                  if (agents_ != nullptr) agents_->Cancel(node, request);
                },
            .grant =
                [this](const std::string& node, uint64_t request, uint64_t total) {
                  if (agents_ != nullptr) agents_->Grant(node, request, total);
                }});
    RETURN_IF_ERROR(OpenAgents());
    api_ = std::make_unique<HttpApi>(
        *plane_, *tokens_, metrics_, [this] { return MetricsText(); }, audit_.get());
    CHECK(kBodyBytesMax < transport::ServerLink::Options().message_bytes_max);
    const int64_t body_max = std::min(options_.body_bytes_max, kBodyBytesMax);
    ASSIGN_OR_RETURN(
        server_, http::Server::Listen(
                     loop_,
                     {.listen = options_.http_listen,
                      .body_bytes_max = static_cast<size_t>(body_max),
                      .bodies_bytes_max = kBodiesBytesMax,
                      .answers_bytes_max = static_cast<size_t>(options_.answers_bytes_max),
                      .refuse = [this](const http::Request& head) { return api_->Refuse(head); },
                      .standing =
                          [this](std::string_view authorization) {
                            return tokens_->Standing(authorization);
                          },
                      .connections_max = options_.connections_max,
                      .connections_per_address_max = options_.connections_per_address_max,
                      .loopback_names = options_.local,
                      .plain_tokens = options_.plain_tokens,
                      .tls = options_.tls,
                      .own_answer =
                          [this](http::Response plain, const Status& why) {
                            return api_->OwnAnswer(std::move(plain), why);
                          },
                      .half_close = true,
                      .cors_origins = options_.cors_origins},
                     [this](http::Request request, http::ResponderPtr responder) {
                       api_->Handle(std::move(request), responder);
                     }));
    OpenScheduler();
    return absl::OkStatus();
  }

  std::string http_address() const { return server_->address(); }
  std::string endpoint() const { return agents_->endpoint(); }
  std::string public_key() const { return options_.keys.public_key; }
  bool has_routes() const { return plane_->core().routes().version != 0; }
  size_t open() const { return plane_->open(); }

 private:
  Status OpenAgents() {
    AgentLinks::Options options;
    options.gateway = options_.name;
    options.link.endpoint = options_.listen;
    options.link.keys = options_.keys;
    options.silence_max = options_.agent_silence_max;
    options.sweep_every = options_.hello_every;
    RequestPlane* plane = plane_.get();
    ASSIGN_OR_RETURN(
        agents_,
        AgentLinks::Listen(
            *context_, loop_, clock_, std::move(options),
            {.linked = [plane](const std::string& node) { plane->Linked(node); },
             .unlinked = [plane](const std::string& node) { plane->Unlinked(node); },
             .head =
                 [plane](const std::string& node, wire::ResponseHead head, std::string body) {
                   plane->OnHead(node, std::move(head), std::move(body));
                 },
             .chunk = [plane](const std::string& node, const wire::ResponseChunk& chunk,
                              std::string body) { plane->OnChunk(node, chunk, std::move(body)); },
             .failed =
                 [plane](const std::string& node, const wire::ResponseFailed& failed) {
                   plane->OnFailed(node, failed);
                 }}));
    return absl::OkStatus();
  }

  void OpenScheduler() {
    SchedulerLink::Options options;
    options.endpoints = options_.schedulers;
    options.link.server_public_key = options_.scheduler_public_key;
    options.link.keys = options_.keys;
    options.hello_every = options_.hello_every;
    options.silence_max = options_.scheduler_silence_max;
    options.renewed = renewed_.get();
    // Agents are told of it by the scheduler, as soon as that has taken it.
    options.prepare = [this](const transport::KeyPair& next) { return agents_->AddKey(next); };
    options.on_renewed = [this](const transport::KeyPair& now) { Renewed(now); };
    scheduler_ = std::make_unique<SchedulerLink>(
        *context_, loop_, clock_, std::move(options),
        [this] {
          wire::GatewayHello hello;
          const std::string host = OwnHost();
          hello.set_name(options_.name);
          hello.set_admission_version(admission_);
          hello.mutable_address()->set_endpoint(
              Advertised(agents_->endpoint(), options_.advertise, host));
          hello.mutable_address()->set_public_key(options_.keys.public_key);
          hello.set_http_address(
              WithTls(Advertised(server_->address(), options_.http_advertise, host),
                      options_.tls.has_value()));
          if (const std::optional<http::TlsState> tls = server_->tls()) {
            hello.set_certificate_expires(tls->expires);
            hello.set_certificate_stale(tls->stale);
          }
          hello.set_routes_incarnation(plane_->core().routes().incarnation.value());
          hello.set_routes_term(plane_->core().routes().term.value());
          hello.set_routes_version(plane_->core().routes().version);
          TellNodes(&hello);
          TellUses(&hello);
          return hello;
        },
        [this](std::shared_ptr<const RouteTable> table) { plane_->TakeRoutes(std::move(table)); },
        [this](const wire::Admission& lists) { Admit(lists); });
  }

  // Where others find this machine. Beside its scheduler that knows better: it puts its own address
  // in place of a wildcard (scheduler/shell/peers.h).
  std::string OwnHost() const {
    if (!options_.own_host.empty()) return options_.own_host;
    if (IsLoopbackAddress(scheduler_->dialled())) return "";
    return program::AddressTowards(scheduler_->dialled()).value_or("");
  }

  void Admit(const wire::Admission& lists) {
    std::vector<transport::AllowedPeer> agents;
    for (const wire::AdmittedAgent& agent : lists.agents())
      if (transport::CheckKeyText(agent.public_key(), "").ok())
        agents.push_back({agent.name(), agent.public_key(), transport::Role::kAgent,
                          transport::CheckKeyText(agent.retired_key(), "").ok()
                              ? agent.retired_key()
                              : std::string(),
                          FromMicros(agent.retired_until())});
    std::vector<auth::TokenRow> tokens;
    for (const wire::AdmittedToken& token : lists.tokens())
      if (std::optional<auth::Principal> principal = PrincipalOf(token))
        tokens.push_back({token.sha256(), *std::move(principal)});
    context_->SetLearned(std::move(agents));
    tokens_->SetLearned(tokens);
    admission_ = lists.version();
    SPDLOG_INFO("the scheduler tells whom to admit agents={} tokens={}", lists.agents_size(),
                lists.tokens_size());
  }

  // Nodes that have replicas for us and are not linked.
  std::set<std::string> Unreached() const {
    std::set<std::string> nodes;
    for (const RouteDeployment& deployment : plane_->core().routes().deployments)
      for (const RouteReplica& replica : deployment.replicas)
        if (!agents_->linked(replica.node)) nodes.insert(replica.node);
    return nodes;
  }

  // Who is linked: when that has changed, over a new connection, and now and then.
  void TellNodes(wire::GatewayHello* hello) {
    constexpr uint32_t kHellosMax = 10;
    const auto said = std::pair(agents_->changes(), scheduler_->reconnects());
    if (said == told_nodes_ && ++hellos_since_ < kHellosMax) return;
    told_nodes_ = said;
    hellos_since_ = 0;
    hello->set_nodes_known(true);
    for (std::string& name : agents_->names()) hello->add_nodes(std::move(name));
    for (const auto& [name, why] : agents_->troubles()) {
      wire::UnreachedNode* node = hello->add_unreached();
      node->set_node(name);
      node->set_why(why);
    }
  }

  // Agents that have not heard of the new key yet may still dial the one before.
  void Renewed(const transport::KeyPair& now) {
    if (const Status added = agents_->AddKey(now); !added.ok())
      SPDLOG_ERROR("agents cannot dial the renewed key: {}", MessageOf(added));
    const std::string before = std::exchange(options_.keys, now).public_key;
    if (before == now.public_key) return;
    retire_timer_.After(transport::kRetiredKeysServe, [this, before] { agents_->DropKey(before); });
  }

  void TellUses(wire::GatewayHello* hello) {
    hello->set_token_limits(true);
    for (auth::TokenUse& use : tokens_->TakeUses()) {
      wire::TokenUse* out = hello->add_token_uses();
      out->set_name(std::move(use.name));
      out->set_sha256(std::move(use.sha256));
      out->set_time(ToMicros(use.time));
      out->set_address(std::move(use.address));
    }
  }

  std::string MetricsText() {
    Metrics::Sample sample;
    sample.nodes_linked = agents_->nodes();
    sample.nodes_unreached = Unreached().size();
    sample.http_connections = server_->connections();
    sample.http_turned = http::TurnedAway(*server_);
    sample.certificate = server_->tls();
    sample.answers_bytes = plane_->answers_bytes() + server_->answers_bytes();
    sample.scheduler_connected = scheduler_->connected();
    sample.scheduler_reconnects = scheduler_->reconnects();
    sample.gaps = agents_->gaps();
    sample.tokens_stale = !tokens_->Reload().ok();
    sample.audit = audit_ == nullptr ? nullptr : &audit_->counters();
    const transport::LinkCounters& link = agents_->counters();
    sample.link_drops = {{"stale", agents_->stale()},
                         {"unreadable", link.dropped_unreadable},
                         {"garbage", link.dropped_garbage + agents_->dropped_garbage() +
                                         scheduler_->dropped_garbage()},
                         {"version", link.dropped_version},
                         {"revoked", link.dropped_revoked},
                         {"unroutable", link.dropped_unroutable},
                         {"oversize", link.dropped_oversize},
                         {"too_many", link.dropped_too_many},
                         {"too_long", link.too_long},
                         {"connections", link.connections_over},
                         {"handshake", link.handshakes_failed}};
    sample.strangers = agents_->gate().strangers();
    sample.throttled = agents_->gate().throttled();
    sample.envelopes_in = link.envelopes_in;
    sample.envelopes_out = link.envelopes_out;
    sample.bytes_in = link.bytes_in;
    sample.bytes_out = link.bytes_out;
    const transport::ZapCounters& zap = context_->zap();
    sample.zap = {{"admitted", zap.admitted},
                  {"unknown_key", zap.refused_unknown_key},
                  {"wrong_role", zap.refused_role},
                  {"no_list", zap.refused_no_list},
                  {"wrong_mechanism", zap.refused_mechanism}};
    return metrics_.Text(plane_->core(), sample);
  }

  boost::asio::io_context& loop_;
  Options options_;
  GatewayClock clock_;
  Metrics metrics_;
  std::unique_ptr<audit::Log> audit_;
  std::unique_ptr<auth::Tokens> tokens_;
  std::unique_ptr<transport::Context> context_;
  std::unique_ptr<transport::RenewedKeys> renewed_;
  std::unique_ptr<RequestPlane> plane_;
  std::unique_ptr<AgentLinks> agents_;
  std::unique_ptr<HttpApi> api_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<SchedulerLink> scheduler_;
  Timer retire_timer_;
  uint64_t admission_ = 0;  // version of the lists the scheduler told us; 0: none
  std::optional<std::pair<uint64_t, uint64_t>> told_nodes_;  // links made and lost, connections
  uint32_t hellos_since_ = 0;
};

Gateway::Gateway(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Gateway::~Gateway() = default;

StatusOr<std::unique_ptr<Gateway>> Gateway::Start(boost::asio::io_context& loop, Options options) {
  auto impl = std::make_unique<Impl>(loop, std::move(options));
  RETURN_IF_ERROR(impl->Open());
  SPDLOG_INFO("gateway is up http={} endpoint={}", impl->http_address(), impl->endpoint());
  return std::unique_ptr<Gateway>(new Gateway(std::move(impl)));
}

std::string Gateway::http_address() const { return impl_->http_address(); }
std::string Gateway::endpoint() const { return impl_->endpoint(); }
std::string Gateway::public_key() const { return impl_->public_key(); }
bool Gateway::has_routes() const { return impl_->has_routes(); }
size_t Gateway::open() const { return impl_->open(); }

}  // namespace allot::gateway
