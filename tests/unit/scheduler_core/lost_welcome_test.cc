// Found by the simulator (seed 105105): the scheduler died between keeping a registration and
// sending what follows from it; the agent repeated its RegisterNode, was welcomed by the next life,
// and the StartTask of a lease it had never heard of was never said again.
#include "gtest/gtest.h"
#include "scheduler/core/core.h"

namespace allot::scheduler {
namespace {

class LostWelcome : public testing::Test {
 protected:
  void Begin() {
    core_ = std::make_unique<Core>(CoreOptions{});
    for (const Record& record : journal_) core_->Replay(record);
    Do(Restarted{});
  }
  std::vector<SchedulerMessage> Do(const Event& event) {
    Effects out;
    now_ += std::chrono::milliseconds(1);
    core_->Step(now_, event, out);
    journal_.insert(journal_.end(), out.records.begin(), out.records.end());
    std::vector<SchedulerMessage> sent;
    for (const Command& command : out.commands)
      if (const auto* send = std::get_if<SendToAgent>(&command)) sent.push_back(send->message);
    return sent;
  }
  std::vector<SchedulerMessage> Register(uint64_t number) {
    RegisterNode message;
    message.registration = number;
    message.info.name = "n1";
    message.info.instance = "i1";
    message.info.cpus = 4'000;
    message.info.memory = 8 * kGiB;
    Device cpu;
    cpu.id = "cpu0";
    cpu.kind = DeviceKind::kCpu;
    cpu.cores = 4;
    message.info.devices = {cpu};
    return Do(AgentSaid{"n1", message});
  }
  template <class M>
  static const M* Find(const std::vector<SchedulerMessage>& sent) {
    for (const SchedulerMessage& message : sent)
      if (const auto* found = std::get_if<M>(&message)) return found;
    return nullptr;
  }

  Time now_ = FromMicros(1'000'000);
  std::vector<Record> journal_;
  std::unique_ptr<Core> core_;
};

TEST_F(LostWelcome, OfAnEarlierLifeIsAnsweredByAskingForANewRegistration) {
  Begin();
  Register(1);
  auto spec = std::make_shared<JobSpec>();
  spec->command = {"true"};
  Do(JobSubmitted{1, spec, "user", ""});  // Placed; its StartTask is lost.
  Register(2);                            // Kept; everything it leads to is lost with this life.
  Begin();

  const auto echo = Register(2);
  EXPECT_EQ(Find<Welcome>(echo), nullptr);
  const auto* refuse = Find<Refuse>(echo);
  ASSERT_NE(refuse, nullptr);
  EXPECT_EQ(refuse->reason, RefuseReason::kStaleRegistration);

  const auto anew = Register(3);
  const auto* welcome = Find<Welcome>(anew);
  ASSERT_NE(welcome, nullptr);
  const auto* start = Find<StartTask>(anew);
  ASSERT_NE(start, nullptr);
  EXPECT_EQ(start->epoch, welcome->epoch);
}

}  // namespace
}  // namespace allot::scheduler
