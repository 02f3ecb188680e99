// An agent on a recorded machine whose devices fall ill, get well, and are measured.
#include <unistd.h>

#include "common/http/client.h"
#include "fake_scheduler.h"

namespace allot::agent {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFirst = "0000:01:00.0";

class AgentHealth : public ::testing::Test {
 protected:
  AgentHealth() {
    s_.adjust = [this](AgentOptions* options) {
      options->machine = machine_;
      options->devices.clear_emulated();
      options->devices.set_nvidia(true);
      options->health_rules = std::make_shared<const HealthRules>(rules_);
    };
  }
  // A copy of a recorded machine, which the test may change.
  void On(const std::string& machine) {
    machine_ = s_.folder + "/machine";
    fs::copy(fs::path(ALLOT_SOURCE_DIR) / "tests/machines" / machine, machine_,
             fs::copy_options::recursive);
    fs::create_directories(machine_ + "/dev");
    Write("dev/kmsg", "");
    // Leases of a recorded machine cannot be kept apart on this one.
    fs::remove(machine_ + "/dev.txt");
    Write("dev.txt", "# none\n");
  }
  void Write(const std::string& file, const std::string& text) {
    std::ofstream(machine_ + "/" + file) << text;
  }
  void Kernel(const std::string& message) {
    std::ofstream(machine_ + "/dev/kmsg", std::ios::app) << "3,1,1,-;" << message << "\n";
  }
  const Device* Told(const std::string& id) {
    if (s_.registrations.empty()) return nullptr;
    for (const Device& device : s_.registrations.back().info.devices)
      if (device.id == id) return &device;
    return nullptr;
  }
  bool UntilTold(const std::string& id, DeviceState state) {
    return s_.Until([&] {
      const Device* device = Told(id);
      return device != nullptr && device->state == state;
    });
  }
  bool UntilSampled(size_t times) {
    const size_t before = s_.telemetry_count;
    return s_.Until([&] { return s_.telemetry_count >= before + times; });
  }
  std::string Metrics() {
    http::Client client(s_.loop, s_.agent->http_address(), 0);
    std::string body;
    bool over = false;
    const auto call =
        client.Start({.target = "/metrics"}, {.head = [](int, http::Headers) {},
                                              .body = [&](std::string piece) { body += piece; },
                                              .done = [&](Status) { over = true; }});
    EXPECT_TRUE(s_.Until([&] { return over; }));
    return body;
  }

