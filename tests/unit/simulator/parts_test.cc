// The small parts of the virtual world.
#include <string>

#include "gtest/gtest.h"
#include "simulator/cluster_maker.h"
#include "simulator/disk.h"
#include "simulator/faults.h"
#include "simulator/loop.h"
#include "simulator/network.h"

namespace allot::simulator {
namespace {

TEST(Loop, RunsByTimeThenByOrderOfAsking) {
  Loop loop;
  std::string said;
  loop.After(2ms, [&] { said += "c"; });
  loop.After(1ms, [&] {
    said += "a";
    loop.After(-5ms, [&] { said += "b"; });  // The past is now.
  });
  loop.After(2ms, [&] { said += "d"; });
  while (loop.RunOne()) {
  }
  EXPECT_EQ(said, "abcd");
}

TEST(Faults, NamesParseAndUnknownOnesAreListed) {
  for (size_t i = 0; i < kFaultKinds; ++i) {
    const auto set = FaultSet::Parse(ToString(static_cast<Fault>(i)));
    ASSERT_TRUE(set.ok());
    EXPECT_TRUE(set->Has(static_cast<Fault>(i)));
  }
  const auto two = FaultSet::Parse("node_crash,message_loss");
  ASSERT_TRUE(two.ok());
  EXPECT_TRUE(two->Has(Fault::kNodeCrash));
  EXPECT_TRUE(two->Has(Fault::kMessageLoss));
  EXPECT_FALSE(two->Has(Fault::kPartition));
  const auto wrong = FaultSet::Parse("node_crush");
  ASSERT_FALSE(wrong.ok());
  EXPECT_NE(MessageOf(wrong.status()).find("node_crash"), std::string::npos);
}

TEST(Faults, NothingStrikesAfterTheHeal) {
  Rng rng(3);
  Faults faults(FaultSet::All(), rng);
  faults.Heal();
  for (int i = 0; i < 1'000; ++i) EXPECT_FALSE(faults.Strikes(Fault::kMessageLoss, 1'000));
}

TEST(Network, KeepsTheOrderOfAWireWhenNothingIsWrong) {
  Loop loop;
  Rng rng(5);
  Faults faults(FaultSet::None(), rng);
  Network network(loop, rng, faults);
  Wire wire;
  std::vector<int> arrived;
  for (int i = 0; i < 200; ++i) network.Send(wire, [&arrived, i] { arrived.push_back(i); });
  while (loop.RunOne()) {
  }
  ASSERT_EQ(arrived.size(), 200u);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(arrived[static_cast<size_t>(i)], i);
}

TEST(Disk, SnapshotAndLaterRecordsFoldToTheSame) {
  using namespace scheduler;  // NOLINT: a test of records alone
  Disk disk;
  const auto spec = std::make_shared<const JobSpec>();
  disk.Append(
      {TermBegun{FromMicros(1), Term(1)}, JobAccepted{FromMicros(2), JobId(1), spec, "u", ""}});
  disk.TakeSnapshot();
  disk.Append({JobAccepted{FromMicros(3), JobId(2), spec, "u", ""}});
  ClusterState state = *disk.snapshot();
  for (size_t i = disk.snapshot_covers(); i < disk.records().size(); ++i)
    state.Apply(disk.records()[i]);
  EXPECT_EQ(state.Fingerprint(), disk.fold().Fingerprint());
}

TEST(ClusterMaker, SaysWhetherAGangFitsAnEmptyCluster) {
  NodeInfo node;
  node.cpus = 4'000;
  node.memory = 8 * kGiB;
  Device device;
  device.model = "nvidia/l4-24g";
  device.id = "a";
  node.devices = {device, device};
  JobSpec job;
  job.tasks = 2;
  DeviceRequest one;
  one.kind = DeviceKind::kGpu;
  job.devices = {one};
  EXPECT_TRUE(FitsEmptyCluster(job, {&node}));
  job.devices[0].count = 2;
  EXPECT_FALSE(FitsEmptyCluster(job, {&node}));
  EXPECT_TRUE(FitsEmptyCluster(job, {&node, &node}));
  job.resources.cpus = 5'000;
  EXPECT_FALSE(FitsEmptyCluster(job, {&node, &node}));
}

}  // namespace
}  // namespace allot::simulator
