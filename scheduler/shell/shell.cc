#include "scheduler/shell/shell.h"

#include <utility>

#include "common/asio/timer.h"
#include "common/auth/uses.h"
#include "common/base/address.h"
#include "common/base/logging.h"
#include "common/http/server.h"
#include "common/transport/context.h"
#include "scheduler/shell/api/api.h"

namespace allot::scheduler {
namespace {

constexpr size_t kBodiesBytesMax = limits::kApiBodiesBytes.value;
constexpr auto kUsesKeptEvery = std::chrono::seconds(60);
constexpr Duration kExpiresSoon = std::chrono::hours(7 * 24);

}  // namespace

// Members are destroyed from the last to the first: whoever calls goes before what it calls.
struct Shell::Impl {
  Impl(boost::asio::io_context& l, Options o) : loop(l), options(std::move(o)), uses_timer(l) {}

  Status Open();
  Status OpenHttp();
  Status Begin();
  std::string MetricsText();
  void ReadUses();
  void KeepUses();
  void KeepUsesNowAndThen();

  boost::asio::io_context& loop;
  const Options options;
  Metrics metrics;
  std::unique_ptr<audit::Log> audit;
  std::unique_ptr<auth::Tokens> tokens;
  std::vector<auth::TokenUse> uses_kept;
  bool uses_trouble = false;
  std::unique_ptr<History> history;
  std::unique_ptr<transport::Context> context;
  std::unique_ptr<Pipeline> pipeline;
  std::unique_ptr<Peers> peers;
  std::unique_ptr<LogReader> logs;
  std::unique_ptr<Waiters> waiters;
  std::unique_ptr<HeldAnswers> held;
  std::unique_ptr<Lists> lists;
  std::optional<Services> services;
  std::optional<Api> api;
  std::unique_ptr<http::Server> server;
  Timer uses_timer;
};

Status Shell::Impl::Open() {
  ASSIGN_OR_RETURN(tokens, auth::Tokens::Load({.file = options.tokens_file, .open = options.open}));
  if (options.audit) {
    ASSIGN_OR_RETURN(audit, audit::Log::Open(*options.audit));
  }
  ASSIGN_OR_RETURN(pipeline, Pipeline::Open(loop, options.pipeline, metrics));
  ASSIGN_OR_RETURN(history, History::Open(options.pipeline.state_dir));
  ASSIGN_OR_RETURN(context, transport::Context::Create({.allow_file = options.allow_file}));
  peers = std::make_unique<Peers>(loop, *pipeline, metrics);
  RETURN_IF_ERROR(peers->Listen(*context, *tokens,
                                {.endpoint = options.listen,
                                 .keys = options.keys,
                                 .allow_file = options.allow_file,
                                 .advertise = options.advertise,
                                 .own_host = options.own_host,
                                 .certificate_file = options.tls ? options.tls->certificate : "",
                                 .audit = audit.get()}));
  ReadUses();
  KeepUsesNowAndThen();
  logs = std::make_unique<LogReader>(loop, *pipeline, *peers, *history);
  waiters = std::make_unique<Waiters>(loop, *pipeline);
  held = std::make_unique<HeldAnswers>(*pipeline);
  lists = std::make_unique<Lists>(loop, *pipeline, *held);
  RETURN_IF_ERROR(OpenHttp());
  return Begin();
}

Status Shell::Impl::OpenHttp() {
  ASSIGN_OR_RETURN(server,
                   http::Server::Listen(
                       loop,
                       {.listen = options.http_listen,
                        .body_bytes_max = limits::kApiBodyBytes.value,
                        .bodies_bytes_max = kBodiesBytesMax,
                        .answers_bytes_max = static_cast<size_t>(options.answers_bytes_max),
                        .refuse = [this](const http::Request& head) { return api->Refuse(head); },
                        .standing = [this](std::string_view authorization) {
                          return tokens->Standing(authorization);
                        },
                        .connections_max = options.connections_max,
                        .connections_per_address_max = options.connections_per_address_max,
                        .loopback_names = options.local,
                        .plain_tokens = options.plain_tokens,
                        .tls = options.tls},
                       [this](http::Request request, http::ResponderPtr responder) {
                         api->Handle(std::move(request), std::move(responder));
                       }));
  services.emplace(
      Services{.pipeline = *pipeline,
               .peers = *peers,
               .history = *history,
               .waiters = *waiters,
               .logs = *logs,
               .lists = *lists,
               .held = *held,
               .tokens = *tokens,
               .metrics = metrics,
               .metrics_text = [this] { return MetricsText(); },
               .name = options.name,
               .started = pipeline->Now(),
               .http_address =
                   WithTls(Advertised(server->address(), options.http_advertise, options.own_host),
                           options.tls.has_value()),
               .certificate = [this] { return server->tls(); },
               .limits = options.limits,
               .audit = audit.get()});
  api.emplace(loop, *services);
  return absl::OkStatus();
}

Status Shell::Impl::Begin() {
  return pipeline->Begin(
      {.prepare_send = [this](SendToAgent send) { return peers->PrepareSend(std::move(send)); },
       .prepare_routes =
           [this](std::shared_ptr<const RouteTable> table) {
             return peers->PrepareRoutes(std::move(table));
           },
       .prepare_reply = [this](const Reply& reply) { return waiters->PrepareReply(reply); },
       .prepare_job_ended = [this](JobId job) { return waiters->PrepareJobEnded(job); },
       .performed = [this] { peers->Flush(); }});
}

std::string Shell::Impl::MetricsText() {
  metrics.Take({.now = pipeline->Now(),
                .core = pipeline->core(),
                .census = pipeline->census(),
                .zap = &context->zap(),
                .link = &peers->counters(),
                .gate = &peers->gate(),
                .gateways = peers->gateways().size(),
                .http_connections = server->connections(),
                .journal_waiting = pipeline->waiting_records(),
                .degraded = pipeline->degraded().has_value(),
                .tokens_stale = !tokens->Reload().ok(),
                .clock_offset = pipeline->ClockOffset(),
                .http_answers_bytes = server->answers_bytes(),
                .http_turned = http::TurnedAway(*server),
                .certificate = server->tls(),
                .tokens_expiring = tokens->Expiring(kExpiresSoon),
                .tokens_expired = tokens->Expired(),
                .audit = audit == nullptr ? nullptr : &audit->counters()});
  return metrics.registry.Text();
}

void Shell::Impl::ReadUses() {
  const StatusOr<std::vector<auth::TokenUse>> uses =
      auth::LoadUses(fmt::format("{}/{}", options.pipeline.state_dir, auth::kUsesFileName));
  if (!uses.ok())
    return spdlog::warn("when tokens were used is not known: {}", MessageOf(uses.status()));
  tokens->NoteUses(*uses);
}

void Shell::Impl::KeepUses() {
  std::vector<auth::TokenUse> uses = tokens->uses();
  if (uses == uses_kept) return;
  const Status kept =
      auth::SaveUses(fmt::format("{}/{}", options.pipeline.state_dir, auth::kUsesFileName), uses);
  if (kept.ok())
    uses_kept = std::move(uses);
  else if (!uses_trouble)
    spdlog::warn("when tokens were used is not kept: {}", MessageOf(kept));
  uses_trouble = !kept.ok();
}

void Shell::Impl::KeepUsesNowAndThen() {
  KeepUses();
  uses_timer.After(kUsesKeptEvery, [this] { KeepUsesNowAndThen(); });
}

StatusOr<std::unique_ptr<Shell>> Shell::Start(boost::asio::io_context& loop, Options options) {
  auto impl = std::make_unique<Impl>(loop, std::move(options));
  RETURN_IF_ERROR(impl->Open());
  return std::unique_ptr<Shell>(new Shell(std::move(impl)));
}

Shell::Shell(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Shell::~Shell() = default;

Status Shell::Stop() {
  impl_->KeepUses();
  return impl_->pipeline->Stop();
}

std::string Shell::endpoint() const { return impl_->peers->endpoint(); }
std::string Shell::http_address() const { return impl_->server->address(); }
Pipeline& Shell::pipeline() { return *impl_->pipeline; }

}  // namespace allot::scheduler
