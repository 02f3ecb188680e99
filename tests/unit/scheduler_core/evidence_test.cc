// The rule by which places are found guilty of failing jobs, row by row.
#include "scheduler/core/evidence.h"

#include "fmt/format.h"
#include "gtest/gtest.h"

namespace allot::scheduler {
namespace {

constexpr uint32_t kFailures = 3;

// Two nodes with two devices each, and people who run one kind of work each. Time goes on by
// itself.
class EvidenceTest : public testing::Test {
 protected:
  EvidenceTest() {
    for (uint32_t n = 0; n < 3; ++n) {
      whole[n] = evidence.Place(NodeId(n + 1), "");
      for (uint32_t d = 0; d < 2; ++d)
        device[n][d] = evidence.Place(NodeId(n + 1), fmt::format("gpu{}", d));
    }
  }

  // A job of `user` placed now: on devices of a node, or on its processors.
  TaskRun Place(uint64_t job, uint32_t node, std::vector<uint32_t> devices, uint64_t user = 1) {
    TaskRun run;
    run.job = JobId(job);
    run.kind = run.user = user;
    run.placed = Tick();
    run.node = NodeId(node + 1);
    run.whole = whole[node];
    for (const uint32_t d : devices) run.devices.push_back(device[node][d]);
    return run;
  }
  void Fail(const TaskRun& run) { evidence.Failed(run, Tick(), kFailures); }
  // Starts and fails before anything else does.
  void Fails(uint64_t job, uint32_t node, std::vector<uint32_t> devices, uint64_t user = 1) {
    Fail(Place(job, node, std::move(devices), user));
  }
  void Succeeds(uint64_t job, uint32_t node, std::vector<uint32_t> devices, uint64_t user = 1) {
    evidence.Well(Place(job, node, std::move(devices), user));
  }
  bool Guilty(PlaceId place, bool alternative = true) {
    return evidence.Guilty(place, kFailures, [=](PlaceId) { return alternative; });
  }
  Time Tick() { return now = now + std::chrono::seconds(1); }

