// The lines of the scheduler's log about the cluster, and what text from outside may do in them.
#include "scheduler/shell/record_log.h"

#include <memory>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace allot::scheduler {
namespace {

TEST(Quoted, KeepsOutsideTextWithinItsField) {
  const std::pair<std::string, std::string> rows[] = {
      {"no space left", R"("no space left")"},
      {"", R"("")"},
      {"a\nlevel=error forged", R"("a\nlevel=error forged")"},
      {R"(say "hi"\)", R"("say \"hi\"\\")"},
      {"\x1b[31mred\x07\r\t\x7f", R"("\x1b[31mred\x07\x0d\t\x7f")"},
      {std::string("nul\0nul", 7), R"("nul\x00nul")"},
      {"caf\xE9", "\"caf\xEF\xBF\xBD\""},
      {"\xC3\xA9\xE2\x82\xAC", "\"\xC3\xA9\xE2\x82\xAC\""},
      {"c1 \xC2\x85 next line", R"("c1 \u0085 next line")"},
      {"line \xE2\x80\xA8 paragraph \xE2\x80\xA9 dash \xE2\x80\x94",
       "\"line \\u2028 paragraph \\u2029 dash \xE2\x80\x94\""},
  };
  for (const auto& [text, quoted] : rows) EXPECT_EQ(Quoted(text), quoted);
}

TEST(Quoted, HasAnEnd) {
  EXPECT_EQ(Quoted("abcdef", 3), "\"abc…\"");
  // Not through the middle of a character.
  EXPECT_EQ(Quoted("ab\xC3\xA9xx", 3), "\"ab\xC3\xA9…\"");
  EXPECT_LT(Quoted(std::string(1'000'000, '\n')).size(), 300u);
}

class Lines : public ::testing::Test {
 protected:
  Lines() {
    NodeInfo info;
    info.name = "gpu-1";
    info.cpus = 8000;
    info.memory = 8 * kGiB;
    Apply(NodeRegistered{at_, NodeId(1), Epoch(1), 1, std::make_shared<const NodeInfo>(info)});
    JobSpec spec;
    spec.tasks = 2;
    Apply(JobAccepted{at_, JobId(1), std::make_shared<const JobSpec>(spec), "ann", ""});
    JobPlaced placed{.at = at_, .job = JobId(1), .attempt = Attempt(1)};
    placed.tasks = {{NodeId(1), {}}, {NodeId(1), {}}};
    Apply(placed);
  }
  std::string Apply(const Record& record) {
    state_.Apply(record);
    const auto line = LineOf(record, state_);
    return line ? (line->warn ? "W " : "I ") + line->text : "";
  }
  TaskKey Key(uint32_t rank) { return {{JobId(1), rank}, Attempt(1)}; }

  const Time at_ = FromMicros(1'700'000'000'000'000);
  ClusterState state_;
};

TEST_F(Lines, ARequeueSaysWhoFailedFirst) {
  EXPECT_EQ(Apply(TaskExited{at_, Key(1), {.code = 3, .message = "loss is\nnan"}}), "");
  EXPECT_EQ(Apply(JobStopping{at_, JobId(1)}), "");
  Apply(TaskExited{at_, Key(0), {.signal = 15}});
  EXPECT_EQ(
      Apply(JobRequeued{at_, JobId(1), RequeueReason::kTaskFailed, at_ + std::chrono::seconds(2)}),
      R"(I job requeued job=job-1 reason=task_failed attempt=1 first="task 1 on gpu-1: loss is\nnan" pause=2s)");
}

TEST_F(Lines, WhatIsWrongWithNodesIsWarnedOf) {
  EXPECT_EQ(Apply(DeviceQuarantined{at_, NodeId(1), "0000:17:00.0", at_, 1, "3 jobs failed"}),
            R"(W quarantined node=gpu-1 device="0000:17:00.0" strikes=1 why="3 jobs failed")");
  EXPECT_EQ(Apply(DeviceOnProbation{at_, NodeId(1), "0000:17:00.0"}),
            R"(I on probation node=gpu-1 device="0000:17:00.0")");
  EXPECT_EQ(Apply(DeviceCleared{at_, NodeId(1), "0000:17:00.0"}),
            R"(I back in service node=gpu-1 device="0000:17:00.0")");
  for (const uint32_t rank : {0u, 1u}) Apply(TaskAbandoned{at_, Key(rank)});
  EXPECT_EQ(Apply(NodeLost{at_, NodeId(1), Epoch(2)}),
            "W node lost node=gpu-1 epoch=2; it was not heard for the lease, and what ran on it "
            "goes elsewhere");
  EXPECT_EQ(
      LineOf(RegistrationRefused{"gpu-1", RefuseReason::kNameTaken, "another \"gpu-1\""})->text,
      R"(registration refused node="gpu-1" reason=name_taken why="another \"gpu-1\"")");
  EXPECT_EQ(LineOf(TaskUnanswered{"gpu-1", Key(0), std::chrono::seconds(60)})->text,
            "task taken back node=gpu-1 task=job-1/0#1: the node is heard, but did not say within "
            "1m that it has it");
  EXPECT_EQ(
      LineOf(CutOff{std::chrono::seconds(15)})->text,
      "no node was heard for 15s: this scheduler seems to be cut off; leases stand still until "
      "one is heard");
  EXPECT_FALSE(LineOf(Note(Stalled{})).has_value());
}

}  // namespace
}  // namespace allot::scheduler
