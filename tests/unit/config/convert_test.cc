// From config to model: defaults, and the checks that need more than one field.
#include "common/config/convert.h"

#include "common/config/bind.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace allot::config {
namespace {

template <class Message>
Message Bound(std::string_view text) {
  Message message;
  const Status status = BindYaml(text, "f.yaml", &message);
  EXPECT_TRUE(status.ok()) << MessageOf(status);
  return message;
}
StatusOr<JobSpec> JobOf(std::string_view text) { return ToJobSpec(Bound<Job>(text)); }
StatusOr<DeploymentSpec> DeploymentOf(std::string_view text) {
  return ToDeploymentSpec(Bound<Deployment>(text));
}
StatusOr<allot::Policy> PolicyOf(std::string_view text) { return ToPolicy(Bound<Policy>(text)); }

// What is left out: no amount that would do for one kind of work and kill another.
constexpr allot::Resources kShare{.memory = 0, .memory_share = true};

TEST(ToJobSpec, KeepsTheModelsDefaults) {
  const auto spec = JobOf("command: [a]");
  ASSERT_TRUE(spec.ok());
  JobSpec expected;
  expected.command = {"a"};
  expected.resources = kShare;
  expected.restart_pause = 1s;
  expected.restart_pause_max = 5min;
  EXPECT_EQ(*spec, expected);
}

TEST(ToJobSpec, TheDefaultsInTheReferenceAreTheRealOnes) {
  EXPECT_EQ(*JobOf("command: [a]"),
            *JobOf("{command: [a], tenant: default, priority: 0, tasks: 1, grace: 10s, "
                   "restarts_max: 0, restart_pause: 1s, restart_pause_max: 5m, runtime: process, "
                   "resources: {cpus: 1}}"));
  EXPECT_EQ(*JobOf("{command: [a], devices: {any_of: [{kind: GPU}]}}"),
            *JobOf("{command: [a], devices: {any_of: [{kind: GPU, count: 1, worth: 1}]}}"));
}

TEST(ToJobSpec, TakesEveryField) {
  const auto spec = JobOf(R"(
name: j
tenant: t
priority: 7
tasks: 2
command: [python3, train.py]
environment: {A: b}
work_dir: /work
resources: {cpus: 500m, memory: 1GiB}
devices: {any_of: [{kind: GPU, vendor: nvidia, model: "nvidia/*", count: 4, min_memory: 40GiB, worth: 2}]}
checkpoint_dir: /ckpt
time_limit: 2h
grace: 30s
restarts_max: 3
restart_pause: 0s
restart_pause_max: 1h
runtime: noop
)");
  ASSERT_TRUE(spec.ok()) << MessageOf(spec.status());
  const JobSpec expected{.name = "j",
                         .tenant = "t",
                         .priority = 7,
                         .tasks = 2,
                         .command = {"python3", "train.py"},
                         .environment = {{"A", "b"}},
                         .work_dir = "/work",
                         .resources = {.cpus = 500, .memory = kGiB},
                         .devices = {{.kind = DeviceKind::kGpu,
                                      .vendor = "nvidia",
                                      .model = "nvidia/*",
                                      .count = 4,
                                      .min_memory = 40 * kGiB,
                                      .worth = 2}},
                         .checkpoint_dir = "/ckpt",
                         .time_limit = 2h,
                         .grace = 30s,
                         .restarts_max = 3,
                         .restart_pause = 0s,
                         .restart_pause_max = 1h,
                         .runtime = TaskRuntime::kNoop};
  EXPECT_EQ(*spec, expected);
}

TEST(ToJobSpec, APauseMayGrowToWhatItIsGivenAtLeast) {
  EXPECT_EQ(JobOf("{command: [a], restart_pause: 10m}")->restart_pause_max, 10min);
  EXPECT_EQ(JobOf("{command: [a], restart_pause_max: 1s}")->restart_pause_max, 1s);
  EXPECT_EQ(MessageOf(JobOf("{command: [a], restart_pause_max: 0s}").status()),
            "restart_pause_max (0s) is shorter than restart_pause (1s)");
  EXPECT_TRUE(JobOf("{command: [a], restart_pause: 0s, restart_pause_max: 0s}").ok());
}

// What leases nothing has no limit either.
TEST(ToJobSpec, WhatRunsNeedsSomeOfEverything) {
  const std::string cpus =
      "resources.cpus is \"0\"; what runs needs some: give 0.1 or more, or leave it out for 1";
  EXPECT_EQ(MessageOf(JobOf("{command: [a], resources: {cpus: 0}}").status()), cpus);
  for (const char* none : {"0", "0B", "0GiB", "0.0MiB"}) {
    const std::string memory = fmt::format(
        "resources.memory is \"{}\"; what runs needs some: give an amount like 16GiB, or leave it "
        "out for its share of the node's",
        none);
    EXPECT_EQ(
        MessageOf(JobOf(fmt::format("{{command: [a], resources: {{memory: {}}}}}", none)).status()),
        memory);
    EXPECT_EQ(MessageOf(DeploymentOf(fmt::format("{{name: d, command: [s], resources: {{memory: "
                                                 "{}}}, replicas: [{{device: {{kind: CPU}}}}]}}",
                                                 none))
                            .status()),
              memory);
  }
}

TEST(ToJobSpec, ANoopJobNeedsNoCommand) { EXPECT_TRUE(JobOf("runtime: noop").ok()); }

TEST(ToJobSpec, SaysWhatDoesNotGoTogether) {
  const std::pair<std::string, std::string> rows[] = {
      {"tasks: 2", "command is missing; give an argument vector, like [\"python3\", \"train.py\"]"},
      {"command: ['', a]", "command[0] is empty; it names the program"},
      {"{command: [a], devices: {any_of: [{kind: CPU, count: 2}]}}",
       "devices.any_of[0].count is 2 with kind CPU; processors are shared, so say how many with "
       "resources.cpus"},
      {"{command: [a], devices: {any_of: [{kind: GPU}, {}]}}",
       "devices.any_of[1] says nothing; give kind, vendor, model, min_memory, isolation or count"},
      {"{command: [a], devices: {}}",
       "devices.any_of is empty; name at least one, or leave devices out for processors only"},
      {"{command: [a], environment: {'A=B': c}}",
       "environment: the name \"A=B\" holds '='; that cannot be"},
      {"{command: [a], environment: {'': c}}", "environment has a variable without a name"},
      {"{command: [a], work_dir: here}",
       "work_dir is \"here\"; give an absolute path, it is on another machine"},
      {"{command: [a], checkpoint_dir: ./c}",
       "checkpoint_dir is \"./c\"; give an absolute path, it is on another machine"},
      {"command: [a, " + std::string(131'072, 'x') + "]",
       "command[1] has 131072 bytes; the system takes 131071 at most, so put it in a file"},
  };
  for (const auto& [text, message] : rows) EXPECT_EQ(MessageOf(JobOf(text).status()), message);

  std::string big = "command: [a]\nenvironment:\n";
  for (int i = 0; i < 11; ++i) big += fmt::format("  K{}: {}\n", i, std::string(100'000, 'x'));
  EXPECT_THAT(MessageOf(JobOf(big).status()),
              testing::EndsWith("bytes together; 1048576 are taken at most"));
}

TEST(ToDeploymentSpec, KeepsTheModelsDefaults) {
  const auto spec = DeploymentOf("{name: d, command: [s], replicas: [{device: {kind: CPU}}]}");
  ASSERT_TRUE(spec.ok()) << MessageOf(spec.status());
  DeploymentSpec expected;
  expected.name = expected.model = "d";
  expected.command = {"s"};
  expected.resources = kShare;
  expected.groups = {{.device = {.kind = DeviceKind::kCpu}}};
  EXPECT_EQ(*spec, expected);
}

TEST(ToDeploymentSpec, TheDefaultsInTheReferenceAreTheRealOnes) {
  EXPECT_EQ(*DeploymentOf("{name: d, command: [s], replicas: [{device: {kind: CPU}}]}"),
            *DeploymentOf("{name: d, tenant: default, model: d, command: [s], grace: 10s, "
                          "objective: {percentile: 0.95}, "
                          "replicas: [{device: {kind: CPU}, count: 1, concurrency: 64}], "
                          "queue: {max: 4096, timeout: 30s}, health: {path: /health, interval: 1s, "
                          "timeout: 10s, start_timeout: 30m, failures_max: 3, restart_after: 5m}, "
                          "drain: 60s}"));
}

TEST(ToDeploymentSpec, TakesEveryField) {
  const auto spec = DeploymentOf(R"(
name: d
tenant: t
model: charlm
command: [serve, "{port}"]
environment: {A: b}
work_dir: /w
resources: {cpus: 2, memory: 1GiB}
health: {path: /ready, interval: 100ms, timeout: 200ms, start_timeout: 1m, failures_max: 5, restart_after: 0s}
replicas:
  - {device: {kind: GPU}, count: 0, concurrency: 8}
  - {device: {model: groq/lpu-v1, count: 8}}
objective: {ttft: 200ms, per_token: 20ms, end_to_end: 2s, percentile: 0.99}
price_cap_usd_per_hour: 2.5
queue: {max: 0, timeout: 5s}
grace: 1s
drain: 0s
)");
  ASSERT_TRUE(spec.ok()) << MessageOf(spec.status());
  const DeploymentSpec expected{
      .name = "d",
      .tenant = "t",
      .model = "charlm",
      .command = {"serve", "{port}"},
      .environment = {{"A", "b"}},
      .work_dir = "/w",
      .resources = {.cpus = 2000, .memory = kGiB},
      .health = {.path = "/ready",
                 .interval = 100ms,
                 .timeout = 200ms,
                 .start_timeout = 1min,
                 .failures_max = 5,
                 .restart_after = 0s},
      .groups = {{.device = {.kind = DeviceKind::kGpu}, .count = 0, .concurrency = 8},
                 {.device = {.model = "groq/lpu-v1", .count = 8}}},
      .objective = {.ttft = 200ms, .per_token = 20ms, .end_to_end = 2s, .percentile = 0.99},
      .price_cap = PriceRate{2'500'000},
      .queue_max = 0,
      .queue_timeout = 5s,
      .drain = 0s,
      .grace = 1s};
  EXPECT_EQ(*spec, expected);
}

TEST(ToDeploymentSpec, SaysWhatDoesNotGoTogether) {
  const std::string start = "{name: d, command: [s], replicas: [{device: {kind: GPU}}], ";
  const std::pair<std::string, std::string> rows[] = {
      {start + "health: {path: ready}}", "health.path is \"ready\"; give a path like /health"},
      {start + "objective: {ttft: 3s, end_to_end: 2s}}",
       "objective.ttft (3s) is longer than objective.end_to_end (2s)"},
      {start + "work_dir: w}",
       "work_dir is \"w\"; give an absolute path, it is on another machine"},
      {"{name: d, command: [s], replicas: [{device: {kind: CPU, count: 3}}]}",
       "replicas[0].device.count is 3 with kind CPU; processors are shared, so say how many with "
       "resources.cpus"},
      {"{name: d, command: [s], replicas: [{device: {kind: GPU}, count: 6000}, "
       "{device: {kind: ASIC}, count: 6000}]}",
       "replicas: 12000 together; a deployment has 10000 at most"},
  };
  for (const auto& [text, message] : rows) {
    EXPECT_EQ(MessageOf(DeploymentOf(text).status()), message);
  }
}

TEST(ToPolicy, KeepsTheModelsDefaultsAndTheReferenceSaysThem) {
  const auto spec = PolicyOf("{name: p, prices: {as_of: 2026-01-31}}");
  ASSERT_TRUE(spec.ok()) << MessageOf(spec.status());
  allot::Policy expected;
  expected.name = "p";
  expected.prices.as_of = "2026-01-31";
  EXPECT_EQ(*spec, expected);
  EXPECT_EQ(
      *spec,
      *PolicyOf("{name: p, prices: {as_of: 2026-01-31, energy_usd_per_kwh: 0.1}, "
                "queue: {algorithm: priority, head_hold_after: 5m}, "
                "placement: {algorithm: best_fit, fragmentation_weight: 1}, "
                "routing: {algorithm: cheapest_within_slo, explore_ratio: 0.02, history: 1m}}"));
}

TEST(ToPolicy, TurnsDollarsIntoMicroDollars) {
  const auto spec = PolicyOf(R"(
name: p
queue: {algorithm: fair_share, shares: {a: 2, b: 0.5}}
prices:
  as_of: 2026-01-31
  devices: [{model: nvidia/l4, price_usd_per_hour: 0.7}, {model: own/*, price_usd_per_hour: 0.1, watts: 300}]
  other_gpu_usd_per_hour: 1.5
  other_cpu_core_usd_per_hour: 0.0496
  other_asic_usd_per_hour: 1.25
  energy_usd_per_kwh: 0.3
  value_usd_per_waiting_job_hour: 0.5
  value_usd_per_second: 0.002
)");
  ASSERT_TRUE(spec.ok()) << MessageOf(spec.status());
  EXPECT_EQ(spec->queue.shares.at("b"), 0.5);
  const allot::PriceBook& book = spec->prices;
  EXPECT_EQ(book.rows[0].rate, PriceRate{700'000});
  EXPECT_FALSE(book.rows[0].watts.has_value());
  EXPECT_EQ(book.rows[1].watts, 300);
  EXPECT_EQ(book.other_gpu, PriceRate{1'500'000});
  EXPECT_EQ(book.other_cpu_core, PriceRate{49'600});
  EXPECT_EQ(book.other_asic, PriceRate{1'250'000});
  EXPECT_EQ(book.energy_micros_per_kwh, 300'000);
  EXPECT_EQ(book.micros_per_waiting_job_hour, 500'000);
  EXPECT_EQ(book.value_nanos_per_second, 2'000'000);
}

TEST(ToPolicy, ValuesOfTimeFarBelowACentASecondCount) {
  // Whoever waits costs 0.2 $/h.
  const auto spec =
      PolicyOf("{name: p, prices: {as_of: 2026-01-31, value_usd_per_second: 0.0000555556}}");
  ASSERT_TRUE(spec.ok()) << MessageOf(spec.status());
  EXPECT_EQ(spec->prices.value_nanos_per_second, 55'556);
}

TEST(ToPolicy, SaysWhatDoesNotGoTogether) {
  const std::pair<std::string, std::string> rows[] = {
      {"{name: p, prices: {as_of: last week}}",
       "prices.as_of is \"last week\"; give the date the prices were looked up, like 2026-03-31"},
      {"{name: p, prices: {as_of: 2026-13-01}}",
       "prices.as_of is \"2026-13-01\"; give the date the prices were looked up, like 2026-03-31"},
      {"{name: p, prices: {as_of: 2026-01-31, devices: [{model: a/b}, {model: a/b}]}}",
       "prices.devices[1]: \"a/b\" is priced twice; the first row counts"},
      {"{name: p, prices: {as_of: 2026-01-31, value_usd_per_second: 1e-10}}",
       "prices.value_usd_per_second is 1e-10; the smallest value that counts is 1e-9 (a "
       "nano-dollar)"},
      {"{name: p, prices: {as_of: 2026-01-31}, queue: {shares: {a: 0}}}",
       "queue.shares.a is 0; it must be above 0 and at most 1000000"},
      {"{name: p, prices: {as_of: 2026-01-31}, queue: {shares: {Team A: 1}}}",
       "queue.shares: \"Team A\" is not a tenant's name; use letters, digits, '-', '_' and '.', "
       "start and end with a letter or digit, at most 63 characters"},
  };
  for (const auto& [text, message] : rows) EXPECT_EQ(MessageOf(PolicyOf(text).status()), message);
}

TEST(ParseDeviceRequest, ReadsTheShortForm) {
  const auto request =
      ParseDeviceRequest("kind=GPU,model=nvidia/h100*,count=2,min_memory=40GiB,worth=1.5");
  ASSERT_TRUE(request.ok()) << MessageOf(request.status());
  EXPECT_EQ(*request, (allot::DeviceRequest{.kind = DeviceKind::kGpu,
                                            .model = "nvidia/h100*",
                                            .count = 2,
                                            .min_memory = 40 * kGiB,
                                            .worth = 1.5}));
  const auto joined = ParseDeviceRequest("kind=ASIC,count=4,isolation=hard,joined=true");
  ASSERT_TRUE(joined.ok()) << MessageOf(joined.status());
  EXPECT_EQ(
      *joined,
      (allot::DeviceRequest{
          .kind = DeviceKind::kAsic, .count = 4, .isolation = Isolation::kHard, .joined = true}));
}

TEST(ParseDeviceRequest, ReadsWhatBatchSystemsWrite) {
  const std::pair<const char*, allot::DeviceRequest> rows[] = {
      {"gpu", {.kind = DeviceKind::kGpu}},
      {"GPU:2", {.kind = DeviceKind::kGpu, .count = 2}},
      {"kind=gpu", {.kind = DeviceKind::kGpu}},
      {"gpu:h100:4", {.kind = DeviceKind::kGpu, .model = "*/h100*", .count = 4}},
      {"asic:groq/*", {.kind = DeviceKind::kAsic, .model = "groq/*"}},
      {"nvidia/h100-sxm-80g:8", {.model = "nvidia/h100-sxm-80g", .count = 8}},
      {"cpu", {.kind = DeviceKind::kCpu}},
  };
  for (const auto& [text, expected] : rows) {
    const auto request = ParseDeviceRequest(text);
    ASSERT_TRUE(request.ok()) << text << ": " << MessageOf(request.status());
    EXPECT_EQ(*request, expected) << text;
  }
}

TEST(ParseDeviceRequest, FilesTakeTheShortFormsWhereTheyTakeAMap) {
  const auto wish = [](const char* devices) {
    return JobOf(fmt::format("{{command: [a], devices: {}}}", devices));
  };
  const auto at_length = wish("{any_of: [{kind: GPU, count: 2}, {kind: ASIC}]}");
  ASSERT_TRUE(at_length.ok()) << at_length.status();
  EXPECT_EQ(*wish("{any_of: [gpu:2, asic]}"), *at_length);
  EXPECT_EQ(*wish("[gpu:2, {kind: asic}]"), *at_length);
  EXPECT_EQ(*wish("gpu:2"), *wish("{any_of: [{kind: GPU, count: 2}]}"));
  EXPECT_EQ(*DeploymentOf("{name: d, command: [s], replicas: [{device: gpu}]}"),
            *DeploymentOf("{name: d, command: [s], replicas: [{device: {kind: GPU}}]}"));
  Job job;
  EXPECT_EQ(
      MessageOf(BindYaml("devices: toaster:2", "f.yaml", &job)),
      "f.yaml:1:10: devices is \"toaster:2\": \"toaster\" is no kind (gpu, cpu, asic); a model "
      "is written like nvidia/h100* or gpu:h100");
}

TEST(ParseDeviceRequest, SaysWhatIsWrong) {
  const std::pair<const char*, const char*> rows[] = {
      {"", "device says nothing; give kind, vendor, model, min_memory, isolation or count"},
      {"h100",
       "device \"h100\": \"h100\" is no kind (gpu, cpu, asic); a model is written like "
       "nvidia/h100* or gpu:h100"},
      {"gpu:", "device \"gpu:\": write it like gpu:2, gpu:h100:2 or kind=GPU,count=2"},
      {"gpu::2", "device \"gpu::2\": write it like gpu:2, gpu:h100:2 or kind=GPU,count=2"},
      {"2", "device \"2\": write it like gpu:2, gpu:h100:2 or kind=GPU,count=2"},
      {"gpu:0", "device \"gpu:0\": count: count is 0; it must be between 1 and 128"},
      {"gpu,count=2", "device \"gpu,count=2\": \"gpu\" has no '='; write it like kind=GPU,count=2"},
      {"kind=gpus",
       "device \"kind=gpus\": kind: kind is \"gpus\"; did you mean \"GPU\"? it is one of "
       "GPU, CPU, ASIC"},
      {"kin=GPU",
       "device \"kin=GPU\": kin: unknown key \"kin\" in DeviceRequest; did you mean "
       "\"kind\"?"},
      {"kind=GPU,count=x",
       "device \"kind=GPU,count=x\": count: count is \"x\"; a whole number is wanted"},
      {"kind=GPU,kind=CPU", "device \"kind=GPU,kind=CPU\": kind: key \"kind\" is here twice"},
      {"kind=CPU,count=2",
       "device.count is 2 with kind CPU; processors are shared, so say how many with "
       "resources.cpus"},
  };
  for (const auto& [text, message] : rows) {
    EXPECT_EQ(MessageOf(ParseDeviceRequest(text).status()), message);
  }
}

}  // namespace
}  // namespace allot::config
