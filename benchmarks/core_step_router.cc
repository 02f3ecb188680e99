#include "benchmarks/core_step_router.h"

#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "scheduler/router/core.h"

namespace allot::benchmarks {
namespace {

using router::Core;
using Clock = std::chrono::steady_clock;

constexpr uint32_t kConcurrency = 8;

struct Model {
  const char* name;
  DeviceKind kind;
  int64_t micros_per_hour;
  int64_t micros;  // to answer
};
constexpr Model kModels[] = {
    {"nvidia/h100-sxm-80g", DeviceKind::kGpu, 2'500'000, 20'000},
    {"groq/lpu-v1", DeviceKind::kAsic, 1'200'000, 8'000},
    {"intel/xeon-8480+", DeviceKind::kCpu, 400'000, 150'000},
    {"nvidia/l4", DeviceKind::kGpu, 700'000, 60'000},
};

std::shared_ptr<RouteTable> Table(uint32_t replicas, const std::string& algorithm) {
  auto table = std::make_shared<RouteTable>();
  table->term = Term(1);
  table->version = 1;
  table->policy_name = "bench";
  table->routing_algorithm = algorithm;
  table->value_nanos_per_second = 1'000'000;
  RouteDeployment& deployment = table->deployments.emplace_back();
  deployment.name = deployment.model = "chat";
  deployment.objective.end_to_end = std::chrono::milliseconds(100);
  for (uint32_t i = 0; i < replicas; ++i) {
    const Model& model = kModels[i % std::size(kModels)];
    RouteReplica& replica = deployment.replicas.emplace_back();
    replica.id = ReplicaId(i + 1);
    replica.node = "node-" + std::to_string(i / 8);
    replica.kind = model.kind;
    replica.device_model = model.name;
    replica.concurrency = kConcurrency;
    replica.price = PriceRate{model.micros_per_hour};
    replica.ready = true;
  }
  return table;
}

// Half of the fleet's places are kept taken; each round one request ends and one arrives. The
// arrival alone is timed: candidates, choice, bookkeeping and the record for `explain`.
void Measure(Report& report, uint32_t replicas, const std::string& algorithm, bool headline) {
  Core core(router::CoreOptions{});
  router::Effects effects;
  Time now = FromMicros(1'000'000'000);
  core.Step(now, router::RoutesReceived{Table(replicas, algorithm)}, effects);
  for (uint32_t n = 0; n <= replicas / 8; ++n)
    core.Step(now, router::NodeLinked{"node-" + std::to_string(n)}, effects);

  const size_t held = size_t{replicas} * kConcurrency / 2;
  const int rounds = replicas >= 1000 ? 20'000 : 100'000;
  std::deque<RequestId> flying;
  std::vector<double> micros;
  micros.reserve(static_cast<size_t>(rounds));
  uint64_t last = 0;
  const auto arrive = [&](bool timed) {
    router::RequestArrived arrived;
    arrived.id = RequestId(++last);
    arrived.model = "chat";
    const router::Event event = std::move(arrived);
    effects.Clear();
    const auto start = Clock::now();
    core.Step(now, event, effects);
    if (timed) {
      const std::chrono::duration<double, std::micro> took = Clock::now() - start;
      micros.push_back(took.count());
    }
    if (!effects.commands.empty() && std::holds_alternative<router::Forward>(effects.commands[0]))
      flying.push_back(RequestId(last));
  };
  for (size_t i = 0; i < held; ++i) arrive(false);
  const auto begin = Clock::now();
  for (int round = 0; round < rounds; ++round) {
    now += std::chrono::microseconds(50);
    if (!flying.empty()) {
      effects.Clear();
      core.Step(now, router::RequestCompleted{flying.front(), 200, 16}, effects);
      flying.pop_front();
    }
    arrive(true);
  }
  const std::chrono::duration<double> all = Clock::now() - begin;

  const std::string name = fmt::format("route {} {} replicas", algorithm, replicas);
  report.Add(name + " requests", "1/s", rounds / all.count());
  report.Add(name + " p50", "us", Percentile(micros, 0.5));
  report.Add(name + " p99", "us", Percentile(micros, 0.99));
  if (headline) report.Goal(name + " p50", 3, Report::kAtMost);
}

}  // namespace

void MeasureRouter(Report& report) {
  report.Method(
      "router: one deployment on four device models, half of the places taken; each round one "
      "request completes (requests/s counts both steps) and one arrives (p50, p99: its step alone, "
      "with the explanation written)");
  const std::string kDefault = "cheapest_within_slo";
  for (int run = 0; run < report.runs(); ++run) {
    for (uint32_t replicas : {10u, 64u, 1'000u})
      Measure(report, replicas, kDefault, replicas == 10);
    for (const char* other : {"round_robin", "least_outstanding", "fastest", "balanced"})
      Measure(report, 10, other, false);
  }
}

}  // namespace allot::benchmarks
