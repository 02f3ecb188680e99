// Found by the simulator (seed 3723): a job that others were held for was cancelled while it
// waited, and they stayed held although their room was free.
#include "gtest/gtest.h"
#include "scheduler/core/core.h"

namespace allot::scheduler {
namespace {

JobSpecPtr NeedsGpus(uint32_t count) {
  auto spec = std::make_shared<JobSpec>();
  spec->command = {"train"};
  DeviceRequest request;
  request.kind = DeviceKind::kGpu;
  request.count = count;
  spec->devices = {request};
  return spec;
}

TEST(GoneHolder, CancelledWhileItWaitsLetsGoWhatItHeld) {
  Core core{CoreOptions{}};
  Time now = FromMicros(1'000'000);
  const auto step = [&](const Event& event) {
    Effects out;
    core.Step(now, event, out);
    now += std::chrono::milliseconds(1);
  };
  const auto phase = [&](uint64_t job) { return core.state().FindJob(JobId(job))->phase; };
  step(Restarted{});
  auto policy = std::make_shared<Policy>();
  policy->queue.head_hold_after = std::chrono::seconds(1);
  step(PolicyApplied{0, policy});
  RegisterNode node;
  node.registration = 1;
  node.info.name = "n1";
  node.info.instance = "i1";
  node.info.cpus = 64'000;
  node.info.memory = 64 * kGiB;
  for (int i = 0; i < 2; ++i) {
    Device gpu;
    gpu.id = std::string("gpu") + std::to_string(i);
    gpu.model = "nvidia/h200";
    node.info.devices.push_back(gpu);
  }
  step(AgentSaid{"n1", node});

  step(JobSubmitted{1, NeedsGpus(1), "user", ""});
  step(JobSubmitted{2, NeedsGpus(2), "user", ""});  // Waits for both.
  now += std::chrono::seconds(2);
  step(JobSubmitted{3, NeedsGpus(1), "user", ""});  // Would fit, and is held for the older one.
  ASSERT_EQ(phase(1), JobPhase::kRunning);
  ASSERT_EQ(phase(3), JobPhase::kPending);

  step(JobCancelRequested{4, JobId(2), "user"});
  EXPECT_EQ(phase(3), JobPhase::kRunning);
}

}  // namespace
}  // namespace allot::scheduler
