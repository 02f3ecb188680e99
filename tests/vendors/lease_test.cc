// A job and a deployment on a node of every vendor: by model, by kind, and as an alternative to
// something that is not there. Each process gets the variable and the files of what it leased, and
// nothing of a neighbour's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/devices/registry.h"
#include "agent/runtime/environment.h"
#include "agent/shell/confinement.h"
#include "scheduler/core/core.h"
#include "scheduler/core/topology.h"
#include "tests/vendors/machine.h"

namespace allot::vendors {
namespace {

using agent::DeviceRule;
using testing::IsEmpty;
using testing::SizeIs;

// What one process would be given.
struct Given {
  std::vector<std::string> device_ids;
  agent::Environment environment;
  std::vector<DeviceRule> rules;
};

// A scheduler with this one node.
class Cluster {
 public:
  explicit Cluster(const Machine& machine) : machine_(machine) {
    Step(scheduler::Restarted{});
    Step(scheduler::AgentSaid{machine.node.name, RegisterNode{1, machine.node, {}, {}}});
  }

  // Nothing where the core did not start it.
  std::optional<Given> Job(std::vector<DeviceRequest> any_of) {
    auto spec = std::make_shared<JobSpec>();
    spec->command = {"train"};
    spec->devices = std::move(any_of);
    const scheduler::Effects out = Step(scheduler::JobSubmitted{1, std::move(spec), "ann", ""});
    for (const scheduler::Command& command : out.commands) {
      const auto* sent = std::get_if<scheduler::SendToAgent>(&command);
      const auto* start = sent ? std::get_if<StartTask>(&sent->message) : nullptr;
      if (start == nullptr) continue;
      return Make(start->launch.device_ids,
                  agent::TaskEnvironment(Base(), start->key, start->launch, {}));
    }
    return std::nullopt;
  }

  std::optional<Given> Deployment(DeviceRequest device) {
    auto spec = std::make_shared<DeploymentSpec>();
    spec->name = "chat";
    spec->command = {"serve", "{port}"};
    spec->groups.emplace_back().device = std::move(device);
    const scheduler::Effects out = Step(scheduler::DeploymentApplied{1, std::move(spec)});
    for (const scheduler::Command& command : out.commands) {
      const auto* sent = std::get_if<scheduler::SendToAgent>(&command);
      const auto* start = sent ? std::get_if<StartReplica>(&sent->message) : nullptr;
      if (start == nullptr) continue;
      return Make(start->launch.device_ids,
                  agent::ReplicaEnvironment(Base(), start->id, start->launch, 8000, {}));
    }
    return std::nullopt;
  }

 private:
  scheduler::Effects Step(const scheduler::Event& event) {
    scheduler::Effects out;
    core_.Step(now_, event, out);
    return out;
  }
  agent::EnvironmentBase Base() const {
    agent::EnvironmentBase base;
    base.devices = machine_.node.devices;
    base.visible_variables = agent::HidingVariables();
    base.node_name = machine_.node.name;
    return base;
  }
  Given Make(const std::vector<std::string>& ids, agent::Environment environment) const {
    const auto rule = [this](const std::string& path) -> StatusOr<DeviceRule> {
      const auto it = machine_.files.find(path);
      if (it == machine_.files.end()) return NotFound("{}", path);
      return it->second;
    };
    const auto rules = agent::RulesOfLease(machine_.node.devices, ids, rule);
    EXPECT_TRUE(rules.ok()) << MessageOf(rules.status());
    return {ids, std::move(environment), rules.ok() ? *rules : std::vector<DeviceRule>()};
  }

  const Machine& machine_;
  const Time now_ = FromMicros(1'000'000'000);
  scheduler::Core core_{{}};
};

DeviceRequest ByModel(const std::string& model, uint32_t count = 1) {
  return {.vendor = {}, .model = model, .count = count};
}
DeviceRequest ByKind(DeviceKind kind) { return {.kind = kind, .vendor = {}, .model = {}}; }

class OnMachine : public testing::TestWithParam<std::filesystem::path> {
 protected:
  void SetUp() override { machine_ = Load(GetParam()); }

