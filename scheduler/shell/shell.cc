#include "scheduler/shell/shell.h"

#include <utility>

#include "common/base/address.h"
#include "common/http/server.h"
#include "common/transport/context.h"
#include "scheduler/shell/api/api.h"

namespace allot::scheduler {

// Members are destroyed from the last to the first: whoever calls goes before what it calls.
struct Shell::Impl {
  Impl(boost::asio::io_context& l, Options o) : loop(l), options(std::move(o)) {}

  Status Open();
  Status OpenHttp();
  Status Begin();
  std::string MetricsText();

  boost::asio::io_context& loop;
  const Options options;
  Metrics metrics;
  std::unique_ptr<auth::Tokens> tokens;
  std::unique_ptr<History> history;
  std::unique_ptr<transport::Context> context;
  std::unique_ptr<Pipeline> pipeline;
  std::unique_ptr<Peers> peers;
  std::unique_ptr<LogReader> logs;
  std::unique_ptr<Waiters> waiters;
  std::optional<Services> services;
  std::optional<Api> api;
  std::unique_ptr<http::Server> server;
};

Status Shell::Impl::Open() {
  ASSIGN_OR_RETURN(tokens,
                   auth::Tokens::Load({.file = options.tokens_file, .local = options.local}));
  ASSIGN_OR_RETURN(pipeline, Pipeline::Open(loop, options.pipeline, metrics));
  ASSIGN_OR_RETURN(history, History::Open(options.pipeline.state_dir));
  ASSIGN_OR_RETURN(context, transport::Context::Create({.allow_file = options.allow_file}));
  peers = std::make_unique<Peers>(loop, *pipeline, metrics);
  RETURN_IF_ERROR(peers->Listen(*context, *tokens,
                                {.endpoint = options.listen,
                                 .keys = options.keys,
                                 .allow_file = options.allow_file,
                                 .advertise = options.advertise,
                                 .own_host = options.own_host}));
  logs = std::make_unique<LogReader>(loop, *pipeline, *peers, *history);
  waiters = std::make_unique<Waiters>(loop, *pipeline);
  RETURN_IF_ERROR(OpenHttp());
  return Begin();
}

Status Shell::Impl::OpenHttp() {
  ASSIGN_OR_RETURN(server,
                   http::Server::Listen(
                       loop,
                       {.listen = options.http_listen,
                        .refuse = [this](const http::Request& head) { return api->Refuse(head); }},
                       [this](http::Request request, http::ResponderPtr responder) {
                         api->Handle(std::move(request), std::move(responder));
                       }));
  services.emplace(Services{
      .pipeline = *pipeline,
      .peers = *peers,
      .history = *history,
      .waiters = *waiters,
      .logs = *logs,
      .tokens = *tokens,
      .metrics = metrics,
      .metrics_text = [this] { return MetricsText(); },
      .name = options.name,
      .started = pipeline->Now(),
      .http_address = Advertised(server->address(), options.http_advertise, options.own_host),
      .local = options.local,
      .limits = options.limits});
  api.emplace(*services);
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
                .gateways = peers->gateways().size(),
                .http_connections = server->connections(),
                .journal_waiting = pipeline->waiting_records(),
                .degraded = pipeline->degraded().has_value(),
                .tokens_stale = !tokens->Reload().ok(),
                .clock_offset = pipeline->ClockOffset()});
  return metrics.registry.Text();
}

StatusOr<std::unique_ptr<Shell>> Shell::Start(boost::asio::io_context& loop, Options options) {
  auto impl = std::make_unique<Impl>(loop, std::move(options));
  RETURN_IF_ERROR(impl->Open());
  return std::unique_ptr<Shell>(new Shell(std::move(impl)));
}

Shell::Shell(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Shell::~Shell() = default;

Status Shell::Stop() { return impl_->pipeline->Stop(); }

std::string Shell::endpoint() const { return impl_->peers->endpoint(); }
std::string Shell::http_address() const { return impl_->server->address(); }
Pipeline& Shell::pipeline() { return *impl_->pipeline; }

}  // namespace allot::scheduler
