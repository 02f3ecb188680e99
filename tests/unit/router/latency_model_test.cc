#include "scheduler/router/latency_model.h"

#include "gtest/gtest.h"
#include "rapidcheck.h"

namespace allot::router {
namespace {

constexpr Time kBegin = FromMicros(1'000'000'000'000);

LatencyEstimate::Observation Took(Duration time, Load load = 0) {
  LatencyEstimate::Observation observation;
  observation.end_to_end = time;
  observation.load = load;
  return observation;
}

TEST(LogHistogram, EveryValueLiesInItsBucket) {
  EXPECT_TRUE(rc::check([] {
    const int64_t value = *rc::gen::inRange<int64_t>(0, int64_t{1} << *rc::gen::inRange(1, 33));
    const uint32_t bucket = LogHistogram::BucketOf(value);
    RC_ASSERT(bucket < LogHistogram::kBuckets);
    RC_ASSERT(LogHistogram::LowerBound(bucket) <= value);
    RC_ASSERT(value < LogHistogram::LowerBound(bucket + 1));
  }));
}

TEST(LogHistogram, BucketsAreAnEighthWideAtMost) {
  for (uint32_t bucket = 8; bucket < LogHistogram::kBuckets; ++bucket) {
    const int64_t low = LogHistogram::LowerBound(bucket);
    EXPECT_LE(LogHistogram::LowerBound(bucket + 1) - low, (low + 7) / 8);
  }
}

TEST(LogHistogram, TakesWhatIsOutOfRange) {
  LogHistogram histogram;
  histogram.Add(-5, 1);
  histogram.Add(INT64_MAX, 1);
  EXPECT_EQ(histogram.total(), 2u);
  EXPECT_LE(histogram.Quantile(5000), 1);
}

TEST(LogHistogram, QuantilesAreWithinABucketOfTheTruth) {
  EXPECT_TRUE(rc::check([] {
    const auto values = *rc::gen::nonEmpty(
        rc::gen::container<std::vector<int64_t>>(rc::gen::inRange<int64_t>(1, 100'000'000)));
    LogHistogram histogram;
    for (int64_t value : values) histogram.Add(value, 1024);
    auto sorted = values;
    std::sort(sorted.begin(), sorted.end());
    const int64_t per_ten_thousand = *rc::gen::inRange(1, 10'000);
    const size_t rank = (sorted.size() * static_cast<size_t>(per_ten_thousand) + 9'999) / 10'000;
    const int64_t truth = sorted[rank - 1];
    const int64_t told = histogram.Quantile(static_cast<uint32_t>(per_ten_thousand));
    RC_ASSERT(told >= LogHistogram::LowerBound(LogHistogram::BucketOf(truth)));
    RC_ASSERT(told <= LogHistogram::LowerBound(LogHistogram::BucketOf(truth) + 1));
  }));
}

TEST(LogHistogram, BoundsAreExact) {
  for (int64_t value = 0; value <= 16; ++value) {
    const uint32_t bucket = LogHistogram::BucketOf(value);
    EXPECT_EQ(bucket, static_cast<uint32_t>(value));
    EXPECT_EQ(LogHistogram::LowerBound(bucket), value);
  }
  EXPECT_EQ(LogHistogram::BucketOf(17), 16u);
  EXPECT_EQ(LogHistogram::BucketOf(18), 17u);
  constexpr int64_t kTop = int64_t{1} << 33;
  EXPECT_EQ(LogHistogram::BucketOf(kTop - 1), LogHistogram::kBuckets - 1);
  EXPECT_EQ(LogHistogram::BucketOf(kTop), LogHistogram::kBuckets - 1);
  EXPECT_EQ(LogHistogram::BucketOf(INT64_MAX), LogHistogram::kBuckets - 1);
  EXPECT_LT(LogHistogram::BucketOf(kTop * 7 / 8), LogHistogram::kBuckets - 1);
  EXPECT_EQ(LogHistogram::LowerBound(LogHistogram::kBuckets), kTop);
}

// Ten weights of 1, at 0 … 9 µs: straight between the bounds of the value's bucket.
TEST(LogHistogram, QuantilesAreExactBetweenBounds) {
  LogHistogram histogram;
  EXPECT_EQ(histogram.Quantile(5'000), 0);
  for (int64_t value = 0; value < 10; ++value) histogram.Add(value, 1);
  EXPECT_EQ(histogram.Quantile(0), 1);
  EXPECT_EQ(histogram.Quantile(1), 1);
  EXPECT_EQ(histogram.Quantile(1'000), 1);
  EXPECT_EQ(histogram.Quantile(1'001), 2);
  EXPECT_EQ(histogram.Quantile(9'000), 9);
  EXPECT_EQ(histogram.Quantile(9'001), 10);
  EXPECT_EQ(histogram.Quantile(10'000), 10);
  EXPECT_EQ(histogram.Quantile(20'000), 10);
  LogHistogram large;
  for (int i = 0; i < 10'000; ++i) large.Add(64, 1);  // to 72
  EXPECT_EQ(large.Quantile(10'000), 72);
  EXPECT_EQ(large.Quantile(9'999), 71);
}

TEST(LatencyEstimate, KnowsNothingAtFirst) {
  LatencyEstimate estimate;
  EXPECT_EQ(estimate.Predict(kBegin).samples, 0u);
}

TEST(LatencyEstimate, TellsThePercentileAskedFor) {
  LatencyEstimate estimate;
  estimate.Configure(std::chrono::hours(1), 9500);
  // 90 of 10 ms and 10 of 100 ms: the 95th percentile lies in the tail, the mean is 19 ms.
  for (int i = 0; i < 100; ++i) estimate.Observe(kBegin, Took(i % 10 == 0 ? 100ms : 10ms));
  const Prediction& p = estimate.Predict(kBegin);
  EXPECT_EQ(p.samples, 100u);
  EXPECT_NEAR(static_cast<double>(p.end_to_end.At(0).count()), 100'000, 12'500);
  EXPECT_EQ(p.mean.At(0), Duration(19'000));
  estimate.Configure(std::chrono::hours(1), 5000);
  EXPECT_NEAR(static_cast<double>(estimate.Predict(kBegin).end_to_end.At(0).count()), 10'000,
              1'250);
}

TEST(LatencyEstimate, NewTimesReplaceOldOnes) {
  LatencyEstimate estimate;
  estimate.Configure(60s, 9500);
  Time now = kBegin;
  for (int i = 0; i < 100; ++i) estimate.Observe(now += 1s, Took(200ms));
  // 3 minutes later, six half lives, the old ones weigh 100/64 < 2 against 100 new.
  for (int i = 0; i < 180; ++i) estimate.Observe(now += 1s, Took(20ms));
  EXPECT_LT(estimate.Predict(now).end_to_end.At(0), 23ms);
}

TEST(LatencyEstimate, SilenceLowersTrustAndIsForgottenAtLast) {
  LatencyEstimate estimate;
  estimate.Configure(60s, 9500);
  for (int i = 0; i < 16; ++i) estimate.Observe(kBegin, Took(200ms));
  EXPECT_EQ(estimate.Predict(kBegin).samples, 16u);
  EXPECT_EQ(estimate.Predict(kBegin + 60s).samples, 4u);  // two half lives
  EXPECT_EQ(estimate.Predict(kBegin + 500s).samples, 1u);
  EXPECT_GT(estimate.Predict(kBegin + 600s).end_to_end.At(0), 190ms);  // still the best guess
  EXPECT_EQ(estimate.Predict(kBegin + 601s).samples, 0u);
}

TEST(LatencyEstimate, LearnsHowLoadStretchesTime) {
  LatencyEstimate estimate;
  estimate.Configure(std::chrono::hours(1), 5000);
  // Alone 20 ms, with three quarters taken 80 ms: 80 ms more at full load.
  for (int i = 0; i < 50; ++i) {
    estimate.Observe(kBegin, Took(20ms));
    estimate.Observe(kBegin, Took(80ms, 768));
  }
  const Prediction& p = estimate.Predict(kBegin);
  EXPECT_EQ(p.mean.At(0), 20ms);
  EXPECT_EQ(p.mean.At(768), 80ms);
  EXPECT_EQ(p.mean.At(1024), 100ms);
  EXPECT_NEAR(static_cast<double>(p.end_to_end.At(768).count()), 80'000, 10'000);
}

TEST(LatencyEstimate, AFewCrowdedOnesDoNotBendTheLine) {
  LatencyEstimate estimate;
  estimate.Configure(std::chrono::hours(1), 5000);
  for (int i = 0; i < 50; ++i) estimate.Observe(kBegin, Took(20ms));
  for (int i = 0; i < 3; ++i) estimate.Observe(kBegin, Took(800ms, 768));
  EXPECT_EQ(estimate.Predict(kBegin).mean.At(1024), 20ms);
}

TEST(LatencyEstimate, DoesNotStretchWhereLoadMakesNoDifference) {
  LatencyEstimate estimate;
  estimate.Configure(std::chrono::hours(1), 5000);
  for (Load load = 0; load < 1024; load += 8) estimate.Observe(kBegin, Took(30ms, load));
  EXPECT_EQ(estimate.Predict(kBegin).mean.At(1024), 30ms);
}

TEST(LatencyEstimate, WhatWasGivenUpLooksSlowAndLeavesTheMean) {
  LatencyEstimate estimate;
  estimate.Configure(60s, 9500);
  for (int i = 0; i < 50; ++i) estimate.Observe(kBegin, Took(20ms));
  EXPECT_LT(estimate.Predict(kBegin).end_to_end.At(0), 30ms);
  LatencyEstimate::Observation slow = Took(2s);
  slow.censored = true;
  for (int i = 0; i < 10; ++i) estimate.Observe(kBegin, slow);
  EXPECT_GT(estimate.Predict(kBegin).end_to_end.At(0), 1s);
  EXPECT_EQ(estimate.Predict(kBegin).mean.At(0), 20ms);
}

TEST(LatencyEstimate, KnowsTheLeastOfEightThatWereAlone) {
  LatencyEstimate estimate;
  estimate.Configure(60s, 9500);
  for (int i = 0; i < 7; ++i) estimate.Observe(kBegin, Took(20ms));
  EXPECT_EQ(estimate.Predict(kBegin).least, Duration{});
  for (int i = 0; i < 7; ++i) estimate.Observe(kBegin, Took(1ms, 512));
  EXPECT_EQ(estimate.Predict(kBegin).least, Duration{}) << "half full is not alone";
  estimate.Observe(kBegin, Took(20ms, 511));
  EXPECT_GT(estimate.Predict(kBegin).least, 15ms);
}

TEST(LatencyEstimate, TokensAgeWithTheAnswers) {
  LatencyEstimate estimate;
  estimate.Configure(10s, 5000);
  LatencyEstimate::Observation slow = Took(1s), quick = Took(100ms);
  slow.ttft = slow.per_token = 100ms;
  quick.ttft = quick.per_token = 1ms;
  for (int i = 0; i < 40; ++i) estimate.Observe(kBegin, slow);
  EXPECT_GT(estimate.Predict(kBegin).per_token.Idle(), 90ms);
  EXPECT_GT(estimate.Predict(kBegin).ttft.Idle(), 90ms);
  // Four half lives later 2.5 of them are left against 5.
  for (int i = 0; i < 5; ++i) estimate.Observe(kBegin + 20s, quick);
  EXPECT_LT(estimate.Predict(kBegin + 20s).per_token.Idle(), 2ms);
  EXPECT_LT(estimate.Predict(kBegin + 20s).ttft.Idle(), 2ms);
}

TEST(LatencyEstimate, SurvivesAnyTimesAndGaps) {
  EXPECT_TRUE(rc::check([] {
    LatencyEstimate estimate;
    estimate.Configure(Duration(*rc::gen::inRange<int64_t>(0, 1'000'000'000)), 9900);
    Time now = kBegin;
    const auto steps = *rc::gen::inRange(1, 200);
    for (int i = 0; i < steps; ++i) {
      now += Duration(*rc::gen::inRange<int64_t>(0, int64_t{1} << *rc::gen::inRange(1, 40)));
      LatencyEstimate::Observation o =
          Took(Duration(*rc::gen::inRange<int64_t>(0, int64_t{1} << *rc::gen::inRange(1, 60))),
               *rc::gen::inRange<Load>(0, 1025));
      estimate.Observe(now, o);
      const Prediction& p = estimate.Predict(now);
      RC_ASSERT(p.samples >= 1);
      RC_ASSERT(p.end_to_end.At(0) >= Duration::zero());
      RC_ASSERT(p.mean.At(0) >= Duration::zero());
      RC_ASSERT(p.mean.At(1024) <= 48h);  // 2.4 h at a sixteenth apart
      RC_ASSERT(p.end_to_end.At(1024) >= p.end_to_end.At(0));
    }
  }));
}

}  // namespace
}  // namespace allot::router