  // Models of the accelerators that are ready.
  std::set<std::string> Models() const {
    std::set<std::string> models;
    for (const Device& device : machine_.node.devices)
      if (device.kind != DeviceKind::kCpu && device.state == DeviceState::kReady)
        models.insert(device.model);
    return models;
  }
  std::set<DeviceKind> Kinds() const {
    std::set<DeviceKind> kinds;
    for (const Device& device : machine_.node.devices)
      if (device.kind != DeviceKind::kCpu && device.state == DeviceState::kReady)
        kinds.insert(device.kind);
    return kinds;
  }

  // Exactly the words and files that the recording gives to these devices.
  void ExpectOnlyWhatWasLeased(const Given& given) const {
    std::map<std::string, std::multiset<std::string>> words;
    std::set<DeviceRule> files;
    std::set<std::string> paths;
    for (const std::string& id : given.device_ids) {
      ASSERT_TRUE(machine_.devices.contains(id)) << id << " is not in the recording";
      const Recorded& recorded = machine_.devices.at(id);
      for (const auto& [variable, value] : recorded.visible) {
        const std::multiset<std::string> more = Words(value);
        words[variable].insert(more.begin(), more.end());
      }
      paths.insert(recorded.own_files.begin(), recorded.own_files.end());
      paths.insert(recorded.shared_files.begin(), recorded.shared_files.end());
    }
    for (const std::string& variable : machine_.Variables()) {
      const auto it = given.environment.find(variable);
      const std::string value = it == given.environment.end() ? "" : it->second;
      EXPECT_EQ(Words(value), words[variable]) << variable << "=" << value;
    }
    for (const std::string& path : paths) {
      ASSERT_TRUE(machine_.files.contains(path)) << path << " is not in dev.txt";
      files.insert(machine_.files.at(path));
    }
    EXPECT_EQ(std::set<DeviceRule>(given.rules.begin(), given.rules.end()), files);
    // Said again from the neighbours' side.
    for (const auto& [id, recorded] : machine_.devices) {
      if (testing::Matches(testing::Contains(id))(given.device_ids)) continue;
      for (const std::string& path : recorded.own_files)
        if (!paths.contains(path)) {
          EXPECT_FALSE(testing::Matches(testing::Contains(machine_.files.at(path)))(given.rules))
              << path << " is " << id << "'s";
        }
    }
  }
  void ExpectLease(const std::optional<Given>& given, uint32_t count,
                   const std::string& what) const {
    SCOPED_TRACE(what);
    ASSERT_TRUE(given.has_value()) << "it was not started";
    EXPECT_THAT(given->device_ids, SizeIs(count));
    ExpectOnlyWhatWasLeased(*given);
  }

