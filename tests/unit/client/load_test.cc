#include "client/load/load.h"

#include <atomic>

#include "client/load/report.h"
#include "gmock/gmock.h"
#include "tests/unit/client/fake_server.h"

namespace allot::client::load {
namespace {

using testing::HasSubstr;
using testing::Not;

Sample OkSample(double seconds, const std::string& kind, bool stream) {
  Sample s;
  s.status = 200;
  s.stream = stream;
  s.seconds = seconds;
  s.kind = kind;
  s.device_model = "m/" + kind;
  s.replica = "replica-1";
  s.policy = "p";
  s.price_usd_per_hour = 3.6;
  s.power_watts = 400;
  s.emulated = kind != "CPU";
  if (stream) s.ttft_seconds = seconds / 2;
  return s;
}

TEST(LoadReport, QuantilesAreNearestRank) {
  EXPECT_FALSE(QuantilesOf({}).has_value());
  const auto one = QuantilesOf({7});
  EXPECT_EQ(one->p50, 7);
  EXPECT_EQ(one->p99, 7);
  std::vector<double> hundred;
  for (int i = 100; i >= 1; --i) hundred.push_back(i);
  EXPECT_EQ(QuantilesOf(hundred)->p50, 50);
  EXPECT_EQ(QuantilesOf(hundred)->p95, 95);
}

TEST(LoadReport, CostIsPriceTimesTimeOverWhatAReplicaTakesAtOnce) {
  LoadRun run;
  run.concurrency["replica-1"] = 4;
  run.samples = {OkSample(1, "GPU", false), OkSample(3, "GPU", false)};
  const Report report = Summarize(run);
  // $3.60/h is a tenth of a cent a second; 4 s in all over 4 slots, for 2 requests.
  EXPECT_NEAR(*report.cost_usd_per_1000, 0.001 * 4 / 4 / 2 * 1000, 1e-12);
  // 400 W over the same.
  EXPECT_NEAR(*report.energy_joules_per_1000, 400.0 * 4 / 4 / 2 * 1000, 1e-9);
  EXPECT_THAT(ToTable({report}), HasSubstr("200kJ"));
  run.samples[1].power_watts = 0;
  EXPECT_FALSE(Summarize(run).energy_joules_per_1000.has_value()) << "one that nobody knows";
}

TEST(LoadReport, SharesCountGoodAnswersAndFailuresAreNamed) {
  LoadRun run;
  run.samples = {OkSample(1, "GPU", true), OkSample(2, "CPU", false), OkSample(3, "GPU", false)};
  run.samples.push_back({.status = 503});
  run.samples.push_back({.status = 0});
  Sample cut = OkSample(1, "GPU", true);
  cut.truncated = true;
  run.samples.push_back(cut);
  const Report report = Summarize(run);
  EXPECT_EQ(report.requests, 6);
  EXPECT_EQ(report.ok, 3);
  ASSERT_EQ(report.shares.size(), 2u);
  EXPECT_EQ(report.shares[0].kind, "GPU");
  EXPECT_TRUE(report.shares[0].emulated);
  EXPECT_NEAR(report.shares[0].ratio, 2.0 / 3, 1e-9);
  EXPECT_EQ(report.failures.size(), 3u);
  EXPECT_THAT(ToTable({report}), HasSubstr("1 × HTTP 503"));
  EXPECT_THAT(ToTable({report}), HasSubstr("emulated"));
}

// Emulated devices are the same processors under several prices.
TEST(LoadReport, SideBySideOnlyWhatIsComparableIsShown) {
  LoadRun run;
  run.seconds = 2;
  run.samples = {OkSample(1, "GPU", true), OkSample(2, "CPU", false)};
  const Report emulated = Summarize(run);
  EXPECT_THAT(ToTable({emulated}), HasSubstr("COST/1000"));
  EXPECT_THAT(ToTable({emulated}), HasSubstr("times are those of the processors"));
  const std::string both = ToTable({emulated, emulated});
  for (const char* column : {"P50", "P95", "TTFT", "REQ/S", "COST", "ENERGY"})
    EXPECT_THAT(both, Not(HasSubstr(column)));
  EXPECT_THAT(both, HasSubstr("SHARE"));
  EXPECT_THAT(both, HasSubstr("are left out: emulated devices"));
  run.samples = {OkSample(1, "CPU", false), OkSample(2, "CPU", true)};
  const Report real = Summarize(run);
  EXPECT_THAT(ToTable({real, real}), HasSubstr("COST/1000"));
}

TEST(Load, AModelThatNobodyServesIsNamedBeforeAnythingIsSent) {
  std::atomic<int> sent{0};
  FakeServer gateway([&](const http::Request& request, http::ResponderPtr responder) {
    if (request.path == "/allot/v1/deployments")
      return responder->Send({.body = R"({"version":1,"deployments":[]})"});
    if (request.path == "/v1/models")
      return responder->Send(
          {.body = R"({"object":"list","data":[{"id":"chat"},{"id":"embed"}]})"});
    ++sent;
    responder->Send(http::ErrorResponse(NotFound("no such model")));
  });
  Options options;
  options.gateway = gateway.url();
  options.model = "chta";
  options.prompts = {"x"};
  const auto run = Execute(options, [](int) {});
  EXPECT_EQ(run.status().code(), StatusCode::kNotFound);
  EXPECT_THAT(MessageOf(run.status()),
              HasSubstr("serves no model \"chta\", did you mean \"chat\"?"));
  EXPECT_EQ(sent, 0);
}

TEST(LoadReport, ItsJsonComesBackAsItWas) {
  LoadRun run;
  run.seconds = 2;
  run.samples = {OkSample(1, "GPU", true), OkSample(2, "CPU", false), {.status = 429}};
  const Report before = Summarize(run);
  const auto after = FromJson(ToJson(before), "a.json");
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(ToTable({before}), ToTable({*after}));
  EXPECT_THAT(MessageOf(FromJson("{}", "a.json").status()), HasSubstr("a.json"));
  EXPECT_FALSE(FromJson("not json", "a.json").ok());
}

TEST(Load, SendsAsManyAsAskedAndReadsTheHeaders) {
  FakeServer gateway([](const http::Request& request, http::ResponderPtr responder) {
    if (request.path == "/allot/v1/deployments")
      return responder->Send({.body = R"({"version":1,"deployments":[{"name":"d","predictions":[
          {"replica":"replica-7","concurrency":2}]}]})"});
    const http::Headers headers = {
        {"X-Allot-Device-Kind", "ASIC"}, {"X-Allot-Device", "groq/x"},
        {"X-Allot-Emulated", "true"},    {"X-Allot-Replica", "replica-7"},
        {"X-Allot-Policy", "cheap"},     {"X-Allot-Price-Usd-Per-Hour", "1.25"},
        {"X-Allot-Power-Watts", "72.5"}};
    if (request.body.find("\"stream\":true") == std::string::npos)
      return responder->Send({.headers = headers, .body = "{}"});
    responder->StartStream(200, headers, "text/event-stream");
    responder->Write("data: {}\n\n");
    responder->Write("data: [DONE]\n\n");
    responder->End();
  });
  Options options;
  options.gateway = gateway.url();
  options.model = "m";
  options.requests = 10;
  options.concurrency = 3;
  options.stream_ratio = 0.3;
  options.prompts = {"x"};
  const auto run = Execute(options, [](int) {});
  ASSERT_TRUE(run.ok()) << run.status();
  const Report report = Summarize(*run);
  EXPECT_EQ(report.requests, 10);
  EXPECT_EQ(report.ok, 10);
  EXPECT_EQ(report.streamed, 3);
  EXPECT_EQ(report.policy, "cheap");
  ASSERT_EQ(report.shares.size(), 1u);
  EXPECT_EQ(report.shares[0].kind, "ASIC");
  EXPECT_EQ(run->concurrency.at("replica-7"), 2);
  EXPECT_EQ(run->samples[0].price_usd_per_hour, 1.25);
}

TEST(Load, AStreamWithoutItsEndIsCutOff) {
  EXPECT_TRUE(EndsWithDone("data: {\"a\": 1}\n\ndata: [DONE]\n\n"));
  EXPECT_FALSE(EndsWithDone("data: {\"a\": 1}\n\n"));
  EXPECT_FALSE(EndsWithDone(""));
}

}  // namespace
}  // namespace allot::client::load
