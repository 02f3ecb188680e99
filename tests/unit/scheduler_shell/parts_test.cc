// The small parts: routes and their document, JSON, policies as YAML, addresses.
#include <set>

#include "common/config/bind.h"
#include "common/config/convert.h"
#include "common/json/json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "scheduler/shell/agent_connections.h"
#include "scheduler/shell/api/json_writer.h"
#include "scheduler/shell/api/openapi.h"
#include "scheduler/shell/api/render.h"
#include "scheduler/shell/api/routes.h"
#include "scheduler/shell/clock.h"
#include "scheduler/shell/metrics.h"
#include "scheduler/shell/policy_check.h"
#include "scheduler/shell/settings.h"
#include "tests/unit/scheduler_shell/support.h"

namespace allot::scheduler {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(OpenApi, DocumentsEveryRouteAndNoOther) {
  std::set<std::string> routes, documented;
  for (const Route& route : Routes()) {
    std::string method(route.method);
    for (char& c : method) c = static_cast<char>(std::tolower(c));
    routes.insert(method + " " + std::string(route.path));
  }
  const json::value document = json::parse(OpenApiDocument());
  for (const auto& [path, operations] : document.at("paths").as_object()) {
    for (const auto& [method, operation] : operations.as_object()) {
      documented.insert(std::string(method) + " " + std::string(path));
    }
  }
  EXPECT_EQ(routes, documented);
}

void CollectReferences(const json::value& value, std::set<std::string>& out) {
  if (const auto* object = value.if_object()) {
    for (const auto& [key, member] : *object) {
      if (key == "$ref") out.insert(std::string(member.as_string()));
      CollectReferences(member, out);
    }
  } else if (const auto* array = value.if_array()) {
    for (const json::value& member : *array) CollectReferences(member, out);
  }
}

TEST(OpenApi, RefersOnlyToSchemasThatAreThere) {
  const json::value document = json::parse(OpenApiDocument());
  std::set<std::string> references;
  CollectReferences(document, references);
  EXPECT_GT(references.size(), 20u);
  for (const std::string& reference : references) {
    const std::string prefix = "#/components/schemas/";
    ASSERT_TRUE(reference.starts_with(prefix));
    EXPECT_TRUE(document.at("components")
                    .at("schemas")
                    .as_object()
                    .contains(reference.substr(prefix.size())))
        << reference;
  }
}

TEST(Routes, TakeTheirArgumentsFromThePath) {
  const Match logs = FindRoute("GET", "/v1/jobs/job-17/logs");
  ASSERT_NE(logs.route, nullptr);
  EXPECT_EQ(logs.route->path, "/v1/jobs/{id}/logs");
  EXPECT_THAT(logs.args, ElementsAre("job-17"));
  EXPECT_EQ(FindRoute("GET", "/v1/jobs/").route->path, "/v1/jobs");
  EXPECT_EQ(FindRoute("GET", "/v1/jobs//logs").route, nullptr);
  EXPECT_EQ(FindRoute("GET", "/v1/jobs/a/b/c").route, nullptr);
  EXPECT_EQ(FindRoute("GET", "/").route, nullptr);
  EXPECT_EQ(FindRoute("PATCH", "/v1/jobs").allowed, "POST, GET");
}

TEST(JsonWriter, WritesWhatAParserReadsBack) {
  JsonWriter json;
  json.Object([&] {
    json.Field("text", "a\"b\\c\n\x01π").Field("bad", "\xff!").Field("yes", true);
    json.Field("whole", int64_t{-5}).Field("part", 0.1).Field("nothing", std::optional<int>());
    json.Field("infinite", 1.0 / 0.0).Field("rate", PriceRate{1'500'000});
    json.Field("time", FromMicros(1'700'000'000'000'001)).Field("long", Duration(1'500'000));
    json.Key("list").Array([&] {
      json.Value(1).Value("x");
      json.Object([] {});
      json.Array([] {});
    });
  });
  const json::value value = json::parse(json.Take());
  EXPECT_EQ(value.at("text").as_string(), "a\"b\\c\n\x01π");
  EXPECT_EQ(value.at("bad").as_string(), "\xef\xbf\xbd!");
  EXPECT_EQ(value.at("part").as_double(), 0.1);
  EXPECT_FALSE(value.as_object().contains("nothing"));
  EXPECT_TRUE(value.at("infinite").is_null());
  EXPECT_EQ(value.at("rate").to_number<double>(), 1.5);
  EXPECT_EQ(value.at("time").as_string(), "2023-11-14T22:13:20.000001Z");
  EXPECT_EQ(value.at("list").as_array().size(), 4u);
}

TEST(PolicyYaml, IsTheFileThatGivesThePolicy) {
  Policy policy;
  policy.name = "mine";
  policy.description = "quotes \" and: colons # here";
  policy.queue = {.algorithm = "fair_share",
                  .shares = {{"red", 2}, {"blue", 0.5}},
                  .head_hold_after = std::chrono::milliseconds(1500)};
  policy.placement = {.algorithm = "best_fit", .fragmentation_weight = 0.25};
  policy.routing = {
      .algorithm = "balanced", .explore_ratio = 0.1, .history = std::chrono::hours(1)};
  policy.prices.as_of = "2026-01-01";
  policy.prices.rows = {{.model = "nvidia/*", .rate = {2'345'678}, .watts = 700},
                        {.model = "groq/lpu-v1", .rate = {1}}};
  policy.prices.other_gpu = {3'000'000};
  policy.prices.energy_micros_per_kwh = 123'456;
  policy.prices.micros_per_waiting_job_hour = 5;
  policy.prices.value_nanos_per_second = 17;
  config::Policy written;
  const std::string yaml = PolicyYaml(policy);
  const Status bound = config::BindYaml(yaml, "policy.yaml", &written);
  ASSERT_TRUE(bound.ok()) << bound << "\n" << yaml;
  const StatusOr<Policy> again = CheckedPolicy(written);
  ASSERT_TRUE(again.ok()) << again.status() << "\n" << yaml;
  EXPECT_EQ(*again, policy);
}

TEST(AgentConnections, CommandsGoWhereTheNodeWasWelcomed) {
  AgentConnections agents;
  EXPECT_EQ(agents.Find("a"), nullptr);
  agents.Speaks("a", "first");
  EXPECT_EQ(agents.AnsweredBy({"a", Welcome{}}), "");
  agents.Spoke();
  EXPECT_EQ(*agents.Find("a"), "first");
  agents.Speaks("a", "second");
  EXPECT_EQ(agents.AnsweredBy({"a", Refuse{}}), "second");
  agents.Spoke();
  EXPECT_EQ(*agents.Find("a"), "first");  // a refusal binds nothing
}

// The core repeats a Welcome once a lease when gateways have changed, in whatever step comes then.
TEST(AgentConnections, AWelcomeRepeatedWhileAnotherNodeSpeaksMovesNobody) {
  AgentConnections agents;
  agents.Bind("a", "connection of a");
  agents.Bind("b", "connection of b");
  agents.Speaks("a", "connection of a");
  EXPECT_EQ(agents.AnsweredBy({"b", Welcome{}}), "");
  EXPECT_EQ(agents.AnsweredBy({"b", Refuse{}}), "");
  agents.Spoke();
  EXPECT_EQ(*agents.Find("b"), "connection of b");
}

TEST(AgentConnections, AWelcomeOfAStepInWhichNobodySpokeMovesNobody) {
  AgentConnections agents;
  agents.Bind("b", "connection of b");
  EXPECT_EQ(agents.AnsweredBy({"b", Welcome{}}), "");
  EXPECT_EQ(*agents.Find("b"), "connection of b");
}

// Tenants are free text, and a family may not grow with them.
TEST(Metrics, SpendOfManyTenantsIsKeptUnderOther) {
  Metrics metrics;
  for (int i = 0; i < 300; ++i) metrics.Spent(fmt::format("t{}", i), Cost{1'000'000});
  const std::string text = metrics.registry.Text();
  EXPECT_THAT(text, ::testing::HasSubstr("allotrope_spend_usd_total{tenant=\"t0\"} 1\n"));
  EXPECT_THAT(text, ::testing::HasSubstr("allotrope_spend_usd_total{tenant=\"other\"} 100\n"));
  EXPECT_THAT(text, ::testing::Not(::testing::HasSubstr("tenant=\"t299\"")));
}

TEST(Metrics, EnergyIsCountedByTenantAndSource) {
  Metrics metrics;
  metrics.Drew("ann", 1'500, false);
  metrics.Drew("ann", 2'000'000, true);
  metrics.Drew("bob", 0, false);
  const std::string text = metrics.registry.Text();
  EXPECT_THAT(text, ::testing::HasSubstr(
                        "allotrope_energy_joules_total{source=\"measured\",tenant=\"ann\"} 1.5\n"));
  EXPECT_THAT(text,
              ::testing::HasSubstr(
                  "allotrope_energy_joules_total{source=\"modelled\",tenant=\"ann\"} 2000\n"));
  EXPECT_THAT(text, ::testing::Not(::testing::HasSubstr("bob")));
}

constexpr Time kDayOne = FromMicros(1'800'000'000'000'000);
constexpr Duration kHour = std::chrono::hours(1), kDay = 24 * kHour, kYears = 3'650 * kDay;

TEST(ShellClock, GoesOnFromItsStart) {
  const ShellClock clock(kDayOne);
  EXPECT_GE(clock.Now(), kDayOne);
  EXPECT_LT(clock.Now(), kDayOne + kHour);
  EXPECT_GT(MachineTime(), FromMicros(1'600'000'000'000'000));
}

TEST(StartOfTime, IsJudgedByWhatTheRecordsSay) {
  using enum ClockStart::Verdict;
  const Time none;
  struct Row {
    const char* name;
    Time newest;
    TimeTrust trust;
    Time machine;
    ClockStart::Verdict verdict;
    Time at;
    TimeTrust after;
  };
  const Row rows[] = {
      {"an empty store", none, {}, kDayOne, kFollowed, kDayOne, {}},
      {"a restart",
       kDayOne,
       {none, none},
       kDayOne + kHour,
       kFollowed,
       kDayOne + kHour,
       {kDayOne, none}},
      {"a clock that was corrected a little",
       kDayOne,
       {},
       kDayOne - kClockSlack,
       kFollowed,
       kDayOne,
       {kDayOne, none}},
      {"a clock that was ahead before",
       kDayOne + 2 * kHour,
       {kDayOne, none},
       kDayOne + kHour,
       kTurnedBack,
       kDayOne + kHour,
       {kDayOne, none}},
      {"one that was years ahead",
       kDayOne + kYears,
       {kDayOne, kDayOne + kYears - kHour},
       kDayOne,
       kTurnedBack,
       kDayOne,
       {kDayOne, none}},
      {"one that was ahead from the first",
       kDayOne + kYears,
       {},
       kDayOne,
       kTurnedBack,
       kDayOne,
       {none, none}},
      {"a clock that is behind what is certain",
       kDayOne + kDay,
       {kDayOne, none},
       kDayOne - kHour,
       kHeld,
       kDayOne + kDay,
       {kDayOne, none}},
      {"one that was never set", kDayOne, {}, FromMicros(0), kHeld, kDayOne, {none, none}},
      {"stopped for a day",
       kDayOne,
       {},
       kDayOne + kDay,
       kFollowed,
       kDayOne + kDay,
       {kDayOne, none}},
      {"stopped for longer, or ahead",
       kDayOne,
       {},
       kDayOne + kDay + kHour,
       kDoubted,
       kDayOne + kDay + kHour,
       {kDayOne, kDayOne + kDay + kHour}},
      {"once more, before it has stood for a day",
       kDayOne + kYears,
       {kDayOne, kDayOne + kYears - kHour},
       kDayOne + kYears + kHour,
       kDoubted,
       kDayOne + kYears + kHour,
       {kDayOne, kDayOne + kYears - kHour}},
      {"once more, when it has",
       kDayOne + kYears,
       {kDayOne, kDayOne + kYears - kDay},
       kDayOne + kYears + kHour,
       kFollowed,
       kDayOne + kYears + kHour,
       {kDayOne + kYears, none}},
      {"doubted again, after another long time",
       kDayOne + kYears,
       {kDayOne, kDayOne + kYears - kDay},
       kDayOne + 2 * kYears,
       kDoubted,
       kDayOne + 2 * kYears,
       {kDayOne + kYears, kDayOne + 2 * kYears}},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    const ClockStart start = StartOfTime(row.newest, row.trust, row.machine);
    EXPECT_EQ(start.verdict, row.verdict);
    EXPECT_EQ(start.at, row.at);
    EXPECT_EQ(start.trust, row.after);
  }
}

TEST(Settings, AreCheckedBeforeAnythingIsOpened) {
  testing::TempFolder folder;
  const auto load = [&](const std::string& yaml) -> Status {
    const std::string path = folder / "scheduler.yaml";
    FILE* file = std::fopen(path.c_str(), "w");
    std::fputs(yaml.c_str(), file);
    std::fclose(file);
    const StatusOr<config::Scheduler> config = LoadConfig(path);
    if (!config.ok()) return config.status();
    return ToShellOptions(*config).status();
  };
  const std::string files = "state_dir: state\nkey_file: s.key\nallow_file: allow.yaml\n";
  EXPECT_THAT(MessageOf(load(files)), HasSubstr("tokens_file"));
  EXPECT_THAT(MessageOf(load(files + "local: true\nhttp_listen: 0.0.0.0:1\n")),
              HasSubstr("loopback"));
  EXPECT_THAT(MessageOf(load(files + "local: true\n")), HasSubstr("s.key"));
  ASSERT_TRUE(transport::SaveKeyFile(folder / "s.key", transport::NewKeyPair()).ok());
  EXPECT_THAT(MessageOf(load(files + "local: true\n")), HasSubstr("allow.yaml"));
  ASSERT_TRUE(
      transport::EnrollPeer(folder / "allow.yaml",
                            {.name = "n1", .public_key = transport::NewKeyPair().public_key}, true)
          .ok());
  EXPECT_TRUE(load(files + "local: true\n").ok()) << load(files + "local: true\n");
  EXPECT_THAT(MessageOf(load(files + "local: true\npolicy_file: p.yaml\n")), HasSubstr("p.yaml"));
}

TEST(Settings, AWildcardIsDialledOnLoopback) {
  EXPECT_EQ(DialAddress("tcp://0.0.0.0:7400"), "tcp://127.0.0.1:7400");
  EXPECT_EQ(DialAddress("tcp://10.0.0.5:7400"), "tcp://10.0.0.5:7400");
}

}  // namespace
}  // namespace allot::scheduler