  FakeScheduler s_;
  std::string machine_;
  HealthRules rules_ = *HealthRules::BuiltIn();
};

TEST_F(AgentHealth, AnXidDrainsItsGpuWhichComesBack) {
  rules_ = HealthRules::Joined(
      *HealthRules::Parse("nvidia\txid\tin 74\tdrain\t300ms\ttest\n", "test"), rules_);
  On("nvidia-4xl4");
  s_.StartWelcomedAgent();
  ASSERT_NE(Told(kFirst), nullptr);
  ASSERT_EQ(Told(kFirst)->state, DeviceState::kReady);
  Kernel("NVRM: Xid (PCI:0000:01:00): 74, pid=1, NVLink: fatal error detected on link 3");
  ASSERT_TRUE(UntilTold(kFirst, DeviceState::kDraining));
  EXPECT_EQ(Told(kFirst)->health, std::vector<std::string>{"xid_74"});
  for (const Device& device : s_.registrations.back().info.devices)
    EXPECT_EQ(device.state, device.id == kFirst ? DeviceState::kDraining : DeviceState::kReady)
        << device.id;
  EXPECT_TRUE(UntilTold(kFirst, DeviceState::kReady));
  EXPECT_TRUE(Told(kFirst)->health.empty());
}

TEST_F(AgentHealth, AQuarantineLastsUntilAnOperatorClearsIt) {
  On("nvidia-4xl4");
  s_.StartWelcomedAgent();
  Kernel("NVRM: Xid (PCI:0000:01:00): 79, pid='<unknown>', GPU has fallen off the bus.");
  ASSERT_TRUE(UntilTold(kFirst, DeviceState::kQuarantined));
  const std::string text = Metrics();
  for (const char* line :
       {"allotrope_agent_device_health{device=\"0000:01:00.0\",reason=\"xid_79\"} 1",
        "allotrope_agent_device_state{device=\"0000:01:00.0\",state=\"quarantined\"} 1",
        "allotrope_agent_device_state{device=\"0000:41:00.0\",state=\"ready\"} 1",
        "allotrope_agent_device_health{device=\"0000:41:00.0\",reason=\"pcie_width_degraded\"} 1",
        "pci_bus_id=\"00000000:01:00.0\""})
    EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
  s_.agent->ClearHealth();
  EXPECT_TRUE(UntilTold(kFirst, DeviceState::kReady));
  EXPECT_EQ(Metrics().find("xid_79"), std::string::npos);
}

TEST_F(AgentHealth, NothingIsToldAnewWhileNothingChanges) {
  On("nvidia-4xl4");
  s_.StartWelcomedAgent();
  Kernel("NVRM: Xid (PCI:0000:01:00): 43, pid=1, a program's own fault");
  Kernel("NVRM: Xid (PCI:0000:01:00): 63, pid=1, Row Remapper: New row marked for remapping");
  ASSERT_TRUE(s_.Until([&] { return !Told(kFirst)->health.empty(); }));
  const size_t registrations = s_.registrations.size();
  Kernel("NVRM: Xid (PCI:0000:01:00): 63, pid=1, Row Remapper: New row marked for remapping");
  // The next marker is told, so what came before it was seen.
  Kernel("NVRM: Xid (PCI:0000:01:00): 94, pid=1, Contained memory error");
  ASSERT_TRUE(s_.Until([&] { return Told(kFirst)->health.size() == 2; }));
  EXPECT_EQ(s_.registrations.size(), registrations + 1);
}

// The recorded machine's cards draw power but have no energy counter.
TEST_F(AgentHealth, ATaskOnMeasuredDevicesTellsItsEnergy) {
  On("amd-8xmi300x-spx");
  s_.StartWelcomedAgent();
  const TaskKey key{{JobId(5), 0}, Attempt(1)};
  StartTask start =
      s_.Task(key, {"/bin/sh", "-c", "while [ ! -e " + s_.folder + "/go ]; do sleep 0.02; done"});
  start.launch.device_ids = {"0000:05:00.0"};
  s_.Say(start);
  s_.Await(key, TaskPhase::kRunning);
  ASSERT_TRUE(UntilSampled(20));  // Most of its life lies between readings then.
  std::ofstream(s_.folder + "/go") << "";
  const TaskExit exit = *s_.Await(key, TaskPhase::kExited).exit;
  ASSERT_TRUE(exit.energy);
  const double seconds = std::chrono::duration<double>(exit.finished - exit.started).count();
  EXPECT_NEAR(static_cast<double>(*exit.energy) / 1e3, 402 * seconds, 1);
}

TEST_F(AgentHealth, ATaskWithoutDevicesTellsNone) {
  On("amd-8xmi300x-spx");
  s_.StartWelcomedAgent();
  const TaskKey key{{JobId(5), 0}, Attempt(1)};
  s_.Say(s_.Task(key, {"true"}));
  EXPECT_FALSE(s_.Await(key, TaskPhase::kExited).exit->energy);
}

// A card with a counter: what it drew while no agent ran counts too.
TEST_F(AgentHealth, ACounterBridgesARestartOfTheAgent) {
  On("amd-8xmi300x-spx");
  std::string counter;
  for (const auto& entry :
       fs::directory_iterator(machine_ + "/sys/bus/pci/devices/0000:05:00.0/hwmon"))
    counter = "sys/bus/pci/devices/0000:05:00.0/hwmon/" + entry.path().filename().string() +
              "/energy1_input";
  Write(counter, "1000000\n");
  s_.StartWelcomedAgent();
  const TaskKey key{{JobId(5), 0}, Attempt(1)};
  StartTask start =
      s_.Task(key, {"/bin/sh", "-c", "while [ ! -e " + s_.folder + "/go ]; do sleep 0.02; done"});
  start.launch.device_ids = {"0000:05:00.0"};
  s_.Say(start);
  s_.Await(key, TaskPhase::kRunning);
  ASSERT_TRUE(s_.Until([&] { return fs::exists(s_.folder + "/state/energy/job-5.0.1"); }));
  s_.KillAgent();
  Write(counter, "901000000\n");  // 900 J
  s_.StartWelcomedAgent();
  s_.Await(key, TaskPhase::kRunning);
  ASSERT_TRUE(UntilSampled(20));
  std::ofstream(s_.folder + "/go") << "";
  const TaskExit exit = *s_.Await(key, TaskPhase::kExited).exit;
  ASSERT_TRUE(exit.energy);
  EXPECT_GE(*exit.energy, 900'000);
  EXPECT_LE(*exit.energy, 1'800'000);  // At most half of its life was not measured.
  EXPECT_FALSE(fs::exists(s_.folder + "/state/energy/job-5.0.1"));
}

TEST_F(AgentHealth, AReplicaAddsItsEnergyToItsDeployment) {
  On("amd-8xmi300x-spx");
  s_.StartWelcomedAgent();
  StartReplica start{s_.epoch, ReplicaId(3), {}};
  start.launch.deployment = "chat";
  start.launch.command = {ALLOT_MODEL_SERVER, "{port}"};
  start.launch.device_ids = {"0000:05:00.0"};
  s_.Say(start);
  EXPECT_TRUE(s_.Until([&] {
    return Metrics().find("allotrope_agent_replica_energy_joules_total{deployment=\"chat\"}") !=
           std::string::npos;
  }));
  s_.Say(StopReplica{s_.epoch, ReplicaId(3), std::chrono::seconds(5)});
  EXPECT_TRUE(s_.Until([&] { return s_.replicas[ReplicaId(3)].phase == ReplicaPhase::kGone; }));
}

TEST_F(AgentHealth, RowsOfASitesOwnComeFirstAndItsMistakesAreNamed) {
  config::Agent config;
  config.set_name("n1");
  config.set_state_dir(s_.folder + "/state");
  config.add_scheduler("tcp://127.0.0.1:1");
  config.set_scheduler_public_key(s_.agent_keys.public_key);
  config.set_key_file(s_.folder + "/agent.key");
  ASSERT_TRUE(transport::SaveKeyFile(config.key_file(), s_.agent_keys).ok());
  const std::string file = s_.folder + "/rules.tsv";
  config.mutable_devices()->set_health_rules_file(file);

  std::ofstream(file) << "# ours\nnvidia\txid\tin 79\twarn\t1h\tours\n";
  const auto options = ToAgentOptions(config);
  ASSERT_TRUE(options.ok()) << options.status();
  const HealthRules& rules = *options->health_rules;
  EXPECT_EQ(rules.rows()[rules.For("xid").front()].source, "ours");
  EXPECT_EQ(rules.rows().size(), HealthRules::BuiltIn()->rows().size() + 1);

  std::ofstream(file) << "# ours\nnvidia\txid\tin 79\tpanic\t1h\tours\n";
  EXPECT_EQ(MessageOf(ToAgentOptions(config).status()),
            file + ":2: action is \"panic\"; it must be ignore, warn, drain or quarantine");
}

}  // namespace
}  // namespace allot::agent