  Evidence evidence;
  PlaceId whole[3]{}, device[3][2]{};
  Time now = FromMicros(1'000'000'000);
};

TEST_F(EvidenceTest, AsManyDifferentJobsInARow) {
  Succeeds(1, 1, {0});
  Fails(2, 0, {0});
  Fails(3, 0, {0});
  EXPECT_FALSE(Guilty(device[0][0]));
  Fails(4, 0, {0});
  EXPECT_TRUE(Guilty(device[0][0]));
  EXPECT_FALSE(Guilty(device[0][1]));
  // One device explains all of it.
  EXPECT_FALSE(Guilty(whole[0]));
}

TEST_F(EvidenceTest, AttemptsOfOneJobCountOnce) {
  Succeeds(1, 1, {0});
  for (int attempt = 0; attempt < 5; ++attempt) Fails(2, 0, {0});
  EXPECT_EQ(evidence.accusers(device[0][0]).size(), 1u);
  EXPECT_FALSE(Guilty(device[0][0]));
}

TEST_F(EvidenceTest, SuccessEndsTheRow) {
  Succeeds(1, 1, {0});
  Fails(2, 0, {0});
  Fails(3, 0, {0});
  Succeeds(4, 0, {0});
  Fails(5, 0, {0});
  EXPECT_EQ(evidence.accusers(device[0][0]).size(), 1u);
}

// What was placed before the trouble began says nothing about it.
TEST_F(EvidenceTest, SuccessOfWorkFromBeforeEndsNothing) {
  const TaskRun old = Place(1, 0, {});
  Fails(2, 0, {});
  Fails(3, 0, {});
  evidence.Well(old);
  EXPECT_EQ(evidence.accusers(whole[0]).size(), 2u);
}

// Found by the simulator (seed 2000039656).
TEST_F(EvidenceTest, SuccessBetweenTwoAttemptsRefutesTheFirstAlone) {
  Succeeds(1, 1, {});
  const TaskRun first = Place(2, 0, {});
  const TaskRun between = Place(3, 0, {});
  Fail(first);
  Fails(2, 0, {});  // Its second attempt.
  evidence.Well(between);
  EXPECT_EQ(evidence.accusers(whole[0]).size(), 1u);
  Fails(4, 0, {});
  Fails(5, 0, {});
  EXPECT_TRUE(Guilty(whole[0]));
}

TEST_F(EvidenceTest, WhereJobsFailEverywhereNobodyIsGuilty) {
  for (uint64_t round = 0; round < 5; ++round) {
    for (uint32_t n = 0; n < 2; ++n) {
      for (uint32_t d = 0; d < 2; ++d) Fails(10 * round + 2 * n + d + 1, n, {d});
    }
  }
  for (uint32_t n = 0; n < 2; ++n) {
    EXPECT_FALSE(Guilty(whole[n]));
    for (uint32_t d = 0; d < 2; ++d) EXPECT_FALSE(Guilty(device[n][d]));
  }
}

TEST_F(EvidenceTest, AJobThatFailsElsewhereTooIsTakenBack) {
  Succeeds(1, 1, {0});
  Fails(2, 0, {0});
  Fails(3, 0, {0});
  Fails(3, 2, {1});
  EXPECT_EQ(evidence.accusers(device[0][0]).size(), 1u);
  EXPECT_TRUE(evidence.accusers(device[2][1]).empty());
}

TEST_F(EvidenceTest, WhatAJobLeasedEachTimeStaysAccused) {
  Fails(1, 0, {0, 1});
  Fails(1, 0, {1});
  EXPECT_TRUE(evidence.accusers(device[0][0]).empty());
  EXPECT_EQ(evidence.accusers(device[0][1]).size(), 1u);
}

TEST_F(EvidenceTest, ADeviceOfTheSameNodeIsElsewhere) {
  const TaskRun neighbour = Place(1, 0, {1});
  evidence.Began(neighbour);
  for (uint64_t job = 2; job <= 4; ++job) Fails(job, 0, {0});
  EXPECT_EQ(evidence.CountElsewhere(device[0][0]).outlived, 1u);
  EXPECT_TRUE(Guilty(device[0][0], false));
}

// A place that fails at once is free for many jobs while the others run one: places count, not
// jobs.
TEST_F(EvidenceTest, TwoBadPlacesOfThreeAreBothFound) {
  const TaskRun good = Place(1, 2, {0});
  evidence.Began(good);
  for (uint64_t round = 0; round < 3; ++round) {
    Fails(10 + round, 0, {0});
    Fails(20 + round, 1, {0});
  }
  ASSERT_TRUE(Guilty(device[0][0]));
  evidence.Convict(device[0][0], kFailures);
  EXPECT_TRUE(Guilty(device[1][0]));
}

TEST_F(EvidenceTest, JobsOnDifferentDevicesAccuseTheirNode) {
  Succeeds(1, 1, {0});
  Fails(2, 0, {0});
  Fails(3, 0, {1});
  EXPECT_TRUE(evidence.Suspect(whole[0]));
  Fails(4, 0, {0});
  EXPECT_TRUE(Guilty(whole[0]));
}

TEST_F(EvidenceTest, OneBadDeviceAndAStrayFailureDoNotAccuseAWideNode) {
  evidence.SetAccelerators(whole[0], 8);
  Succeeds(1, 1, {0});
  Fails(2, 0, {0});
  Fails(3, 0, {0});
  Fails(4, 0, {1}, 2);
  EXPECT_FALSE(Guilty(whole[0]));
  const PlaceId third = evidence.Place(NodeId(1), "gpu2");
  TaskRun run = Place(5, 0, {1});
  run.devices = {third};
  Fail(run);
  EXPECT_TRUE(Guilty(whole[0]));
}

TEST_F(EvidenceTest, AVerdictOnADeviceExplainsItsFailures) {
  Succeeds(1, 1, {0});
  for (uint64_t job = 2; job <= 4; ++job) Fails(job, 0, {0});
  ASSERT_TRUE(Guilty(device[0][0]));
  evidence.Convict(device[0][0], kFailures);
  Fails(5, 0, {});
  EXPECT_EQ(evidence.accusers(whole[0]).size(), 1u);
  EXPECT_FALSE(Guilty(whole[0]));
}

TEST_F(EvidenceTest, JobsOnProcessorsAccuseTheirNode) {
  Succeeds(1, 1, {});
  for (uint64_t job = 2; job <= 4; ++job) Fails(job, 0, {});
  EXPECT_TRUE(Guilty(whole[0]));
  EXPECT_FALSE(Guilty(device[0][0]));
}

struct Unknown {
  const char* name;
  bool alternative, together;
  uint64_t last_user;
  bool guilty;
};
class UnknownElsewhere : public EvidenceTest, public testing::WithParamInterface<Unknown> {};

// Three jobs fail on the only place where such work has ever run.
TEST_P(UnknownElsewhere, IsDecidedBy) {
  const Unknown& row = GetParam();
  std::vector<TaskRun> runs;
  for (uint64_t job = 1; job <= 3; ++job) {
    runs.push_back(Place(job, 0, {}, job == 3 ? row.last_user : 1));
    if (!row.together) Fail(runs.back());
  }
  if (row.together) {
    for (const TaskRun& run : runs) Fail(run);
  }
  EXPECT_EQ(Guilty(whole[0], row.alternative), row.guilty);
}

INSTANTIATE_TEST_SUITE_P(
    Evidence, UnknownElsewhere,
    testing::Values(Unknown{"another_place_to_try", true, false, 1, true},
                    Unknown{"no_other_place", false, false, 1, false},
                    Unknown{"no_other_place_but_two_users", false, false, 2, true},
                    Unknown{"placed_before_anybody_knew", true, true, 1, false}),
    [](const auto& test) { return test.param.name; });

TEST_F(EvidenceTest, ATrialIsRefutedByFailureElsewhereAndProvedBySuccess) {
  for (const bool refuted : {true, false}) {
    evidence.Clear();
    const PlaceId bad = evidence.Place(NodeId(1), "gpu0");
    const PlaceId other = evidence.Place(NodeId(2), "gpu0");
    TaskRun run;
    run.kind = run.user = 1;
    for (uint64_t job = 1; job <= 3; ++job) {
      run.job = JobId(job);
      run.placed = Tick();
      run.node = NodeId(1);
      run.whole = evidence.Place(NodeId(1), "");
      run.devices = {bad};
      Fail(run);
    }
    evidence.Convict(bad, kFailures);
    run.node = NodeId(2);
    run.whole = evidence.Place(NodeId(2), "");
    run.devices = {other};
    run.job = JobId(4);
    run.placed = Tick();
    if (!refuted) evidence.Well(run);
    run.job = JobId(5);
    run.placed = Tick();
    Fail(run);
    EXPECT_EQ(evidence.ConvictedBy(1), std::vector<PlaceId>{bad});
    EXPECT_EQ(evidence.Refuted(bad), refuted);
    evidence.Acquit(bad);
    EXPECT_TRUE(evidence.ConvictedBy(1).empty());
  }
}

// As long as none of its kind has gone well elsewhere a verdict is on trial; here is not elsewhere.
TEST_F(EvidenceTest, WhatGoesWellWhereItFailedEndsNoTrial) {
  struct Row {
    uint32_t node;
    std::vector<uint32_t> devices;
    PlaceId place;
  };
  for (const Row& row : {Row{0, {0}, device[0][0]}, Row{2, {}, whole[2]}}) {
    const uint64_t user = 7 + row.node, first = 100 * (row.node + 1);
    const TaskRun before = Place(first, row.node, row.devices, user);
    for (uint64_t job = 1; job <= 3; ++job) Fails(first + job, row.node, row.devices, user);
    evidence.Convict(row.place, kFailures);
    evidence.Well(before);
    Fails(first + 4, 1, row.devices, user);
    EXPECT_TRUE(evidence.Refuted(row.place)) << row.node;
  }
}

// The kind of work that convicted two places can still take one back when the other is acquitted.
TEST_F(EvidenceTest, WhatIsAcquittedLeavesTheOthersConvicted) {
  for (uint64_t job = 1; job <= 3; ++job) Fails(job, 0, {0});
  for (uint64_t job = 4; job <= 6; ++job) Fails(job, 1, {0});
  evidence.Convict(device[0][0], kFailures);
  evidence.Convict(device[1][0], kFailures);
  EXPECT_EQ(evidence.ConvictedBy(1), (std::vector<PlaceId>{device[0][0], device[1][0]}));
  evidence.Acquit(device[0][0]);
  EXPECT_EQ(evidence.ConvictedBy(1), std::vector<PlaceId>{device[1][0]});
  evidence.Acquit(device[1][0]);
  EXPECT_TRUE(evidence.ConvictedBy(1).empty());
}

// Three were allowed, and then two: the third would explain by one device what the last two do not.
TEST_F(EvidenceTest, WhatAPolicyCountsNoMoreIsForgotten) {
  evidence.SetAccelerators(whole[0], 6);
  Succeeds(1, 1, {0});
  Fails(2, 0, {0});
  Fails(3, 0, {1});
  Fails(4, 0, {0});
  const auto guilty = [&](PlaceId place) {
    return evidence.Guilty(place, 2, [](PlaceId) { return false; });
  };
  EXPECT_FALSE(guilty(whole[0]));
  EXPECT_EQ(evidence.KeepLast(2), std::vector<PlaceId>{whole[0]});
  EXPECT_EQ(evidence.accusers(whole[0]).size(), 2u);
  EXPECT_EQ(evidence.accusers(whole[0]).front().job, JobId(3));
  EXPECT_TRUE(guilty(whole[0]));
  EXPECT_TRUE(evidence.KeepLast(2).empty());
}

TEST_F(EvidenceTest, WhatAVerdictStandsOnIsKept) {
  Succeeds(1, 1, {0});
  for (uint64_t job = 2; job < 5; ++job) Fails(job, 0, {0});
  evidence.Convict(device[0][0], kFailures);
  evidence.KeepLast(1);
  EXPECT_EQ(evidence.accusers(device[0][0]).size(), 3u);
  EXPECT_FALSE(evidence.Refuted(device[0][0]));
}

TEST_F(EvidenceTest, WhatIsKeptIsBounded) {
  for (uint64_t job = 1; job <= 10'000; ++job) {
    Fails(job, 0, {0}, job);
    EXPECT_LE(evidence.accusers(device[0][0]).size(), kFailures);
  }
}

}  // namespace
}  // namespace allot::scheduler
