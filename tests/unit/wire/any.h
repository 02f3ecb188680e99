// Arbitrary values of the model, for properties. Call inside of rc::check only.
#pragma once

#include "common/model/deployment.h"
#include "common/model/messages.h"
#include "common/model/policy.h"
#include "rapidcheck.h"

namespace allot::any {

inline int64_t Number(int64_t low, int64_t high) {
  // Ends of the range often: that is where codecs break.
  switch (*rc::gen::inRange(0, 6)) {
    case 0:
      return low;
    case 1:
      return high;
    default:
      return *rc::gen::inRange<int64_t>(low, high);
  }
}
inline uint32_t Small(uint32_t high = 100) { return static_cast<uint32_t>(Number(0, high)); }
inline uint64_t Positive() { return static_cast<uint64_t>(Number(1, INT64_MAX)); }
inline bool Coin() { return *rc::gen::arbitrary<bool>(); }
inline double Real() { return static_cast<double>(Number(0, 1'000'000)) / 1024; }

inline std::string Text() {
  std::string text;
  for (uint32_t i = Small(5); i > 0; --i) {
    text += *rc::gen::elementOf(std::vector<std::string>{"a", "Z", " ", "/", "\"", "\n", "\xC3\xA9",
                                                         "\xF0\x9F\x9A\x80", std::string(1, '\0')});
  }
  return text;
}
template <class F>
auto Many(F item, uint32_t at_most = 3) {
  std::vector<decltype(item())> items;
  for (uint32_t i = Small(at_most); i > 0; --i) items.push_back(item());
  return items;
}
template <class F>
auto Maybe(F item) -> std::optional<decltype(item())> {
  if (Coin()) return std::nullopt;
  return item();
}
template <class Enum>
Enum OneOf(Enum last) {
  return static_cast<Enum>(Number(0, static_cast<int64_t>(last)));
}
inline std::map<std::string, std::string> Map() {
  std::map<std::string, std::string> map;
  for (uint32_t i = Small(3); i > 0; --i) map[Text()] = Text();
  return map;
}

inline Duration SomeDuration() { return Duration(Number(0, 10'000'000'000'000'000)); }
inline Time SomeTime() { return FromMicros(Number(0, 100'000'000'000'000'000)); }
inline Bytes SomeBytes() { return Number(0, int64_t{1} << 60); }
inline PriceRate Price() { return {Number(0, 1'000'000'000'000'000)}; }

inline Resources SomeResources() {
  return {
      .cpus = Number(0, 1'000'000'000), .memory = SomeBytes(), .memory_share = Coin()};
}
inline DeviceRequest Request() {
  return {.kind = Maybe([] { return OneOf(DeviceKind::kAsic); }),
          .vendor = Text(),
          .model = Text(),
          .count = Small(128),
          .min_memory = Maybe(SomeBytes),
          .worth = Real() + 0.5,
          .isolation = Maybe([] { return OneOf(Isolation::kHard); }),
          .joined = Coin()};
}
inline TaskKey Key() { return {{JobId(Positive()), Small(65'535)}, Attempt(1 + Small(1000))}; }
inline TaskExit Exit() {
  return {.code = static_cast<int32_t>(Number(-1, 255)),
          .signal = static_cast<int32_t>(Number(0, 64)),
          .message = Text(),
          .started = SomeTime(),
          .finished = SomeTime(),
          .energy = Maybe([] { return Number(0, INT64_MAX); }),
          .cause = OneOf(ExitCause::kLeaseEnded)};
}
inline TaskStatus Status() {
  TaskStatus status{.key = Key(),
                    .phase = OneOf(TaskPhase::kExited),
                    .pid = Number(0, INT32_MAX),
                    .started = SomeTime()};
  if (status.phase == TaskPhase::kExited) status.exit = Exit();
  if (Coin()) status.progress = {Number(0, 1000), Number(0, 1000), Maybe(Real)};
  return status;
}
inline ReplicaStatus OfReplica() {
  return {.id = ReplicaId(Positive()),
          .phase = OneOf(ReplicaPhase::kDraining),
          .restarts = Small(),
          .pid = Number(0, INT32_MAX),
          .message = Text()};
}
inline Device SomeDevice() {
  return {.id = Text(),
          .kind = OneOf(DeviceKind::kAsic),
          .vendor = Text(),
          .model = Text(),
          .memory = Maybe(SomeBytes),
          .cores = Number(0, 1000),
          .numa_node = static_cast<int32_t>(Number(-1, 8)),
          .state = OneOf(DeviceState::kQuarantined),
          .emulated = Coin(),
          .visible_variable = Text(),
          .visible_value = Text(),
          .nodes = Many(Text),
          .shared_nodes = Many(Text),
          .features = Many(Text),
          .isolation = OneOf(Isolation::kHard),
          .configured = Coin(),
          .parent = Text(),
          .part_millis = static_cast<int32_t>(Number(1, 1000)),
          .uuid = Text(),
          .power_max = Maybe([] { return Number(0, kMilliWattsMax); }),
          .price = Maybe(Price),
          .endpoint = Text(),
          .environment = Map(),
          .health = Many(Text)};
}
inline DeviceGroup Group() { return {.kind = Text(), .members = Many(Text), .shape = Text()}; }
inline NodeInfo Node() {
  return {.name = Text(),
          .instance = Text(),
          .boot_id = Text(),
          .address = Text(),
          .metrics_address = Text(),
          .version = Text(),
          .cpus = Number(0, 1'000'000),
          .memory = SomeBytes(),
          .devices = Many(SomeDevice),
          .groups = Many(Group),
          .losses = Many(Text),
          .warnings = Many(Text),
          .unfit = Many(Text),
          .labels = Map(),
          .seen_address = Text(),
          .task_leases = Coin(),
          .scratch_max = Maybe(SomeBytes),
          .address_derived = Coin()};
}
inline HealthCheck Health() {
  return {.path = Text(),
          .interval = SomeDuration(),
          .timeout = SomeDuration(),
          .start_timeout = SomeDuration(),
          .failures_max = Small(),
          .restart_after = SomeDuration()};
}
inline Objective SomeObjective() {
  return {.ttft = Maybe(SomeDuration),
          .per_token = Maybe(SomeDuration),
          .end_to_end = Maybe(SomeDuration),
          .percentile = Real() / 1000};
}
inline TaskLaunch Launch() {
  return {.job_name = Text(),
          .tenant = Text(),
          .world_size = 1 + Small(65'535),
          .command = Many(Text),
          .environment = Map(),
          .work_dir = Text(),
          .checkpoint_dir = Text(),
          .resources = SomeResources(),
          .device_ids = Many(Text),
          .main_address = Text(),
          .main_port = static_cast<uint16_t>(Number(0, 65'535)),
          .peer_addresses = Many(Text),
          .grace = SomeDuration(),
          .runtime = OneOf(TaskRuntime::kNoop),
          .user = Text(),
          .scratch_max = Maybe(SomeBytes),
          .terms = {SomeDuration(), SomeDuration()},
          .checkpoint_dir_named = Number(0, 1) == 1};
}
inline ReplicaLaunch LaunchOfReplica() {
  return {.deployment = Text(),
          .model = Text(),
          .command = Many(Text),
          .environment = Map(),
          .work_dir = Text(),
          .resources = SomeResources(),
          .device_ids = Many(Text),
          .health = Health(),
          .grace = SomeDuration(),
          .concurrency = Small(),
          .tenant = Text(),
          .user = Text()};
}
inline JobSpec Job() {
  return {.name = Text(),
          .tenant = Text(),
          .priority = static_cast<int32_t>(Number(-1000, 1000)),
          .tasks = 1 + Small(4095),
          .command = Many(Text),
          .environment = Map(),
          .work_dir = Text(),
          .resources = SomeResources(),
          .devices = Many(Request),
          .checkpoint_dir = Text(),
          .time_limit = Maybe(SomeDuration),
          .grace = SomeDuration(),
          .restarts_max = Small(),
          .restart_pause = SomeDuration(),
          .restart_pause_max = SomeDuration(),
          .runtime = OneOf(TaskRuntime::kNoop),
          .at_most_one = Coin(),
          .scratch_max = Maybe(SomeBytes)};
}
inline DeploymentSpec Deployment() {
  return {.name = "d" + Text(),
          .tenant = "t" + Text(),
          .model = Text(),
          .command = Many(Text),
          .environment = Map(),
          .work_dir = Text(),
          .resources = SomeResources(),
          .health = Health(),
          .groups = Many([] {
            return ReplicaGroup{.device = Request(), .count = Small(), .concurrency = Small()};
          }),
          .objective = SomeObjective(),
          .price_cap = Maybe(Price),
          .queue_max = Small(),
          .queue_timeout = SomeDuration(),
          .drain = SomeDuration(),
          .grace = SomeDuration()};
}
inline Policy SomePolicy() {
  Policy policy{.name = Text(), .description = Text()};
  policy.queue = {.algorithm = Text(), .head_hold_after = SomeDuration()};
  for (uint32_t i = Small(3); i > 0; --i) policy.queue.shares[Text()] = Real();
  policy.placement = {.algorithm = Text(), .fragmentation_weight = Real()};
  policy.routing = {.algorithm = Text(), .explore_ratio = Real() / 1000, .history = SomeDuration()};
  policy.prices = {
      .as_of = Text(),
      .rows = Many([] { return PriceRow{.model = Text(), .rate = Price(), .watts = Maybe(Real)}; }),
      .other_gpu = Price(),
      .other_cpu_core = Price(),
      .other_asic = Price(),
      .energy_micros_per_kwh = Price().micros_per_hour,
      .micros_per_waiting_job_hour = Price().micros_per_hour,
      .value_nanos_per_second = Price().micros_per_hour};
  policy.prices.hours = Many([] {
    return PriceHours{.from = Small(23),
                      .to = Small(23),
                      .energy_micros_per_kwh = Maybe([] { return Price().micros_per_hour; }),
                      .factor = Real() / 1000};
  });
  policy.prices.utc_offset_minutes = static_cast<int32_t>(Number(-840, 840));
  const auto power = [] { return Number(0, kMilliWattsMax); };
  policy.power = {.cluster = Maybe(power), .rack = Maybe(power), .node = Maybe(power)};
  for (uint32_t i = Small(3); i > 0; --i) {
    policy.power.racks[Text()] = power();
    policy.power.nodes[Text()] = power();
  }
  policy.quarantine = {.failures = Small(),
                       .within = SomeDuration(),
                       .probation_after = SomeDuration()};
  return policy;
}
inline RouteTable Routes() {
  const auto replica = [] {
    return RouteReplica{.id = ReplicaId(Positive()),
                        .node = Text(),
                        .kind = OneOf(DeviceKind::kAsic),
                        .device_model = Text(),
                        .emulated = Coin(),
                        .device_count = Small(),
                        .concurrency = Small(),
                        .price = Price(),
                        .power = Number(0, kMilliWattsMax),
                        .ready = Coin(),
                        .unheard = Coin()};
  };
  const auto deployment = [&] {
    return RouteDeployment{.name = "d" + Text(),
                           .model = Text(),
                           .objective = SomeObjective(),
                           .queue_max = Small(),
                           .queue_timeout = SomeDuration(),
                           .replicas = Many(replica),
                           .created = SomeTime(),
                           .tenant = Text()};
  };
  return {.term = Term(Positive()),
          .version = Positive(),
          .policy_name = Text(),
          .routing_algorithm = Text(),
          .explore_ratio = Real() / 1000,
          .history = SomeDuration(),
          .value_nanos_per_second = Price().micros_per_hour,
          .deployments = Many(deployment)};
}

}  // namespace allot::any
