// What decoding refuses, and what it says then.
#include <cmath>
#include <functional>
#include <limits>

#include "common/wire/codec.h"
#include "gtest/gtest.h"

namespace allot::wire {
namespace {

allot::TaskStatus Exited() {
  return {.key = {{JobId(17), 0}, Attempt(1)},
          .phase = allot::TaskPhase::kExited,
          .exit = allot::TaskExit{}};
}

TEST(Decoding, RefusesTaskStatusesThatCannotBe) {
  const std::pair<std::function<void(TaskStatus&)>, const char*> rows[] = {
      {[](TaskStatus& s) { s.clear_key(); }, "task key has no job"},
      {[](TaskStatus& s) { s.mutable_key()->set_attempt(0); }, "task key of job-17 has no attempt"},
      {[](TaskStatus& s) { s.mutable_key()->set_index(70'000); },
       "task index is 70000; it must be between 0 and 65535"},
      {[](TaskStatus& s) { s.set_phase(3); }, "task phase is 3; this version knows 0 to 2"},
      {[](TaskStatus& s) { s.set_phase(-1); }, "task phase is -1; this version knows 0 to 2"},
      {[](TaskStatus& s) { s.clear_exit(); }, "job-17/0#1 is exited and has not an exit"},
      {[](TaskStatus& s) { s.set_phase(1); }, "job-17/0#1 is running and has an exit"},
      {[](TaskStatus& s) { s.set_started(-1); },
       "task start is -1; it must be between 0 and 100000000000000000"},
  };
  for (const auto& [damage, message] : rows) {
    TaskStatus status;
    Encode(Exited(), &status);
    ASSERT_TRUE(Decode(status).ok());
    damage(status);
    EXPECT_EQ(MessageOf(Decode(status).status()), message);
  }
}

TEST(Decoding, RefusesMessagesOfTheWrongDirection) {
  Message message;
  EXPECT_FALSE(DecodeAgentMessage(message).ok());
  EXPECT_FALSE(DecodeSchedulerMessage(message).ok());
  Encode(SchedulerMessage(allot::AckTasks{.epoch = Epoch(1)}), &message);
  EXPECT_EQ(MessageOf(DecodeAgentMessage(message).status()),
            "message kind 14 is none that an agent sends to a scheduler");
  Encode(AgentMessage(allot::TaskReport{.epoch = Epoch(1)}), &message);
  EXPECT_EQ(MessageOf(DecodeSchedulerMessage(message).status()),
            "message kind 3 is none that a scheduler sends to an agent");
}

TEST(Decoding, RefusesCommandsWithMissingParts) {
  const std::pair<std::function<void(Message&)>, const char*> rows[] = {
      {[](Message& m) { m.mutable_register_node(); }, "register_node has no info"},
      {[](Message& m) { m.mutable_welcome()->set_registration(1); }, "welcome has no epoch"},
      {[](Message& m) { m.mutable_welcome()->set_epoch(1); }, "welcome.heartbeat_every is 0"},
      {[](Message& m) { m.mutable_start_task(); }, "task key has no job"},
      {[](Message& m) { m.mutable_start_replica(); }, "start_replica has no id"},
      {[](Message& m) { m.mutable_start_replica()->set_id(1); }, "start_replica has no launch"},
      {[](Message& m) { m.mutable_stop_replica(); }, "stop_replica has no id"},
      {[](Message& m) { m.mutable_refuse()->set_reason(9); },
       "refuse.reason is 9; this version knows 0 to 3"},
  };
  for (const auto& [fill, text] : rows) {
    Message message;
    fill(message);
    const Status status = message.has_register_node() ? DecodeAgentMessage(message).status()
                                                      : DecodeSchedulerMessage(message).status();
    EXPECT_EQ(MessageOf(status), text);
  }
}

TEST(Decoding, RefusesATaskOutsideOfItsGang) {
  Message message;
  Encode(SchedulerMessage(allot::StartTask{
             .epoch = Epoch(1), .key = {{JobId(1), 2}, Attempt(1)}, .launch = {.world_size = 2}}),
         &message);
  EXPECT_EQ(MessageOf(DecodeSchedulerMessage(message).status()),
            "start_task job-1/2#1 is outside of its gang of 2");
}

TEST(Decoding, TakesBrokenSensorsAsSilent) {
  Message message;
  DeviceTelemetry* device = message.mutable_heartbeat()->add_devices();
  device->set_power_watts(std::nan(""));
  device->set_temperature_celsius(std::numeric_limits<double>::infinity());
  device->set_utilization_ratio(0.5);
  device->set_memory_used(-1);
  const auto decoded = DecodeAgentMessage(message);
  ASSERT_TRUE(decoded.ok());
  const auto& got = std::get<allot::Heartbeat>(*decoded).devices[0];
  EXPECT_FALSE(got.power_watts || got.temperature_celsius || got.memory_used);
  EXPECT_EQ(got.utilization_ratio, 0.5);
}

TEST(Decoding, TakesAnEndWhateverItsClockSaid) {
  TaskExit exit;
  exit.set_started(INT64_MIN);
  exit.set_finished(INT64_MAX);
  EXPECT_EQ(ToMicros(Decode(exit).started), 0);
  EXPECT_GT(ToMicros(Decode(exit).finished), 0);
}

TEST(Encoding, MendsTextThatIsNotUtf8) {
  Message message;
  allot::TaskStatus status = Exited();
  status.exit->message = "Segmentation\xFF fault";
  Encode(AgentMessage(allot::TaskReport{.epoch = Epoch(1), .tasks = {status}}), &message);
  Message received;
  ASSERT_TRUE(received.ParseFromString(message.SerializeAsString()));
  EXPECT_EQ(received.task_report().tasks(0).exit().message(), "Segmentation\xEF\xBF\xBD fault");
}

TEST(Encoding, LeavesNothingOfWhatWasThereBefore) {
  Message message;
  Encode(
      SchedulerMessage(allot::AckTasks{.epoch = Epoch(1), .keys = {{{JobId(1), 0}, Attempt(1)}}}),
      &message);
  Encode(SchedulerMessage(allot::AckTasks{.epoch = Epoch(2)}), &message);
  EXPECT_EQ(message.ack_tasks().keys_size(), 0);
}

allot::NodeInfo Good() {
  return {.name = "n1",
          .instance = "8d4c",
          .address = "10.0.0.1",
          .version = "0.1.0",
          .cpus = 64'000,
          .memory = 512 * kGiB,
          .devices = {{.id = "gpu0", .vendor = "nvidia", .model = "nvidia/l4"},
                      {.id = "gpu1", .vendor = "nvidia", .model = "nvidia/l4"}},
          .labels = {{"rack", "r7"}}};
}

TEST(CheckNodeInfo, SaysWhatIsWrongWithANode) {
  ASSERT_TRUE(CheckNodeInfo(Good()).ok());
  const std::pair<std::function<void(allot::NodeInfo&)>, const char*> rows[] = {
      {[](auto& n) { n.name = "Node 1"; },
       "node name \"Node 1\" is not a name; use a-z, 0-9, '-' and '.', start and end with a letter "
       "or digit, at most 63 characters"},
      {[](auto& n) { n.version = "\xFF"; }, "version is not valid UTF-8"},
      {[](auto& n) { n.address = std::string(2000, 'x'); },
       "address has 2000 bytes; at most 1024 are taken"},
      {[](auto& n) { n.cpus = -1; }, "cpus is -1; it must be between 0 and 1000000000"},
      {[](auto& n) { n.memory = -1; },
       "memory is -1; it must be between 0 and 1152921504606846976"},
      {[](auto& n) { n.devices[1].id = "gpu0"; }, "node n1 names device id \"gpu0\" twice"},
      {[](auto& n) { n.devices[1].id = ""; }, "device.id is empty; every device needs one"},
      {[](auto& n) { n.devices[1].model = ""; }, "device.model of gpu1 is empty"},
      {[](auto& n) { n.devices[1].memory = -1; },
       "device.memory is -1; it must be between 0 and 1152921504606846976"},
      {[](auto& n) { n.devices[1].cores = -1; },
       "device.cores is -1; it must be between 0 and 1000000"},
      {[](auto& n) { n.devices[1].features = {"\xC3"}; }, "device.features is not valid UTF-8"},
      {[](auto& n) { n.labels[""] = "x"; }, "node n1 has a label without a name"},
      {[](auto& n) {
         n.devices.clear();
         for (int i = 0; i < 129; ++i)
           n.devices.push_back({.id = std::to_string(i), .model = "a/b"});
       },
       "node n1 has 129 devices; at most 128 are taken"},
  };
  for (const auto& [damage, message] : rows) {
    allot::NodeInfo info = Good();
    damage(info);
    EXPECT_EQ(MessageOf(CheckNodeInfo(info)), message);
  }
}

}  // namespace
}  // namespace allot::wire
