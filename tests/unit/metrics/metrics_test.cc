#include "common/metrics/metrics.h"

#include <algorithm>
#include <limits>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace allot::metrics {
namespace {

using testing::HasSubstr;
using testing::Not;

const Row kJobs{.name = "allotrope_jobs_accepted_total", .help = "Jobs accepted."};
const Row kFree{.name = "allotrope_devices_free", .help = "Free devices.", .kind = Kind::kGauge};
const Row kWait{.name = "allotrope_job_wait_seconds",
                .help = "From submission to placement.",
                .kind = Kind::kHistogram,
                .buckets = {0.1, 1, 10}};

TEST(Registry, WritesTheExpositionFormat) {
  Registry registry;
  registry.GetCounter(kJobs, {{"tenant", "a"}}).Add(3);
  registry.GetGauge(kFree).Set(1.5);
  Histogram& wait = registry.GetHistogram(kWait);
  wait.Observe(0.5);
  wait.Observe(100);
  const std::string text = registry.Text();
  for (const char* line :
       {"# HELP allotrope_jobs_accepted_total Jobs accepted.\n"
        "# TYPE allotrope_jobs_accepted_total counter\n"
        "allotrope_jobs_accepted_total{tenant=\"a\"} 3\n",
        "# TYPE allotrope_devices_free gauge\nallotrope_devices_free 1.5\n",
        "allotrope_job_wait_seconds_count 2\nallotrope_job_wait_seconds_sum 100.5\n",
        "allotrope_job_wait_seconds_bucket{le=\"1\"} 1\n",
        "allotrope_job_wait_seconds_bucket{le=\"+Inf\"} 2\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST(Registry, GivesTheSameHandleForTheSameLabels) {
  Registry registry;
  Counter& a = registry.GetCounter(kJobs, {{"tenant", "a"}});
  EXPECT_EQ(&a, &registry.GetCounter(kJobs, {{"tenant", "a"}}));
  EXPECT_NE(&a, &registry.GetCounter(kJobs, {{"tenant", "b"}}));
  a.Add();
  a.Add(2);
  EXPECT_EQ(a.Value(), 3);
}

TEST(Registry, CountsLabelSetsBeyondTheBoundUnderOther) {
  Row row = kJobs;
  row.series_max = 2;
  Registry registry;
  for (const char* tenant : {"a", "b", "c", "d"})
    registry.GetCounter(row, {{"tenant", tenant}}).Add();
  registry.GetCounter(row, {{"tenant", "a"}}).Add();
  const std::string text = registry.Text();
  EXPECT_THAT(text, HasSubstr("allotrope_jobs_accepted_total{tenant=\"a\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("allotrope_jobs_accepted_total{tenant=\"other\"} 2\n"));
  EXPECT_THAT(text, Not(HasSubstr("tenant=\"c\"")));
  EXPECT_THAT(text, HasSubstr("allotrope_metrics_series_refused_total 2\n"));
}

TEST(RegistryDeathTest, CrashesOnTooManyLabelSetsWhereATestAsksForIt) {
  Row row = kJobs;
  row.series_max = 1;
  Registry registry(Registry::Overflow::kCrash);
  registry.GetCounter(row, {{"tenant", "a"}});
  EXPECT_DEATH(registry.GetCounter(row, {{"tenant", "b"}}), "CHECK failed");
}

TEST(RegistryDeathTest, CrashesOnARowOfAnotherKindAndOnOtherLabelNames) {
  Registry registry;
  EXPECT_DEATH(registry.GetGauge(kJobs), "CHECK failed");
  registry.GetCounter(kJobs, {{"tenant", "a"}});
  EXPECT_DEATH(registry.GetCounter(kJobs, {{"queue", "a"}}), "CHECK failed");
}

TEST(Registry, ForgetsAGaugeThatWasRemoved) {
  Registry registry;
  registry.GetGauge(kFree, {{"node", "n1"}}).Set(1);
  registry.GetGauge(kFree, {{"node", "n2"}}).Set(2);
  registry.RemoveGauge(kFree, {{"node", "n1"}});
  registry.RemoveGauge(kFree, {{"node", "n1"}});
  registry.RemoveGauge(kWait, {});
  EXPECT_THAT(registry.Text(), Not(HasSubstr("n1")));
  EXPECT_THAT(registry.Text(), HasSubstr("allotrope_devices_free{node=\"n2\"} 2\n"));
}

TEST(Registry, MendsLabelValuesThatAreNotUtf8) {
  Registry registry;
  registry.GetGauge(kFree, {{"node", "n\xFF"}}).Set(1);
  EXPECT_THAT(registry.Text(), HasSubstr("{node=\"n\xEF\xBF\xBD\"} 1\n"));
}

TEST(Registry, CountsFromManyThreads) {
  Registry registry;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&registry] {
      for (int i = 0; i < 1000; ++i) registry.GetCounter(kJobs, {{"tenant", "a"}}).Add();
      registry.GetHistogram(kWait).Observe(1);
      registry.Text();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(registry.GetCounter(kJobs, {{"tenant", "a"}}).Value(), 4000);
}

TEST(Registry, ShowsTheProcessWhenAsked) {
  Registry registry;
  EXPECT_THAT(registry.Text(), Not(HasSubstr("process_")));
  registry.AddProcessMetrics();
  const std::string text = registry.Text();
  const auto value = [&text](const std::string& name) {
    const size_t at = text.find("\n" + name + " ");
    return at == std::string::npos ? -1.0
                                   : std::strtod(text.c_str() + at + name.size() + 2, nullptr);
  };
  EXPECT_GT(value("process_resident_memory_bytes"), 100e3);
  EXPECT_LT(value("process_resident_memory_bytes"), 1e12);
  EXPECT_GT(value("process_open_fds"), 2);
  EXPECT_GE(value("process_max_fds"), value("process_open_fds"));
  EXPECT_GE(value("process_cpu_seconds_total"), 0);
  EXPECT_GE(value("process_threads"), 1);
  EXPECT_GT(value("process_start_time_seconds"), 1.5e9);
}

TEST(LatencyBuckets, RiseFromATenthOfAMillisecondToAMinute) {
  const std::vector<double> buckets = LatencyBuckets();
  EXPECT_TRUE(std::is_sorted(buckets.begin(), buckets.end()));
  EXPECT_EQ(buckets.front(), 0.0001);
  EXPECT_EQ(buckets.back(), 60);
}

}  // namespace
}  // namespace allot::metrics
