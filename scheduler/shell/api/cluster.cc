#include <ctime>

#include "common/base/address.h"
#include "common/base/loopback.h"
#include "common/base/version.h"
#include "scheduler/shell/api/api.h"
#include "scheduler/shell/api/openapi.h"
#include "scheduler/shell/api/render.h"

namespace allot::scheduler::api {

namespace {

constexpr Duration kExpiresSoon = std::chrono::hours(7 * 24);

// Anybody may ask, so no more than the kind of trouble; the log has the file and the rest.
const char* KindOf(const Status& trouble) {
  switch (trouble.code()) {
    case absl::StatusCode::kResourceExhausted:
      return "the disk of the store is full";
    case absl::StatusCode::kPermissionDenied:
      return "the store may not be written";
    case absl::StatusCode::kDataLoss:
      return "files of the store were removed or replaced";
    case absl::StatusCode::kUnavailable:
      return "the disk of the store does not take what is written";
    default:
      return "the store cannot be written";
  }
}

}  // namespace

void Health(Services& services, Call& call) {
  const std::optional<Status>& degraded = services.pipeline.degraded();
  if (!degraded) return call.responder->Send({.body = "ok\n", .content_type = "text/plain"});
  call.responder->Send({.status = 503,
                        .headers = {{"Retry-After", "1"}},
                        .body = fmt::format("degraded: {}\n", KindOf(*degraded)),
                        .content_type = "text/plain"});
}

void GetMetrics(Services& services, Call& call) {
  call.responder->Send({.body = services.metrics_text(),
                        .content_type = "text/plain; version=0.0.4; charset=utf-8"});
}

void GetOpenApi(Services&, Call& call) { call.responder->Send({.body = OpenApiDocument()}); }

// Of who speaks TLS.
void RenderCertificate(const http::TlsState& certificate, JsonWriter& json) {
  if (certificate.expires == 0) return;
  json.Key("certificate").Object([&] {
    json.Field("expires", FromMicros(certificate.expires * 1'000'000));
    json.Field("expires_seconds", certificate.expires - std::time(nullptr));
    json.Field("stale", certificate.stale);
  });
}

void GetCluster(Services& services, Call& call) {
  AnswerJson(services, call, [&](JsonWriter& json) {
    const ClusterState& state = services.pipeline.core().state();
    const JobCounts jobs = services.pipeline.core().Counts();
    size_t alive = 0, lost = 0, draining = 0;
    for (const NodeState& node : state.nodes()) {
      ++(node.alive ? alive : lost);
      draining += node.alive && node.draining ? 1 : 0;
    }
    json.Field("name", services.name).Field("program_version", std::string_view(kVersion));
    json.Field("term", state.term().value());
    json.Field("incarnation", ToString(state.incarnation()));
    json.Field("started", services.started).Field("policy", state.policy()->name);
    RenderCertificate(services.certificate().value_or(http::TlsState()), json);
    json.Key("you").Object([&] {
      json.Field("name", call.principal.name).Field("role", ToString(call.principal.role));
      if (!call.principal.tenant.empty()) json.Field("tenant", call.principal.tenant);
      if (call.principal.expires) json.Field("expires", *call.principal.expires);
    });
    // Whose they are, is for those who give tokens.
    if (auth::Decide(call.principal, auth::Action::kSee, {auth::Kind::kKeys}).ok()) {
      json.Key("tokens").Object([&] {
        json.Field("expiring", services.tokens.Expiring(kExpiresSoon));
        json.Field("expired", services.tokens.Expired());
      });
    }
    json.Key("gateways").Array([&] {
      for (const Peers::Gateway& gateway : services.peers.gateways()) {
        json.Object([&] {
          json.Field("name", gateway.name).Field("http_address", gateway.http_address);
          RenderCertificate(gateway.certificate, json);
          if (const auto linked = services.peers.cuts().LinkedTo(gateway.name))
            json.Field("nodes_linked", *linked);
        });
      }
    });
    json.Key("cuts").Array([&] {
      for (const Unreached& cut : services.peers.cuts().All()) {
        json.Object([&] {
          json.Field("gateway", cut.gateway).Field("node", cut.node);
          if (!cut.why.empty()) json.Field("why", cut.why);
        });
      }
    });
    json.Key("troubles").Array([&] {
      for (const Peers::Trouble& trouble : services.peers.troubles()) {
        json.Object([&] {
          json.Field("peer", trouble.name).Field("why", trouble.why).Field("since", trouble.since);
        });
      }
    });
    json.Key("nodes").Object(
        [&] { json.Field("alive", alive).Field("lost", lost).Field("draining", draining); });
    json.Key("jobs").Object([&] {
      json.Field("pending", jobs.pending).Field("running", jobs.running);
      json.Field("stopping", jobs.stopping);
      // Those that the core has forgotten too.
      json.Field("finished",
                 state.jobs_accepted() - jobs.pending - jobs.running - jobs.stopping);
    });
    json.Field("deployments", state.deployments().size());
    json.Field("replicas", state.replicas().size());
  });
}

void GetPower(Services& services, Call& call) {
  AnswerJson(services, call,
             [&](JsonWriter& json) { RenderPower(services.pipeline.core(), json); });
}

// Prometheus wants a bare array, so this answer carries no version.
void PrometheusTargets(Services& services, Call& call) {
  JsonWriter json;
  // On loopback a program is found from this machine only, so only a Prometheus of this machine is
  // told of it.
  const std::optional<Address> asker = ParseAddress(call.request.peer);
  const bool near = asker && IsLoopbackHost(PlainHost(asker->host));
  constexpr std::string_view kTls = "https://";
  const auto target = [&](std::string_view address, std::string_view program,
                          std::string_view name) {
    if (!near && IsLoopbackAddress(address)) return;
    const bool secure = address.starts_with(kTls);
    if (secure) address.remove_prefix(kTls.size());
    json.Object([&] {
      json.Key("targets").Array([&] { json.Value(address); });
      json.Key("labels").Object([&] {
        json.Field("program", program).Field("node", name);
        if (secure) json.Field("__scheme__", std::string_view("https"));
      });
    });
  };
  json.Array([&] {
    target(services.http_address, "allot-scheduler", services.name);
    for (const Peers::Gateway& gateway : services.peers.gateways()) {
      if (!gateway.http_address.empty()) {
        target(gateway.http_address, "allot-gateway", gateway.name);
      }
    }
    for (const NodeState& node : services.pipeline.core().state().nodes()) {
      if (!node.info->metrics_address.empty()) {
        target(node.info->metrics_address, "allot-agent", node.info->name);
      }
    }
  });
  call.responder->Send({.body = json.Take()});
}

}  // namespace allot::scheduler::api
