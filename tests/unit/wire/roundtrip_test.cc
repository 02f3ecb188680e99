// What is encoded, sent and decoded is what it was.
#include "common/wire/codec.h"
#include "gtest/gtest.h"
#include "tests/unit/wire/any.h"

namespace allot::wire {
namespace {

// Through bytes, as on a link.
template <class Proto, class Model>
Proto Sent(const Model& model) {
  Proto encoded, received;
  Encode(model, &encoded);
  RC_ASSERT(received.ParseFromString(encoded.SerializeAsString()));
  return received;
}

template <class Proto, class Make>
void ExpectRoundTrip(Make make) {
  EXPECT_TRUE(rc::check([&] {
    const auto model = make();
    const auto decoded = Decode(Sent<Proto>(model));
    RC_ASSERT(decoded.ok());
    RC_ASSERT(*decoded == model);
  }));
}

TEST(RoundTrip, KeepsEveryPart) {
  ExpectRoundTrip<NodeInfo>(any::Node);
  ExpectRoundTrip<TaskKey>(any::Key);
  ExpectRoundTrip<TaskStatus>(any::Status);
  ExpectRoundTrip<ReplicaStatus>(any::OfReplica);
  ExpectRoundTrip<TaskLaunch>(any::Launch);
  ExpectRoundTrip<ReplicaLaunch>(any::LaunchOfReplica);
  ExpectRoundTrip<RouteTable>(any::Routes);
}

TEST(RoundTrip, KeepsWhatTheJournalHolds) {
  ExpectRoundTrip<records::JobSpec>(any::Job);
  ExpectRoundTrip<records::DeploymentSpec>(any::Deployment);
  ExpectRoundTrip<records::Policy>(any::SomePolicy);
  EXPECT_TRUE(rc::check([] {
    const allot::TaskExit exit = any::Exit();
    RC_ASSERT(Decode(Sent<TaskExit>(exit)) == exit);
  }));
}

template <class Kind, class Variant>
const Kind& As(const StatusOr<Variant>& decoded) {
  RC_ASSERT(decoded.ok());
  RC_ASSERT(std::holds_alternative<Kind>(*decoded));
  return std::get<Kind>(*decoded);
}

TEST(RoundTrip, KeepsWhatAgentsSay) {
  const auto sent = [](const AgentMessage& message) {
    return DecodeAgentMessage(Sent<Message>(message));
  };
  EXPECT_TRUE(rc::check([&] {
    const allot::RegisterNode first{.registration = any::Positive(),
                                    .info = any::Node(),
                                    .tasks = any::Many(any::Status),
                                    .replicas = any::Many(any::OfReplica)};
    const auto first_sent = sent(first);
    RC_ASSERT(As<allot::RegisterNode>(first_sent) == first);

    const allot::TaskReport report{.epoch = Epoch(any::Positive()),
                                   .tasks = any::Many(any::Status)};
    const auto report_sent = sent(report);
    RC_ASSERT(As<allot::TaskReport>(report_sent).epoch == report.epoch);
    RC_ASSERT(As<allot::TaskReport>(report_sent).tasks == report.tasks);

    const allot::ReplicaReport replicas{.epoch = Epoch(any::Positive()),
                                        .replicas = any::Many(any::OfReplica)};
    const auto replicas_sent = sent(replicas);
    RC_ASSERT(As<allot::ReplicaReport>(replicas_sent).epoch == replicas.epoch);
    RC_ASSERT(As<allot::ReplicaReport>(replicas_sent).replicas == replicas.replicas);
  }));
}

TEST(RoundTrip, KeepsHeartbeats) {
  EXPECT_TRUE(rc::check([] {
    const allot::DeviceTelemetry device{.id = any::Text(),
                                        .power_watts = any::Maybe(any::Real),
                                        .temperature_celsius = any::Maybe(any::Real),
                                        .utilization_ratio = any::Maybe(any::Real),
                                        .energy_joules = any::Maybe(any::Real),
                                        .memory_used = any::Maybe(any::SomeBytes)};
    const allot::Heartbeat beat{
        .epoch = Epoch(any::Positive()), .devices = {device}, .progress = any::Many(any::Status)};
    const auto decoded = DecodeAgentMessage(Sent<Message>(AgentMessage(beat)));
    const auto& got = As<allot::Heartbeat>(decoded);
    RC_ASSERT(got.epoch == beat.epoch);
    RC_ASSERT(got.progress == beat.progress);
    RC_ASSERT(got.devices.size() == 1u);
    RC_ASSERT(got.devices[0].id == device.id);
    RC_ASSERT(got.devices[0].power_watts == device.power_watts);
    RC_ASSERT(got.devices[0].temperature_celsius == device.temperature_celsius);
    RC_ASSERT(got.devices[0].utilization_ratio == device.utilization_ratio);
    RC_ASSERT(got.devices[0].energy_joules == device.energy_joules);
    RC_ASSERT(got.devices[0].memory_used == device.memory_used);
  }));
}

TEST(RoundTrip, KeepsWhatTheSchedulerSays) {
  const auto sent = [](const SchedulerMessage& message) {
    return DecodeSchedulerMessage(Sent<Message>(message));
  };
  EXPECT_TRUE(rc::check([&] {
    const allot::Welcome welcome{.registration = any::Positive(),
                                 .epoch = Epoch(any::Positive()),
                                 .term = Term(any::Positive()),
                                 .heartbeat_every = Duration(1 + any::Small()),
                                 .lease = any::SomeDuration(),
                                 .gateways = any::Many([] {
                                   return allot::GatewayAddress{any::Text(), any::Text()};
                                 }),
                                 .gateway_keys = any::Maybe([] { return any::Many(any::Text); }),
                                 .instance = any::Text()};
    const auto welcome_sent = sent(welcome);
    const auto& w = As<allot::Welcome>(welcome_sent);
    RC_ASSERT(std::tie(w.registration, w.epoch, w.term, w.heartbeat_every, w.lease, w.gateways,
                       w.gateway_keys, w.instance) ==
              std::tie(welcome.registration, welcome.epoch, welcome.term, welcome.heartbeat_every,
                       welcome.lease, welcome.gateways, welcome.gateway_keys, welcome.instance));

    const allot::Refuse refuse{.reason = any::OneOf(RefuseReason::kBadInfo),
                               .registration = any::Positive(),
                               .epoch = Epoch(any::Positive()),
                               .message = any::Text()};
    const auto refuse_sent = sent(refuse);
    const auto& r = As<allot::Refuse>(refuse_sent);
    RC_ASSERT(std::tie(r.reason, r.registration, r.epoch, r.message) ==
              std::tie(refuse.reason, refuse.registration, refuse.epoch, refuse.message));

    allot::StartTask start{
        .epoch = Epoch(any::Positive()), .key = any::Key(), .launch = any::Launch()};
    start.launch.world_size = start.key.task.index + 1;
    const auto start_sent = sent(start);
    const auto& s = As<allot::StartTask>(start_sent);
    RC_ASSERT(std::tie(s.epoch, s.key, s.launch) == std::tie(start.epoch, start.key, start.launch));

    const allot::StopTask stop{Epoch(any::Positive()), any::Key(), any::SomeDuration()};
    const auto stop_sent = sent(stop);
    const auto& t = As<allot::StopTask>(stop_sent);
    RC_ASSERT(std::tie(t.epoch, t.key, t.grace) == std::tie(stop.epoch, stop.key, stop.grace));

    const allot::AckTasks ack{Epoch(any::Positive()), any::Many(any::Key)};
    const auto ack_sent = sent(ack);
    RC_ASSERT(As<allot::AckTasks>(ack_sent).epoch == ack.epoch);
    RC_ASSERT(As<allot::AckTasks>(ack_sent).keys == ack.keys);

    const allot::GrantLeases grant{
        Epoch(any::Positive()), FromMicros(any::Number(0, int64_t{1} << 50)), any::Many(any::Key)};
    const auto grant_sent = sent(grant);
    const auto& g = As<allot::GrantLeases>(grant_sent);
    RC_ASSERT(std::tie(g.epoch, g.asked, g.keys) == std::tie(grant.epoch, grant.asked, grant.keys));

    const allot::StartReplica serve{Epoch(any::Positive()), ReplicaId(any::Positive()),
                                    any::LaunchOfReplica()};
    const auto serve_sent = sent(serve);
    const auto& v = As<allot::StartReplica>(serve_sent);
    RC_ASSERT(std::tie(v.epoch, v.id, v.launch) == std::tie(serve.epoch, serve.id, serve.launch));

    const allot::StopReplica end{Epoch(any::Positive()), ReplicaId(any::Positive()),
                                 any::SomeDuration(), any::SomeDuration()};
    const auto end_sent = sent(end);
    const auto& e = As<allot::StopReplica>(end_sent);
    RC_ASSERT(std::tie(e.epoch, e.id, e.grace, e.drain) ==
              std::tie(end.epoch, end.id, end.grace, end.drain));
  }));
}

// What a program of the build before says, or understands.
TEST(RoundTrip, AgreesWithThoseThatKnowLess) {
  TaskExit old;
  old.set_code(127);
  EXPECT_EQ(Decode(old).cause, ExitCause::kTask) << "none said";
  for (const int32_t number : {-1, 6, 1'000}) {
    old.set_cause(number);
    EXPECT_EQ(Decode(old).cause, ExitCause::kTask) << "one of a later version: " << number;
  }

  ReplicaStatus status;
  Encode(allot::ReplicaStatus{.id = ReplicaId(1), .phase = ReplicaPhase::kDraining}, &status);
  EXPECT_EQ(status.phase(), static_cast<int32_t>(ReplicaPhase::kStopping));
  status.clear_draining();
  EXPECT_EQ(Decode(status)->phase, ReplicaPhase::kStopping);
  status.set_phase(static_cast<int32_t>(ReplicaPhase::kReady));
  status.set_draining(true);
  EXPECT_EQ(Decode(status)->phase, ReplicaPhase::kReady);

  // What was accepted before there were pauses and drains goes on without.
  records::JobSpec job;
  Encode(JobSpec{}, &job);
  job.clear_restart_pause();
  job.clear_restart_pause_max();
  EXPECT_EQ(Decode(job)->restart_pause, Duration(0));
  records::DeploymentSpec deployment;
  Encode(DeploymentSpec{.name = "d"}, &deployment);
  deployment.clear_drain();
  deployment.mutable_health()->clear_restart_after();
  EXPECT_EQ(Decode(deployment)->drain, Duration(0));
  EXPECT_EQ(Decode(deployment)->health.restart_after, std::chrono::minutes(5));
}

// Whatever a peer sends, decoding gives a value or an error.
TEST(Decoding, SurvivesDamagedBytes) {
  EXPECT_TRUE(rc::check([] {
    Message message;
    if (any::Coin()) {
      Encode(AgentMessage(allot::RegisterNode{
                 .registration = 1, .info = any::Node(), .tasks = any::Many(any::Status)}),
             &message);
    } else {
      Encode(SchedulerMessage(
                 allot::StartTask{.epoch = Epoch(1), .key = any::Key(), .launch = any::Launch()}),
             &message);
    }
    std::string bytes = message.SerializeAsString();
    for (uint32_t i = any::Small(8); i > 0 && !bytes.empty(); --i) {
      bytes[static_cast<size_t>(any::Number(0, static_cast<int64_t>(bytes.size()) - 1))] =
          static_cast<char>(any::Small(255));
    }
    Message damaged;
    if (!damaged.ParseFromString(bytes)) return;
    (void)DecodeAgentMessage(damaged);
    (void)DecodeSchedulerMessage(damaged);
  }));
}

}  // namespace
}  // namespace allot::wire