  Machine machine_;
};

TEST_P(OnMachine, AJobByModelGetsItsDevicesAlone) {
  for (const std::string& model : Models()) {
    const auto given = Cluster(machine_).Job({ByModel(model)});
    ExpectLease(given, 1, model);
    if (given && !given->device_ids.empty()) {
      EXPECT_EQ(machine_.Get(given->device_ids[0]).model, model);
    }
  }
}

TEST_P(OnMachine, AJobByKindGetsItsDevicesAlone) {
  for (const DeviceKind kind : Kinds()) {
    const auto given = Cluster(machine_).Job({ByKind(kind)});
    ExpectLease(given, 1, std::string(ToString(kind)));
    if (given && !given->device_ids.empty()) {
      EXPECT_EQ(machine_.Get(given->device_ids[0]).kind, kind);
    }
  }
}

TEST_P(OnMachine, AnAlternativeToWhatIsNotThereDoes) {
  for (const std::string& model : Models())
    ExpectLease(Cluster(machine_).Job({ByModel("acme/none"), ByModel(model)}), 1, model);
  for (const DeviceKind kind : Kinds())
    ExpectLease(Cluster(machine_).Job({ByModel("acme/none"), ByKind(kind)}), 1,
                std::string(ToString(kind)));
}

TEST_P(OnMachine, ADeploymentByModelAndByKindGetsItsDevicesAlone) {
  for (const std::string& model : Models())
    ExpectLease(Cluster(machine_).Deployment(ByModel(model)), 1, model);
  for (const DeviceKind kind : Kinds())
    ExpectLease(Cluster(machine_).Deployment(ByKind(kind)), 1, std::string(ToString(kind)));
}

// As many as their runtime takes together, of those that are alike: of one memory, as partitions of
// several sizes are not.
TEST_P(OnMachine, AWideJobGetsAllOfTheirWordsAndFiles) {
  const scheduler::Topology topology(machine_.node);
  for (const std::string& model : Models()) {
    std::map<std::pair<Bytes, Isolation>, DeviceSet> alike;
    for (uint32_t i = 0; i < machine_.node.devices.size(); ++i) {
      const Device& device = machine_.node.devices[i];
      if (device.model == model && device.state == DeviceState::kReady)
        alike[{device.memory.value_or(-1), device.isolation}].Add(i);
    }
    uint32_t count = 0;
    for (const auto& [kind, ready] : alike) {
      uint32_t most = ready.Count();
      while (topology.Room(ready, most, false) == 0) --most;
      count = std::max(count, most);
    }
    ExpectLease(Cluster(machine_).Job({ByModel(model, count)}), count, model);
  }
}

TEST_P(OnMachine, NeighboursShareNeitherWordsNorFilesOfTheirOwn) {
  for (const std::string& model : Models()) {
    SCOPED_TRACE(model);
    Cluster cluster(machine_);
    std::set<std::string> leased;
    size_t ready = 0;
    for (const Device& device : machine_.node.devices)
      ready += device.model == model && device.state == DeviceState::kReady;
    for (size_t i = 0; i < ready; ++i) {
      const auto given = cluster.Job({ByModel(model)});
      ExpectLease(given, 1, fmt::format("job {}", i));
      if (!given) break;
      EXPECT_TRUE(leased.insert(given->device_ids[0]).second);
    }
    EXPECT_FALSE(cluster.Job({ByModel(model)}).has_value());
  }
}

TEST_P(OnMachine, AJobOnProcessorsSeesNoAccelerator) {
  std::vector<std::vector<DeviceRequest>> wishes = {{}, {ByKind(DeviceKind::kCpu)}};
  for (const Device& device : machine_.node.devices) {
    if (device.kind != DeviceKind::kCpu || device.model.empty()) continue;
    wishes.push_back({ByModel(device.model)});
    wishes.push_back({ByModel("acme/none"), ByModel(device.model)});
  }
  for (const auto& any_of : wishes) {
    const auto given = Cluster(machine_).Job(any_of);
    ASSERT_TRUE(given.has_value());
    EXPECT_THAT(given->device_ids, IsEmpty());
    EXPECT_THAT(given->rules, IsEmpty());
    for (const std::string& variable : agent::HidingVariables())
      EXPECT_EQ(given->environment.at(variable), "") << variable;
    ExpectOnlyWhatWasLeased(*given);
  }
  const auto replica = Cluster(machine_).Deployment(ByKind(DeviceKind::kCpu));
  ASSERT_TRUE(replica.has_value());
  ExpectOnlyWhatWasLeased(*replica);
}

INSTANTIATE_TEST_SUITE_P(Recorded, OnMachine, testing::ValuesIn(RecordedMachines()),
                         [](const auto& info) {
                           std::string name = info.param.filename();
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// So that a vendor without a machine, or with none that is ready, is no silent gap.
TEST(RecordedMachines, EveryOneHasSomethingToLease) {
  const auto machines = RecordedMachines();
  EXPECT_GE(machines.size(), 13U);
  for (const auto& folder : machines) {
    const Machine machine = Load(folder);
    const auto ready =
        std::count_if(machine.node.devices.begin(), machine.node.devices.end(),
                      [](const Device& device) { return device.state == DeviceState::kReady; });
    EXPECT_GT(ready, 0) << machine.name;
    EXPECT_GT(machine.node.cpus, 0) << machine.name;
  }
}

}  // namespace
}  // namespace allot::vendors
